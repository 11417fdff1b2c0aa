"""Who asks for work: the executors that claimed, or waited for a step, of each capability within the last minute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from ...ports import Clock

SEEN_FOR_MS = 60_000
_WORKERS_MAX = 100
_PAIRS_MAX = 10_000


class Executors:
    """One replica's knowledge, of its own callers and of those of peers that waited here. Bounded: the oldest go."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], OrderedDict[str, int]] = OrderedDict()

    def saw(self, capabilities: Iterable[str], tenant: str, worker: str) -> None:
        """A worker asks, or has stopped waiting, for steps of these capabilities; `*` works for every tenant."""
        now_ms = self._clock.monotonic_ms()
        for capability in capabilities:
            pair = (capability, tenant)
            workers = self._seen.setdefault(pair, OrderedDict())
            workers[worker] = now_ms
            workers.move_to_end(worker)
            self._seen.move_to_end(pair)
            if len(workers) > _WORKERS_MAX:
                workers.popitem(last=False)
        while len(self._seen) > _PAIRS_MAX:
            self._seen.popitem(last=False)

    def of(self, capability: str, tenants: Iterable[str]) -> list[str]:
        """The workers that asked for the capability, for one of these tenants, within `SEEN_FOR_MS`."""
        since_ms = self._clock.monotonic_ms() - SEEN_FOR_MS
        found: dict[str, None] = {}
        for tenant in tenants:
            for worker, seen_ms in self._seen.get((capability, tenant), {}).items():
                if seen_ms >= since_ms:
                    found[worker] = None
        return sorted(found)
