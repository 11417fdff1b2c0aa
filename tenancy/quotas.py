"""Quotas that hold across replicas: what is limited, and one lane's holding of each. Pure.

A quota has a number of units. Every lane has a share of them, given to it by the quota's document; the shares together
are at most the quota, so while each lane keeps to its share, all keep to the quota. A unit of a quota of things that
run is a slot: taken when one begins, free again when its end is acknowledged. A unit of a rate is a place in its burst,
and fills again at that part of the rate which it is of the burst: so shares of rates need no common clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from .rules import CapabilityRules, Rate, Rules, TenantRules, WorkflowRules
from .stops import Stop

Kind = Literal["running_steps", "claim_rate", "running_instances", "waiting_instances", "start_rate"]
EVERY = "*"

_WORDS: dict[Kind, str] = {
    "running_steps": "max_running_steps",
    "claim_rate": "claim_rate",
    "running_instances": "max_running_instances",
    "waiting_instances": "max_waiting_instances",
    "start_rate": "start_rate",
}


class Quota(Struct, frozen=True, gc=False):
    """What is limited: a tenant's, of all or of one capability or workflow (`scope`); tenant `*`: of all tenants."""

    kind: Kind
    tenant: str
    scope: str = ""

    @property
    def id(self) -> str:
        """The id of its document in the control index."""
        return f"quota:{self.kind}:{self.tenant}:{self.scope}"

    @property
    def of_rate(self) -> bool:
        return self.kind in ("claim_rate", "start_rate")

    @property
    def word(self) -> str:
        """Its path in the tenant's document (or, for all tenants, the deployment's); a name with dots in quotes."""
        if not self.scope:
            return _WORDS[self.kind]
        room = "capabilities" if self.kind in ("running_steps", "claim_rate") else "workflows"
        scope = f'"{self.scope}"' if "." in self.scope else self.scope
        return f"{room}.{scope}.{_WORDS[self.kind]}"


class Allowance(Struct, frozen=True, gc=False):
    """How much a quota allows: `units`, and of a rate how many a second all of them together."""

    units: int
    per_s: float = 0.0


def allowance(rules: Rules, quota: Quota) -> Allowance | None:
    """None where the quota is not limited (any more)."""
    if quota.tenant == EVERY:
        return _allowed(rules.capabilities.get(quota.scope), quota)
    tenant = rules.of(quota.tenant)
    if not quota.scope:
        return _allowed(tenant, quota)
    if quota.kind in ("running_steps", "claim_rate"):
        return _allowed(tenant.capabilities.get(quota.scope), quota)
    return _allowed(tenant.workflows.get(quota.scope), quota)


def step_quotas(rules: Rules, tenant: str, capability: str) -> Iterator[Quota]:
    """All that a claim of a step of that tenant and capability has to keep to."""
    for owner, scope in ((tenant, ""), (tenant, capability), (EVERY, capability)):
        for kind in _STEP_KINDS:
            quota = Quota(kind, owner, scope)
            if allowance(rules, quota) is not None:
                yield quota


def instance_quotas(rules: Rules, tenant: str, workflow: str, kinds: tuple[Kind, ...]) -> Iterator[Quota]:
    """All of these kinds that an instance of that tenant and workflow has to keep to."""
    for scope in ("", workflow):
        for kind in kinds:
            quota = Quota(kind, tenant, scope)
            if allowance(rules, quota) is not None:
                yield quota


_STEP_KINDS: tuple[Kind, ...] = ("running_steps", "claim_rate")


def _allowed(rules: TenantRules | CapabilityRules | WorkflowRules | None, quota: Quota) -> Allowance | None:
    limit: int | Rate | None = None if rules is None else getattr(rules, _WORDS[quota.kind], None)
    if limit is None:
        return None
    return Allowance(limit.burst, limit.per_s) if isinstance(limit, Rate) else Allowance(limit)


