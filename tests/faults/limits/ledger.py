"""What clients know: the leases that they hold, and what they were told.

A client knows less than there is. It counts a lease from when the claim is answered until it sends the end, or until
the lease time is over, counted from when the claim (or its last renewal) was sent; the server counts from later, so
the lease holds longer than that, also where its replica stands still or is dead. A claim whose answer was lost is not
known here: the store is asked for it (`sampling`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from leasehold.claim import ClaimedStep
from msgspec import Struct

from .ground import steps_of
from .in_force import InForce, Lease


class Hold(Struct):
    lease: Lease
    until_s: float


class Ledger:
    """`claims`: of each tenant, between which times each claim was granted. `lost_early`: leases that a server called
    lost before their time was over, though nobody had ended them."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force
        self._held: dict[str, Hold] = {}
        self.answered: set[tuple[str, int]] = set()
        self.claims: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self.started: defaultdict[str, set[str]] = defaultdict(set)
        self.done: defaultdict[str, set[str]] = defaultdict(set)
        self.acknowledged: set[str] = set()
        self.acknowledged_twice: list[str] = []
        self.last_claim_s: dict[str, float] = {}
        self.lost_early: list[str] = []
        self.told: Counter[str] = Counter()

    def claimed(self, steps: list[ClaimedStep], since_s: float) -> None:
        """A claim is answered: all of its leases are held now, with all that are known besides."""
        now_s = _now_s()
        for step in steps:
            self.answered.add((step.workflow_id, step.token))
            self.claims[step.tenant].append((since_s, now_s))
            self.last_claim_s[step.tenant] = now_s
            lease = Lease(step.tenant, step.capability, since_s)
            self._held[step.step_id] = Hold(lease, since_s + step.lease_ttl_ms / 1_000)
        self._held = {id: hold for id, hold in self._held.items() if hold.until_s > now_s}
        self._in_force.check((hold.lease for hold in self._held.values()), "clients")

    def renewed(self, step: ClaimedStep, sent_s: float, lease_ttl_ms: int) -> None:
        hold = self._held.get(step.step_id)
        if hold is not None:
            hold.until_s = max(hold.until_s, sent_s + lease_ttl_ms / 1_000)

    def let_go(self, step: ClaimedStep) -> float:
        """Its end is about to be sent; returns until when the lease holds at least."""
        hold = self._held.pop(step.step_id, None)
        return 0.0 if hold is None else hold.until_s

    def lost(self, step: ClaimedStep, until_s: float) -> None:
        """A server says that the lease does not hold, and nothing that was sent before could have ended it."""
        if until_s > _now_s():
            self.lost_early.append(f"{step.step_id}, {until_s - _now_s():.3f} s before its end")

    def completed(self, step: ClaimedStep) -> None:
        """The completion is acknowledged."""
        row = f"{step.workflow_id}:{step.run_path}:{step.attempt}"
        if row in self.acknowledged:
            self.acknowledged_twice.append(row)
        self.acknowledged.add(row)
        self.over(step)

    def over(self, step: ClaimedStep) -> None:
        """An end was sent, and may count."""
        if step.run_path == steps_of(step.tenant)[-1]:
            self.done[step.tenant].add(step.workflow_id)

    def open(self, tenant: str) -> int:
        """How many instances have not ended, as far as is known."""
        return len(self.started[tenant]) - len(self.done[tenant])


def _now_s() -> float:
    return asyncio.get_running_loop().time()
