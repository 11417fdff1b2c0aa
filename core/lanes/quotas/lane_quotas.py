"""Whether a step of a lane may be claimed now, by what is in force for its tenant and its capability.

A slot is a lease, or one whose end is not acknowledged yet (`Resident.leases`, `Resident.freed`): holdings count these
and nothing else, so none can leak, and a limit holds in every state of the lane that Elasticsearch ever held.

What is refused is blocked in the ready queue, and tried again when that may help: units come (`supplied`), a slot is
free (`freed`), a rate has filled, a stop is over (`reopen`), or other rules are in force (`rules_changed`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from ....tenancy import May
from ....tenancy.quotas import EVERY, Holding, Quota, allowance, lack_of, step_quotas, take_all
from ....tenancy.stops import Stop
from ...machine.events import AttemptRecord

if TYPE_CHECKING:
    from ..lane import Lane
    from ..memory.ready_queue import ReadyStep
    from ..memory.resident import Resident

_GATES_MAX = 50_000
_PAUSED = Stop("paused", 0, 0, None, "the tenant is paused")

Line = tuple[str, str]


class Stopper(Protocol):
    """Something beside quotas that may hold steps back, such as a budget that is spent. Asked on every claim: O(1)."""

    def stop(self, tenant: str, capability: str) -> Stop | None:
        """Why no step of that tenant and capability may be claimed now; None when one may."""

    def began(self, tenant: str, capability: str) -> None:
        """A step that was let through is claimed."""


class _Gate(Struct):
    """What a step of one tenant and capability has to pass. `watched`: stoppers have a say."""

    holdings: tuple[Holding, ...]
    paused: bool
    watched: bool


class LaneQuotas:
    """One lane's gate (the queue's `Gate`), and its holdings of steps and instances. All of it is synchronous.

    Costs a claim nothing but an attribute where no limits are in force, else some dictionary look-ups.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._parts = lane.parts
        self.holdings: dict[Quota, Holding] = {}
        self._gates: dict[Line, _Gate | None] = {}
        # Whom the lack of units holds back: lines of the queue, or (`*`, capability) for all of the lane's.
        self._blocked: dict[Holding, set[Line]] = {}
        self._stopped: set[Line] = set()
        self._naps: dict[Holding, asyncio.TimerHandle] = {}
        self._free_for_all = not self._parts.tenants.rules.limits_steps

    def may(self, tenant: str, capability: str) -> May:
        """As `Gate.may`: whoever passes has taken a unit of all that it needs."""
        if self._free_for_all:
            return May.PASS
        gate = self._gate(tenant, capability)
        return May.PASS if gate is None else self._pass(gate, (tenant, capability))

    def give_back(self, tenant: str, capability: str) -> None:
        """What passed was not leased after all."""
        gate = self._gate(tenant, capability)
        for holding in () if gate is None else gate.holdings:
            holding.put_back()
        self._parts.breakers.put_back(tenant, capability)

    def granted(self, resident: Resident, step: ReadyStep) -> None:
        """A step that passed is leased."""
        if not self._free_for_all:
            self._parts.breakers.granted(resident, step.path, step.capability)
        if self._parts.costs.by_time:
            if resident.charged is None:
                resident.charged = {}
            resident.charged[step.path] = (step.cost, self._parts.clock.monotonic_ms())

    def attempt_ended(self, resident: Resident, record: AttemptRecord) -> None:
        """How an attempt ended is known."""
        if not self._free_for_all:
            self._parts.breakers.ended(resident, record)

    def lease_ended(self, resident: Resident, path: str) -> None:
        """Nobody holds the step any more, in memory: its slot is free when that is acknowledged."""
        if resident.leases.pop(path, None) is None:
            return
        resident.freed.append(path)
        if resident.progress is not None:
            resident.progress.pop(path, None)
        charged = None if resident.charged is None else resident.charged.pop(path, None)
        if charged is not None:
            self._settle_cost(resident, path, *charged)

    def renewed(self, resident: Resident, path: str) -> None:
        """A step runs on: what it has cost beyond what was charged for it counts already."""
        charged = resident.charged
        if charged is not None and path in charged:
            cost, since_ms = charged[path]
            over_ms = self._parts.clock.monotonic_ms() - since_ms - cost
            if over_ms > 0:
                charged[path] = (cost + over_ms, since_ms)
                self._parts.queue.charge(resident.instance.tenant, resident.plan.step(path).executor, over_ms)

    def freed(self, resident: Resident, paths: Sequence[str]) -> None:
        """The ends of these leases are acknowledged."""
        if self._free_for_all:
            return
        tenant = resident.instance.tenant
        for path in paths:
            for holding in self._slots(tenant, resident.plan.step(path).executor):
                holding.put_back()
                self._has_room(holding)

    def loaded(self, resident: Resident) -> None:
        """An instance came into memory with its leases."""
        if self._free_for_all or not (resident.leases or resident.freed):
            return
        for capability in _slots_of(resident):
            for holding in self._slots(resident.instance.tenant, capability):
                holding.used += 1

    def left(self, resident: Resident) -> None:
        """An instance has left memory for good, or what memory held of it is void."""
        if self._free_for_all or not (resident.leases or resident.freed):
            return
        self.freed(resident, [*resident.leases, *resident.freed])

    def holding(self, quota: Quota) -> Holding | None:
        """The lane's share of a quota that is in force; None where it limits nothing (any more)."""
        found = self.holdings.get(quota)
        if found is None:
            parts = self._parts
            allowed = allowance(parts.tenants.rules, quota)
            if allowed is None:
                return None
            found = self.holdings[quota] = Holding(quota, allowed, now_ms=parts.clock.monotonic_ms())
            found.used = self._count(quota)
            parts.shares.want(self._lane, found)
        return found

    def rules_changed(self) -> None:
        """Other rules are in force: every holding follows, and all that is held back is tried again under them."""
        rules, now_ms = self._parts.tenants.rules, self._parts.clock.monotonic_ms()
        for quota, holding in list(self.holdings.items()):
            allowed = allowance(rules, quota)
            if allowed is None:
                del self.holdings[quota]
                self._parts.shares.drop(self._lane, holding)
            elif allowed != holding.allowance:
                holding.allow(allowed, now_ms)
                self._parts.shares.want(self._lane, holding)
        self._free_for_all = not rules.limits_steps
        self._gates.clear()
        self._count_what_runs()
        held_back = [line for lines in self._blocked.values() for line in lines]
        self._blocked.clear()
        self._open(held_back)
        self.reopen()
        self._lane.admission.rules_changed()

    def supplied(self, holding: Holding) -> None:
        """A holding has got units, or its quota has opened: what was refused for want of them is tried again."""
        now_ms = self._parts.clock.monotonic_ms()
        if holding.free(now_ms) > 0:
            self._open(self._blocked.pop(holding, ()))
        elif holding in self._blocked and (wait_ms := holding.wait_ms(now_ms)) is not None:
            self._nap(holding, wait_ms)
        self._lane.admission.supplied(holding)

    def reopen(self, tenant: str | None = None) -> None:
        """A stop is over: that tenant's steps, or everybody's, are tried again."""
        lines = [line for line in self._stopped if tenant is None or line[0] == tenant]
        self._stopped.difference_update(lines)
        self._open(lines)

    def why(self, tenant: str, capability: str) -> Stop | None:
        """What holds back the tenant's steps of a capability in this lane at the moment."""
        gate = None if self._free_for_all else self._gate(tenant, capability)
        if gate is None:
            return None
        stop = self._stop(gate, (tenant, capability))
        if stop is not None:
            return stop
        now_ms = self._parts.clock.monotonic_ms()
        for holding in gate.holdings:
            if holding.free(now_ms) < 1:
                return lack_of(holding, now_ms)
        return None

    def close(self) -> None:
        """The lane is lost."""
        self._parts.queue.forget(self)
        for nap in self._naps.values():
            nap.cancel()
        self._naps.clear()
        self._blocked.clear()
        self._stopped.clear()

    # Inside

    def _pass(self, gate: _Gate, line: Line) -> May:
        if self._stop(gate, line) is not None:
            self._stopped.add(line)
            return May.BLOCK_TENANT
        now_ms = self._parts.clock.monotonic_ms()
        lacking = take_all(gate.holdings, now_ms)
        if lacking is not None:
            return self._refuse(lacking, line, now_ms)
        if gate.watched:
            for stopper in self._parts.stoppers:
                stopper.began(*line)
        return May.PASS

    def _stop(self, gate: _Gate, line: Line) -> Stop | None:
        if gate.paused:
            return _PAUSED
        for stopper in self._parts.stoppers if gate.watched else ():
            stop = stopper.stop(*line)
            if stop is not None:
                return stop
        return None

    def _refuse(self, holding: Holding, line: Line, now_ms: int) -> May:
        of_all = holding.quota.tenant == EVERY
        self._blocked.setdefault(holding, set()).add((EVERY, line[1]) if of_all else line)
        wait_ms = holding.wait_ms(now_ms) if holding.open else None
        if wait_ms is None:
            self._parts.shares.want(self._lane, holding)
        elif holding not in self._naps:
            self._nap(holding, wait_ms)
        return May.CLOSE_LANE if of_all else May.BLOCK_TENANT

    def _count_what_runs(self) -> None:
        """What is leased counts against limits that are new, though nothing more is asked for here."""
        if self._free_for_all:
            return
        rules = self._parts.tenants.rules
        lines = {
            (resident.instance.tenant, capability)
            for resident in self._lane.residents.values()
            if resident.leases or resident.freed
            for capability in _slots_of(resident)
        }
        for tenant, capability in lines:
            for quota in step_quotas(rules, tenant, capability):
                if not quota.of_rate:
                    self.holding(quota)

    def _nap(self, holding: Holding, wait_ms: int) -> None:
        """Try again when a unit of a rate is there; another time than that from before, where the share has changed."""
        before = self._naps.pop(holding, None)
        if before is not None:
            before.cancel()
        loop = asyncio.get_running_loop()
        self._naps[holding] = loop.call_later(max(1, wait_ms) / 1_000, self._filled, holding)

    def _filled(self, holding: Holding) -> None:
        """A rate has a unit again."""
        self._naps.pop(holding, None)
        self._open(self._blocked.pop(holding, ()))

    def _has_room(self, holding: Holding) -> None:
        if holding.owed:
            self._parts.shares.freed(self._lane, holding)
        if holding in self._blocked:
            self.supplied(holding)

    def _open(self, lines: Sequence[Line] | set[Line]) -> None:
        if not lines:
            return
        for tenant, capability in lines:
            if tenant == EVERY:
                self._parts.queue.open(capability, self)
            else:
                self._parts.queue.unblock(tenant, capability, self)
        self._lane.step_ready()

    def _gate(self, tenant: str, capability: str) -> _Gate | None:
        line = (tenant, capability)
        try:
            return self._gates[line]
        except KeyError:
            if len(self._gates) > _GATES_MAX:
                self._gates.clear()
            gate = self._gates[line] = self._made_gate(tenant, capability)
            return gate

    def _made_gate(self, tenant: str, capability: str) -> _Gate | None:
        rules = self._parts.tenants.rules
        found = (self.holding(quota) for quota in step_quotas(rules, tenant, capability))
        holdings = tuple(holding for holding in found if holding is not None)
        of_tenant = rules.of(tenant)
        of_capability = (of_tenant.capabilities.get(capability), rules.capabilities.get(capability))
        watched = bool(
            of_tenant.budgets or of_tenant.breaker or any(one is not None and one.breaker for one in of_capability)
        )
        if holdings or watched or of_tenant.paused:
            return _Gate(holdings, of_tenant.paused, watched)
        return None

    def _slots(self, tenant: str, capability: str) -> list[Holding]:
        """The holdings that count leases of a tenant and capability. One that is not there counts when it is made."""
        gate = self._gates.get((tenant, capability))
        if gate is not None:
            return [holding for holding in gate.holdings if not holding.quota.of_rate]
        quotas = (Quota("running_steps", *whose) for whose in ((tenant, ""), (tenant, capability), (EVERY, capability)))
        return [self.holdings[quota] for quota in quotas if quota in self.holdings]

    def _count(self, quota: Quota) -> int:
        """The slots of a quota of running steps, from what is leased in memory: that is all that is leased."""
        if quota.kind != "running_steps":
            return self._lane.instances.count(quota)
        return sum(
            quota.scope in ("", capability)
            for resident in self._lane.residents.values()
            if quota.tenant in (EVERY, resident.instance.tenant)
            for capability in _slots_of(resident)
        )

    def _settle_cost(self, resident: Resident, path: str, cost: float, since_ms: int) -> None:
        planned = resident.plan.step(path)
        took_ms = self._parts.clock.monotonic_ms() - since_ms
        self._parts.costs.learn((resident.instance.workflow, planned.name), took_ms)
        if took_ms != cost:
            self._parts.queue.charge(resident.instance.tenant, planned.executor, took_ms - cost)


def _slots_of(resident: Resident) -> Iterator[str]:
    """The capabilities of the instance's leases, those among them whose end is not acknowledged."""
    for path in (*resident.leases, *resident.freed):
        yield resident.plan.step(path).executor
