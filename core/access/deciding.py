"""Whether a principal may see what it asks for. There is no other place that decides it, but for searches' filters
(`es.visible`), which say the same."""

from __future__ import annotations

from ..errors import NotFound
from ..machine.state import Instance
from ..principal import Principal
from .refusals import Refusals
from .rows import Refusal


class Access:
    """One replica's decisions; each refusal is noted. An operation names itself in `action`, as its route does."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def sees(self, principal: Principal, instance: Instance, action: str) -> bool:
        """For people: whether the instance's tenant is the principal's, and its space one that the principal acts in.

        An instance of space `*` is in all spaces of its tenant.
        """
        if principal.reaches(instance.tenant, instance.space):
            return True
        self._refused(principal, instance, action, None)
        return False

    def serves(self, principal: Principal, instance: Instance, action: str, path: str) -> bool:
        """For executors, who work for whole tenants: whether the step's tenant is one that the principal claims for."""
        if principal.sees(instance.tenant):
            return True
        self._refused(principal, instance, action, path)
        return False

    def check(self, principal: Principal, tenant: str, action: str, kind: str, id: str) -> None:
        """For what belongs to a tenant and no space, such as its document. Raises: NotFound."""
        if not principal.sees(tenant):
            self._refusals.note(Refusal(principal, action, "another tenant's", kind, id, tenant))
            raise NotFound(kind, id)

    def _refused(self, principal: Principal, instance: Instance, action: str, path: str | None) -> None:
        whose = "another space's" if principal.sees(instance.tenant) else "another tenant's"
        self._refusals.note(
            Refusal(
                principal,
                action,
                whose,
                "instance" if path is None else "step",
                instance.id,
                instance.tenant,
                instance.space,
                instance.workflow,
                instance.version,
                path,
            )
        )
