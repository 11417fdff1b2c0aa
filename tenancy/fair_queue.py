"""Start-time fair queueing over tenants, each tenant's own entries in rank order. Pure: no clock, no I/O.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (1996): a flow's start tag is the larger of the system's
virtual time and its last finish tag; the system's virtual time is the start tag of the entry in service. What a tenant
was served by other queues of the same kind is charged here too, as in Y. Wang, A. Merchant, "Proportional-Share
Scheduling for Distributed Storage Systems" (FAST 2007), so that shares hold over all of them together.

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
    """One tenant's entries in one lane. `listed_at`: the virtual time it stands under in its lane; None: in none."""

    entries: list[tuple[int, int, Entry]] = field(default_factory=list)
    listed_at: float | None = None
    blocked: bool = False


@dataclass(slots=True, eq=False)
class _Flow(Generic[Entry]):
    """How far one tenant has been served. `listed` counts its lines that can be served."""

    weight: float
    virtual_time: float
    lines: dict[object, _Line[Entry]] = field(default_factory=dict)
    listed: int = 0


@dataclass(slots=True, eq=False)
class _Order:
    """One lane's tenants by virtual time. A place that its line does not stand under any more is passed over."""

    places: list[tuple[float, int, str]] = field(default_factory=list)
    closed: bool = False


def _passes(_tenant: str, _lane: object) -> May:
    return May.PASS


def _one(_subject: object) -> float:
    return 1.0


