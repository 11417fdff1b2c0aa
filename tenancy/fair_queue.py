"""Start-time fair queueing over tenants, each tenant's own entries in rank order. Pure: no clock, no I/O.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (1996): a flow's start tag is the larger of the system's
virtual time and its last finish tag; the system's virtual time is the start tag of the entry in service. What other
queues of the same kind served can be made up for here, after Y. Wang, A. Merchant, "Proportional-Share Scheduling for
Distributed Storage Systems" (FAST 2007), so that shares hold over all of them together.

Entries stand in *lanes*. A tenant's entries of one lane can be blocked, and a lane can be closed as a whole, without
touching what waits there; neither is looked at again before it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush, heapreplace
from typing import Generic, TypeVar

Entry = TypeVar("Entry")

# So many tenants are remembered before those are forgotten about whom there is nothing to know.
_SWEEP_TENANTS = 1_024


class May(IntEnum):
    """Whether an entry may be taken: if not, because of its tenant, or because of its lane."""

    PASS = 0
    BLOCK_TENANT = 1
    CLOSE_LANE = 2


@dataclass(slots=True, eq=False)
class _Line(Generic[Entry]):
    """One tenant's entries in one lane."""

    entries: list[tuple[int, int, Entry]] = field(default_factory=list)
    blocked: bool = False


@dataclass(slots=True, eq=False)
class _Flow(Generic[Entry]):
    """How far one tenant has been served. `listed_at`: the virtual time it stands under among those with a turn.

    `parked`: the same for lanes that were closed when it had its turn, and nothing else of it could be taken.
    """

    tenant: str
    weight: float
    virtual_time: float
    lines: dict[object, _Line[Entry]] = field(default_factory=dict)
    listed_at: float | None = None
    parked: dict[object, float] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        return self.listed_at is not None or bool(self.parked)


_Place = tuple[float, int, _Flow[Entry]]


def _passes(_tenant: str, _lane: object) -> May:
    return May.PASS


def _one(_subject: object) -> float:
    return 1.0


