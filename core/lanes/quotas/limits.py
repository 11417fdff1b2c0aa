"""What instances of a tenant and workflow have to keep to, compiled once for each while the same rules are in force."""

from __future__ import annotations

from msgspec import Struct

from ....tenancy.quotas import Quota, instance_quotas
from ...tenants import Tenants

_KNOWN_MAX = 50_000


class Limits(Struct, frozen=True, gc=False):
    """`starting` are the quotas that a start takes a unit of, `running` those that an instance holds a slot of."""

    starting: tuple[Quota, ...] = ()
    running: tuple[Quota, ...] = ()
    priority_ceiling: int = 0


NO_LIMITS = Limits()


class InstanceLimits:
    """Follows the rules that are in force. `of` costs a dictionary look-up."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._rules = tenants.rules
        self._known: dict[tuple[str, str], Limits] = {}

    def of(self, tenant: str, workflow: str) -> Limits:
        """`NO_LIMITS`, the very same, where there are none."""
        if self._rules is not self._tenants.rules or len(self._known) > _KNOWN_MAX:
            self._rules = self._tenants.rules
            self._known.clear()
        found = self._known.get((tenant, workflow))
        if found is None:
            found = self._known[tenant, workflow] = self._made(tenant, workflow)
        return found

    def _made(self, tenant: str, workflow: str) -> Limits:
        rules = self._rules.of(tenant)
        made = Limits(
            tuple(instance_quotas(self._rules, tenant, workflow, ("start_rate", "waiting_instances"))),
            tuple(instance_quotas(self._rules, tenant, workflow, ("running_instances",))),
            rules.priority_ceiling,
        )
        return NO_LIMITS if made == NO_LIMITS else made
