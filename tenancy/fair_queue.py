"""Start-time fair queueing over tenants, each tenant's own entries in rank order. Pure: no clock, no I/O.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (1996): a flow's start tag is the larger of the system's
virtual time and its last finish tag; the system's virtual time is the start tag of the entry in service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


@dataclass(slots=True, eq=False)
class _Flow(Generic[Entry]):
    """One tenant's waiting entries and how far it has been served."""

    weight: float = 1.0
    virtual_time: float = 0.0
    listed_at: float | None = None
    entries: list[tuple[int, int, Entry]] = field(default_factory=list)


class FairQueue(Generic[Entry]):
    """Entries of many tenants. `is_live` tells whether an entry still waits; the dead are dropped when met.

    `push` and `pop` cost O(log entries of the tenant + log tenants), amortised.
    """

    def __init__(self, is_live: Callable[[Entry], bool]) -> None:
        self._is_live = is_live
        self._flows: dict[str, _Flow[Entry]] = {}
        self._order: list[tuple[float, int, str]] = []
        self._virtual_time = 0.0
        self._pushed = 0

    def set_weight(self, tenant: str, weight: float) -> None:
        """From the next claim on, the tenant's standing entries are served under this weight (above 0)."""
        self._flows.setdefault(tenant, _Flow()).weight = weight

    def push(self, tenant: str, rank: int, entry: Entry) -> None:
        """Add an entry; within a tenant the lowest rank is served first, and the first pushed among equals."""
        flow = self._flows.get(tenant)
        if flow is None:
            flow = self._flows[tenant] = _Flow()
        self._pushed += 1
        heappush(flow.entries, (rank, self._pushed, entry))
        if flow.listed_at is None:
            flow.virtual_time = max(flow.virtual_time, self._virtual_time)
            self._list(tenant, flow)

    def pop(self, tenant: str | None = None, cost: float = 1.0) -> Entry | None:
        """The next live entry, of the tenant furthest behind or of the one named; None when there is none."""
        return self._pop_fairest(cost) if tenant is None else self._pop_of(tenant, cost)

    def charge(self, tenant: str, cost: float) -> None:
        """Correct what a tenant's earlier claim cost, once it is known (negative: it cost less)."""
        flow = self._flows.get(tenant)
        if flow is not None:
            flow.virtual_time += cost / flow.weight

    def _pop_fairest(self, cost: float) -> Entry | None:
        while self._order:
            listed_at, _, tenant = heappop(self._order)
            flow = self._flows[tenant]
            if flow.listed_at != listed_at:
                continue
            if listed_at < flow.virtual_time:
                # Served by name or charged since it was listed: it goes to where it belongs now.
                self._list(tenant, flow)
                continue
            flow.listed_at = None
            entry = self._take(flow)
            if entry is None:
                continue
            self._virtual_time = max(self._virtual_time, flow.virtual_time)
            flow.virtual_time += cost / flow.weight
            if flow.entries:
                self._list(tenant, flow)
            return entry
        return None

    def _pop_of(self, tenant: str, cost: float) -> Entry | None:
        flow = self._flows.get(tenant)
        if flow is None:
            return None
        entry = self._take(flow)
        if entry is not None:
            flow.virtual_time += cost / flow.weight
        return entry

    def _take(self, flow: _Flow[Entry]) -> Entry | None:
        while flow.entries:
            entry = heappop(flow.entries)[2]
            if self._is_live(entry):
                return entry
        return None

    def _list(self, tenant: str, flow: _Flow[Entry]) -> None:
        flow.listed_at = flow.virtual_time
        self._pushed += 1
        heappush(self._order, (flow.virtual_time, self._pushed, tenant))
