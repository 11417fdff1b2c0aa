"""What is in force for tenants at one moment: compiled from their documents, read on every claim and start. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Period = Literal["hour", "day", "month"]


class Rate(Struct, frozen=True, gc=False):
    """At most `per_s` a second in the long run, and `burst` (1 or more) at once."""

    per_s: float
    burst: int


class Breaker(Struct, frozen=True, gc=False):
    """Opens when at least `min_attempts` ended within `window_ms` and this share of them (0 to 1) failed.

    Open, it lets nothing through for `open_ms`; then `probes` attempts, whose outcome decides.
    """

    failure_share: float
    min_attempts: int
    window_ms: int
    open_ms: int
    probes: int = 1


class CapabilityRules(Struct, frozen=True, gc=False):
    """Limits of one capability: of a tenant's steps, or of the steps of all tenants together. None: no limit."""

    max_running_steps: int | None = None
    claim_rate: Rate | None = None
    breaker: Breaker | None = None


class WorkflowRules(Struct, frozen=True, gc=False):
    """Limits of a tenant's instances of one workflow. None: no limit."""

    max_running_instances: int | None = None
    max_waiting_instances: int | None = None
    start_rate: Rate | None = None


class Budget(Struct, frozen=True, gc=False):
    """What may be spent in one period. None: no limit."""

    llm_calls: int | None = None
    llm_tokens: int | None = None
    cost: float | None = None
    executor_s: float | None = None


class TenantRules(Struct, frozen=True, kw_only=True):
    """One tenant's. `priority_ceiling`: the best priority that its instances get, 0 (any) to 9.

    `refused`: there is no document of the tenant, and the deployment wants one for each. `capabilities` and `workflows`
    hold limits for single ones, beside those for all. `breaker` is for capabilities that have none of their own.
    """

    tenant: str
    weight: float = 1.0
    priority_ceiling: int = 0
    max_running_instances: int | None = None
    max_running_steps: int | None = None
    max_waiting_instances: int | None = None
    start_rate: Rate | None = None
    claim_rate: Rate | None = None
    breaker: Breaker | None = None
    budgets: Mapping[Period, Budget] = {}
    capabilities: Mapping[str, CapabilityRules] = {}
    workflows: Mapping[str, WorkflowRules] = {}
    paused: bool = False
    refused: bool = False

    @property
    def limits_steps(self) -> bool:
        """Whether claims of its steps have something to keep to."""
        limited = self.max_running_steps is not None or self.claim_rate is not None
        return limited or self.paused or bool(self.capabilities or self.budgets or self.breaker)

    @property
    def limits_instances(self) -> bool:
        """Whether its instances have something to keep to."""
        limited = self.max_running_instances is not None or self.max_waiting_instances is not None
        return limited or bool(self.workflows)


class Rules(Struct, frozen=True):
    """All that is in force. `seq_no`: how far the tenants index was read, so later rules have a higher one.

    `defaults` are in force for tenants without a document, `capabilities` for all tenants' steps together.
    """

    tenants: Mapping[str, TenantRules] = {}
    defaults: TenantRules = TenantRules(tenant="*")
    capabilities: Mapping[str, CapabilityRules] = {}
    seq_no: int = -1

    def of(self, tenant: str) -> TenantRules:
        """A tenant's own rules, or the defaults under its name."""
        found = self.tenants.get(tenant)
        return replace(self.defaults, tenant=tenant) if found is None else found

    def weight_of(self, tenant: str) -> float:
        return self.tenants.get(tenant, self.defaults).weight

    @property
    def limits_steps(self) -> bool:
        """Whether any claim has something to keep to. O(tenants)."""
        return (
            bool(self.capabilities)
            or self.defaults.limits_steps
            or any(tenant.limits_steps for tenant in self.tenants.values())
        )

    @property
    def limits_instances(self) -> bool:
        """Whether any instance has something to keep to. O(tenants)."""
        return self.defaults.limits_instances or any(tenant.limits_instances for tenant in self.tenants.values())


NO_RULES = Rules()