class FairQueue(Generic[Entry]):
    """Entries of many tenants. `is_live` tells whether an entry still waits; the dead are dropped when met.

    `cost_of` says what serving an entry costs, `weight_of` a tenant's weight (above 0). `debt_max`: how far charges may
    put a tenant behind the others, in cost at weight 1. `served` is what was charged for entries taken here since
    somebody took it.

    `push` and `pop` cost O(lanes * log tenants + log entries of the tenant), amortised.
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
        self._orders: dict[object, _Order] = {}
        self._virtual_time = 0.0
        self._pushed = 0
        self._sweep_at = _SWEEP_TENANTS
        self.served: dict[str, float] = {}

    def reweigh(self) -> None:
        """Weights have changed: from the next claim on, standing entries are served under the new ones."""
        for tenant, flow in self._flows.items():
            flow.weight = self._weight_of(tenant)

    def push(self, tenant: str, rank: int, entry: Entry, lane: object = None) -> None:
        """Add an entry; within a tenant the lowest rank is served first, and the first pushed among equals."""
        flow = self._flows.get(tenant) or self._new_flow(tenant)
        line = flow.lines.get(lane)
        if line is None:
            line = flow.lines[lane] = _Line()
        self._pushed += 1
        heappush(line.entries, (rank, self._pushed, entry))
        if line.listed_at is None and not line.blocked:
            self._list(tenant, flow, line, lane)

    def pop(self, tenant: str | None = None, may: Callable[[str, object], May] = _passes) -> Entry | None:
        """The next live entry, of the tenant furthest behind or of the one named; None when there is none.

        `may` is asked about each before it is taken; what it refuses is blocked or closed, and the next one has a turn.
        """
        while True:
            tenant_found = self._furthest_behind() if tenant is None else tenant
            flow = None if tenant_found is None else self._flows.get(tenant_found)
            if tenant_found is None or flow is None:
                return None
            lane = self._first_lane(tenant_found, flow)
            if lane is None:
                if tenant is not None:
                    return None
                continue
            verdict = may(tenant_found, lane[0])
            if verdict is May.PASS:
                return self._take(tenant_found, flow, lane[0], named=tenant is not None)
            if verdict is May.CLOSE_LANE:
                self.close(lane[0])
            else:
                self._block(flow, lane[0])

    def unblock(self, tenant: str, lane: object) -> None:
        """A tenant's entries of a lane may be taken again."""
        flow = self._flows.get(tenant)
        line = None if flow is None else flow.lines.get(lane)
        if flow is not None and line is not None and line.blocked:
            line.blocked = False
            if line.entries:
                self._list(tenant, flow, line, lane)
            else:
                del flow.lines[lane]

    def close(self, lane: object) -> None:
        """Nothing of the lane is taken until it is opened."""
        order = self._orders.get(lane)
        if order is not None:
            order.closed = True

    def open(self, lane: object) -> None:
        order = self._orders.get(lane)
        if order is not None:
            order.closed = False

    def forget(self, lane: object) -> None:
        """The lane is gone, with all that waited in it."""
        if self._orders.pop(lane, None) is None and lane is None:
            return
        for flow in self._flows.values():
            line = flow.lines.pop(lane, None)
            if line is not None and line.listed_at is not None:
                flow.listed -= 1

    def charge(self, tenant: str, cost: float) -> None:
        """Correct what a tenant's earlier claim cost, once it is known (negative: it cost less)."""
        flow = self._flows.get(tenant)
        if flow is not None:
            self.served[tenant] = self.served.get(tenant, 0.0) + cost
            self._charge(tenant, flow, cost)

    def charge_elsewhere(self, served: Mapping[str, float]) -> None:
        """What tenants were served by other queues: it counts for those that wait for something here."""
        for tenant, cost in served.items():
            flow = self._flows.get(tenant)
            if flow is not None and flow.listed:
                self._charge(tenant, flow, cost)

    def _charge(self, tenant: str, flow: _Flow[Entry], cost: float) -> None:
        self._owe(flow, cost)
        if cost < 0 and flow.listed:
            # It has a right to an earlier place. One that is to come later is corrected when it is met.
            for lane, line in flow.lines.items():
                if line.listed_at is not None:
                    self._place(tenant, flow, line, lane)

    def _owe(self, flow: _Flow[Entry], cost: float) -> None:
        latest = max(flow.virtual_time, self._virtual_time + self._debt_max / flow.weight)
        flow.virtual_time = min(latest, flow.virtual_time + cost / flow.weight)

    def _furthest_behind(self) -> str | None:
        """The tenant with the least virtual time that has a live entry in an open lane."""
        found: tuple[float, int, str] | None = None
        for lane, order in self._orders.items():
            if not order.closed:
                place = self._first_place(lane, order)
                if place is not None and (found is None or place < found):
                    found = place
        return None if found is None else found[2]

    def _first_place(self, lane: object, order: _Order) -> tuple[float, int, str] | None:
        places = order.places
        while places:
            place = places[0]
            listed_at, _, tenant = place
            flow = self._flows.get(tenant)
            line = None if flow is None else flow.lines.get(lane)
            if flow is None or line is None or line.listed_at != listed_at:
                heappop(places)
            elif listed_at < flow.virtual_time:
                # Served or charged since it was listed: it goes to where it belongs now.
                self._pushed += 1
                line.listed_at = flow.virtual_time
                heapreplace(places, (flow.virtual_time, self._pushed, tenant))
            elif self._is_live(line.entries[0][2]) or self._cleared(line):
                return place
            else:
                heappop(places)
                self._drop(flow, line, lane)
        return None

    def _first_lane(self, tenant: str, flow: _Flow[Entry]) -> tuple[object] | None:
        """The lane, in a tuple, with the tenant's live entry of the lowest rank, of those that are open to it."""
        if len(flow.lines) == 1:
            ((lane, line),) = flow.lines.items()
            return (lane,) if self._can_serve(flow, line, lane) else None
        found: tuple[object] | None = None
        best = (0, 0)
        for lane, line in list(flow.lines.items()):
            if self._can_serve(flow, line, lane):
                head = line.entries[0][:2]
                if found is None or head < best:
                    found, best = (lane,), head
        return found

    def _can_serve(self, flow: _Flow[Entry], line: _Line[Entry], lane: object) -> bool:
        if line.blocked or self._orders[lane].closed:
            return False
        if line.entries and (self._is_live(line.entries[0][2]) or self._cleared(line)):
            return True
        self._drop(flow, line, lane)
        return False

    def _cleared(self, line: _Line[Entry]) -> bool:
        """Drop the dead at the head of a line; whether any entry is left."""
        entries = line.entries
        while entries and not self._is_live(entries[0][2]):
            heappop(entries)
        return bool(entries)

    def _take(self, tenant: str, flow: _Flow[Entry], lane: object, *, named: bool) -> Entry:
        line = flow.lines[lane]
        entry = heappop(line.entries)[2]
        cost = self._cost_of(entry)
        self.served[tenant] = self.served.get(tenant, 0.0) + cost
        if named:
            # It was not its turn, so it owes that; but not without end while nobody else wants anything.
            self._owe(flow, cost)
        else:
            self._virtual_time = max(self._virtual_time, flow.virtual_time)
            flow.virtual_time += cost / flow.weight
        if not line.entries:
            self._drop(flow, line, lane)
        return entry

    def _drop(self, flow: _Flow[Entry], line: _Line[Entry], lane: object) -> None:
        """A line is empty."""
        if line.listed_at is not None:
            line.listed_at = None
            flow.listed -= 1
        if not line.blocked:
            del flow.lines[lane]

    def _block(self, flow: _Flow[Entry], lane: object) -> None:
        line = flow.lines[lane]
        line.blocked = True
        if line.listed_at is not None:
            line.listed_at = None
            flow.listed -= 1

    def _list(self, tenant: str, flow: _Flow[Entry], line: _Line[Entry], lane: object) -> None:
        """A line can be served from now on. A tenant that had nothing to be served gets no credit for that."""
        if not flow.listed:
            flow.virtual_time = max(flow.virtual_time, self._virtual_time)
        flow.listed += 1
        self._place(tenant, flow, line, lane)

    def _place(self, tenant: str, flow: _Flow[Entry], line: _Line[Entry], lane: object) -> None:
        order = self._orders.get(lane)
        if order is None:
            order = self._orders[lane] = _Order()
        line.listed_at = flow.virtual_time
        self._pushed += 1
        heappush(order.places, (flow.virtual_time, self._pushed, tenant))

    def _new_flow(self, tenant: str) -> _Flow[Entry]:
        if len(self._flows) >= self._sweep_at:
            self._sweep()
        flow: _Flow[Entry] = _Flow(self._weight_of(tenant), self._virtual_time)
        self._flows[tenant] = flow
        return flow

    def _sweep(self) -> None:
        """Forget the tenants that wait for nothing and owe nothing."""
        idle = [name for name, flow in self._flows.items() if not flow.lines and self._owes_nothing(flow)]
        for name in idle:
            del self._flows[name]
        self._sweep_at = max(_SWEEP_TENANTS, 2 * len(self._flows))

    def _owes_nothing(self, flow: _Flow[Entry]) -> bool:
        return flow.virtual_time <= self._virtual_time