class FairQueue(Generic[Entry]):
    """Entries of many tenants. `is_live` tells whether an entry still waits; the dead are dropped when met.

    `cost_of` says what serving an entry costs, `weight_of` a tenant's weight (above 0). `debt_max`: how far charges may
    put a tenant behind the others or before them, in virtual time (cost at weight 1). `served` is what was charged for
    entries taken here since somebody took it.

    `push` and `pop` cost O(log tenants + log entries of the tenant), amortised, and a step for each lane of the tenant.
    """

    def __init__(
        self,
        is_live: Callable[[Entry], bool],
        *,
        cost_of: Callable[[Entry], float] = _one,
        weight_of: Callable[[str], float] = _one,
        debt_max: float = float("inf"),
    ) -> None:
        self._is_live = is_live
        self._cost_of = cost_of
        self._weight_of = weight_of
        self._debt_max = debt_max
        self._flows: dict[str, _Flow[Entry]] = {}
        # Heaps by virtual time. A place that its flow does not stand under any more is passed over.
        self._order: list[_Place[Entry]] = []
        self._parked: dict[object, list[_Place[Entry]]] = {}
        self._closed: set[object] = set()
        self._virtual_time = 0.0
        # The latest that any tenant was put to, and how many have something that can be served.
        self._latest = 0.0
        self._waiting = 0
        self._pushed = 0
        self._sweep_at = _SWEEP_TENANTS
        self.served: dict[str, float] = {}

    def reweigh(self) -> None:
        """Weights have changed: from the next claim on, standing entries are served under the new ones."""
        for tenant, flow in self._flows.items():
            flow.weight = self._weight_of(tenant)

    @property
    def reweighs(self) -> bool:
        """Whether `reweigh` would change anything. O(tenants)."""
        return any(flow.weight != self._weight_of(tenant) for tenant, flow in self._flows.items())

    def push(self, tenant: str, rank: int, entry: Entry, lane: object = None) -> None:
        """Add an entry; within a tenant the lowest rank is served first, and the first pushed among equals."""
        flow = self._flows.get(tenant) or self._new_flow(tenant)
        line = flow.lines.get(lane)
        if line is None:
            line = flow.lines[lane] = _Line()
        self._pushed += 1
        heappush(line.entries, (rank, self._pushed, entry))
        if flow.listed_at is None and not line.blocked and lane not in flow.parked:
            self._list(flow)

    def pop(self, tenant: str | None = None, may: Callable[[str, object], May] = _passes) -> Entry | None:
        """The next live entry, of the tenant furthest behind or of the one named; None when there is none.

        `may` is asked about each before it is taken; what it refuses is blocked or closed, and the next one has a turn.
        """
        while True:
            flow = self._furthest_behind() if tenant is None else self._flows.get(tenant)
            if flow is None:
                return None
            best = self._best(flow)
            if best is None:
                if tenant is not None:
                    return None
                self._set_aside(flow)
                continue
            lane, line = best
            verdict = may(flow.tenant, lane)
            if verdict is May.PASS:
                return self._take(flow, lane, line, named=tenant is not None)
            if verdict is May.CLOSE_LANE:
                self.close(lane)
            else:
                line.blocked = True

    def unblock(self, tenant: str, lane: object) -> None:
        """A tenant's entries of a lane may be taken again."""
        flow = self._flows.get(tenant)
        line = None if flow is None else flow.lines.get(lane)
        if flow is not None and line is not None and line.blocked:
            line.blocked = False
            if flow.listed_at is None and lane not in flow.parked:
                self._list(flow)

    def close(self, lane: object) -> None:
        """Nothing of the lane is taken until it is opened."""
        self._closed.add(lane)

    def open(self, lane: object) -> None:
        self._closed.discard(lane)

    def forget(self, lane: object) -> None:
        """The lane is gone, with all that waited in it."""
        self._closed.discard(lane)
        self._parked.pop(lane, None)
        for flow in self._flows.values():
            flow.lines.pop(lane, None)
            if flow.parked.pop(lane, None) is not None and not flow.waits:
                self._at_rest()

    def charge(self, tenant: str, cost: float) -> None:
        """Correct what a tenant's earlier claim cost, once it is known (negative: it cost less)."""
        flow = self._flows.get(tenant)
        if flow is not None:
            self.served[tenant] = self.served.get(tenant, 0.0) + cost
            self._charge(flow, cost)

    def waiting(self) -> dict[str, float]:
        """The weights of the tenants for which something can be taken. O(tenants)."""
        return {tenant: flow.weight for tenant, flow in self._flows.items() if flow.waits}

    def adjust(self, costs: Mapping[str, float]) -> None:
        """Put tenants that wait here behind by so much, or before (negative), for what happened elsewhere."""
        for tenant, cost in costs.items():
            flow = self._flows.get(tenant)
            if flow is not None and flow.waits:
                self._charge(flow, cost)

    def _charge(self, flow: _Flow[Entry], cost: float) -> None:
        self._owe(flow, cost)
        if cost < 0:
            # It has a right to an earlier place. One that is to come later is corrected when it is met.
            if flow.listed_at is not None:
                flow.listed_at = self._place(flow, self._order)
            for lane in flow.parked:
                flow.parked[lane] = self._place(flow, self._parked[lane])

    def _owe(self, flow: _Flow[Entry], cost: float) -> None:
        latest = max(flow.virtual_time, self._virtual_time + self._debt_max)
        earliest = min(flow.virtual_time, self._virtual_time - self._debt_max)
        flow.virtual_time = max(earliest, min(latest, flow.virtual_time + cost / flow.weight))
        self._latest = max(self._latest, flow.virtual_time)

    def _furthest_behind(self) -> _Flow[Entry] | None:
        """The tenant with the least virtual time of those that have a turn."""
        order = self._order
        found: _Place[Entry] | None = None
        while order:
            place = order[0]
            flow = place[2]
            listed_at = flow.listed_at
            if listed_at != place[0]:
                heappop(order)
            elif listed_at < flow.virtual_time:
                # Served or charged since it was listed: it goes to where it belongs now.
                self._pushed += 1
                listed_at = flow.listed_at = flow.virtual_time
                heapreplace(order, (listed_at, self._pushed, flow))
            else:
                found = place
                break
        for lane in self._parked if self._parked else ():
            if lane not in self._closed:
                place_there = self._first_parked(lane)
                if place_there is not None and (found is None or place_there < found):
                    found = place_there
        return None if found is None else found[2]

    def _first_parked(self, lane: object) -> _Place[Entry] | None:
        """The first of those that were set aside while the lane was closed, which it is not any more."""
        order = self._parked[lane]
        while order:
            place = order[0]
            at, _, flow = place
            if flow.parked.get(lane) != at or flow.listed_at is not None:
                heappop(order)
                if flow.listed_at is not None:
                    flow.parked.pop(lane, None)
            elif at < flow.virtual_time:
                heappop(order)
                flow.parked[lane] = self._place(flow, order)
            else:
                return place
        return None

    def _best(self, flow: _Flow[Entry]) -> tuple[object, _Line[Entry]] | None:
        """The lane with the tenant's live entry of the lowest rank, of those that are open to it."""
        found: tuple[object, _Line[Entry]] | None = None
        empty = None
        for lane, line in flow.lines.items():
            if line.blocked or lane in self._closed:
                continue
            entries = line.entries
            while entries and not self._is_live(entries[0][2]):
                heappop(entries)
            if not entries:
                empty = lane
            elif found is None or entries[0] < found[1].entries[0]:
                found = (lane, line)
        if empty is not None and found is None:
            del flow.lines[empty]
            return self._best(flow)
        return found

    def _take(self, flow: _Flow[Entry], lane: object, line: _Line[Entry], *, named: bool) -> Entry:
        entry = heappop(line.entries)[2]
        cost = self._cost_of(entry)
        tenant = flow.tenant
        self.served[tenant] = self.served.get(tenant, 0.0) + cost
        if named:
            # It was not its turn, so it owes that; but not without end while nobody else wants anything.
            self._owe(flow, cost)
        else:
            self._virtual_time = max(self._virtual_time, flow.virtual_time)
            flow.virtual_time += cost / flow.weight
            self._latest = max(self._latest, flow.virtual_time)
        if not line.entries:
            del flow.lines[lane]
            if not flow.lines:
                self._set_aside(flow)
        return entry

    def _set_aside(self, flow: _Flow[Entry]) -> None:
        """Nothing of the tenant can be taken now: it waits for lanes to open, to be unblocked, or for nothing."""
        waited = flow.waits
        flow.listed_at = None
        lanes = [lane for lane, line in flow.lines.items() if line.entries and not line.blocked]
        flow.parked = {lane: self._place(flow, self._parked.setdefault(lane, [])) for lane in lanes}
        if waited and not lanes:
            self._at_rest()

    def _at_rest(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            # The busy period is over: whoever comes next begins with a clean sheet (Goyal et al., section 2, rule 2).
            self._virtual_time = max(self._virtual_time, self._latest)

    def _list(self, flow: _Flow[Entry]) -> None:
        """Something can be served from now on. A tenant that had nothing to be served gets no credit for that."""
        if not flow.parked:
            flow.virtual_time = max(flow.virtual_time, self._virtual_time)
            self._waiting += 1
        flow.listed_at = self._place(flow, self._order)

    def _place(self, flow: _Flow[Entry], order: list[_Place[Entry]]) -> float:
        self._pushed += 1
        heappush(order, (flow.virtual_time, self._pushed, flow))
        return flow.virtual_time

    def _new_flow(self, tenant: str) -> _Flow[Entry]:
        if len(self._flows) >= self._sweep_at:
            self._sweep()
        flow: _Flow[Entry] = _Flow(tenant, self._weight_of(tenant), self._virtual_time)
        self._flows[tenant] = flow
        return flow

    def _sweep(self) -> None:
        """Forget the tenants that wait for nothing and owe nothing."""
        idle = [
            name for name, flow in self._flows.items() if not flow.lines and flow.virtual_time <= self._virtual_time
        ]
        for name in idle:
            del self._flows[name]
        self._sweep_at = max(_SWEEP_TENANTS, 2 * len(self._flows))