class Holding:
    """One lane's share of one quota, as its owner uses it. All times are monotonic milliseconds.

    `share`: units that the quota's document gives this lane under this owner's epoch, as acknowledged; 0 until then.
    `used`: slots taken, or whose end is not acknowledged; it may be above `share` where the lane was taken over or the
    quota is new, and nothing is taken until it is below. `owed`: units that other lanes wait for, which are not taken
    again once they are free. `open`: the quota's document, as last seen, gives out no more than is allowed. `wanted`:
    somebody was refused and has not been told of room since. `refused_ms` and `taken_ms` are when that, and the last
    taking, were. `peak`: the most slots that were taken at once since whoever keeps the share has set it back.
    """

    __slots__ = (
        "_filled_ms",
        "_tokens",
        "allowance",
        "open",
        "owed",
        "peak",
        "quota",
        "refused_ms",
        "share",
        "taken_ms",
        "used",
        "wanted",
    )

    def __init__(self, quota: Quota, allowance: Allowance, *, now_ms: int) -> None:
        self.quota = quota
        self.allowance = allowance
        self.share = 0
        self.used = 0
        self.owed = 0
        self.peak = 0
        self.open = False
        self.wanted = False
        self.refused_ms = -1
        self.taken_ms = -1
        self._tokens = 0.0
        self._filled_ms = now_ms

    def take(self, now_ms: int) -> bool:
        """Take one unit; False, and `wanted`, where there is none. O(1)."""
        if self.free(now_ms) < 1:
            self.wanted = True
            self.refused_ms = now_ms
            return False
        if self.quota.of_rate:
            self._tokens -= 1.0
        else:
            self.used += 1
            self.peak = max(self.peak, self.used)
            # Whoever was refused before has been told that there is room.
            self.wanted = False
        self.taken_ms = now_ms
        return True

    def put_back(self) -> None:
        """What was taken just now was not used after all, or the end of what held a slot is acknowledged."""
        if self.quota.of_rate:
            self._tokens = min(float(self.share), self._tokens + 1.0)
        else:
            self.used -= 1

    def free(self, now_ms: int) -> int:
        """How many units may be taken now."""
        if not self.open:
            return 0
        if self.quota.of_rate:
            self._fill(now_ms)
            return int(self._tokens)
        return max(0, self.share - self.used - self.owed)

    def wait_ms(self, now_ms: int) -> int | None:
        """How long until a unit of a rate is there again; None where no time brings one."""
        if not self.quota.of_rate or not self.share or not self.allowance.per_s:
            return None
        self._fill(now_ms)
        missing = max(0.0, 1.0 - self._tokens)
        return int(missing / self._per_ms) + 1 if missing else 0

    def tokens(self, now_ms: int) -> float:
        """How full the lane's part of a rate's burst is, 0 to `share`; 0.0 for slots."""
        self._fill(now_ms)
        return self._tokens

    def set_share(self, share: int, now_ms: int, *, filled: float = 0.0) -> float:
        """The share is another one; returns how much of a rate's burst no longer fits in.

        Units of a rate that are new are empty but for `filled`; the rest keep theirs.
        """
        self._fill(now_ms)
        self.share = share
        if not self.quota.of_rate:
            return 0.0
        full = self._tokens + filled
        self._tokens = min(float(share), full)
        return full - self._tokens

    def allow(self, allowance: Allowance, now_ms: int) -> None:
        """The quota has changed: nothing is taken until its document gives out no more than that."""
        self._fill(now_ms)
        self.allowance = allowance
        self.open = False

    @property
    def _per_ms(self) -> float:
        return self.allowance.per_s * self.share / max(1, self.allowance.units) / 1_000

    def _fill(self, now_ms: int) -> None:
        if self.quota.of_rate:
            self._tokens = min(float(self.share), self._tokens + max(0, now_ms - self._filled_ms) * self._per_ms)
        self._filled_ms = max(now_ms, self._filled_ms)


def lack_of(holding: Holding, now_ms: int) -> Stop:
    """What holds back who finds no unit there. Counts nothing: one lane does not know what the others use."""
    quota, allowed = holding.quota, holding.allowance
    of_all = quota.tenant == EVERY
    whose = "all tenants together are" if of_all else "the tenant is"
    if not quota.of_rate:
        return Stop(quota.word, 0, 0, None, f"{whose} at the limit of {allowed.units}", of_all)
    wait_ms = holding.wait_ms(now_ms)
    until_ms = None if wait_ms is None else now_ms + wait_ms
    return Stop(quota.word, 0, 0, until_ms, f"{whose} at the rate of {allowed.per_s:g} a second", of_all)


def take_all(holdings: tuple[Holding, ...], now_ms: int) -> Holding | None:
    """Take a unit of each; None when that was done, else the one that has none, and nothing is taken."""
    for place, holding in enumerate(holdings):
        if not holding.take(now_ms):
            for taken in holdings[:place]:
                taken.put_back()
            return holding
    return None
