"""Several replicas that share the lanes of one installation."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import msgspec
from msgspec import Struct

from ..errors import BenchError
from .cluster import Cluster
from .scheduler import Scheduler, running_scheduler

_SETTLED_WITHIN_S = 120.0
_LOOK_AGAIN_S = 0.2
# As often in a row as the same even distribution is seen.
_LOOKS = 3


class _Lane(Struct):
    lane: str
    mine: bool


class _Lanes(Struct):
    lanes: list[_Lane]


class Fleet:
    """Running replicas, in the order in which they were started. Those that were ended stay in `ended`."""

    def __init__(self, cluster: Cluster, environment: Mapping[str, str], stack: AsyncExitStack) -> None:
        self._cluster = cluster
        self._environment = environment
        self._stack = stack
        self.running: list[Scheduler] = []
        self.ended: list[Scheduler] = []

    async def start(self, count: int = 1) -> list[Scheduler]:
        """So many more replicas, all at once. Raises: BenchError."""
        contexts = [running_scheduler(self._cluster, environment=self._environment) for _ in range(count)]
        started = await asyncio.gather(*(self._stack.enter_async_context(context) for context in contexts))
        self.running += started
        return list(started)

    def end(self, replica: Scheduler, how: signal.Signals) -> None:
        """Send a signal that ends the replica, and don't wait."""
        self.running.remove(replica)
        self.ended.append(replica)
        os.kill(replica.pid, how)

    async def settled(self, *, within_s: float = _SETTLED_WITHIN_S) -> dict[str, Scheduler]:
        """Wait until every lane has one owner and the lanes are spread evenly; returns each lane's owner.

        Raises: BenchError when that takes longer.
        """
        until_s = monotonic() + within_s
        seen: list[dict[str, Scheduler]] = []
        while monotonic() < until_s:
            owners = await self.owners()
            if owners is not None and self._even(owners):
                seen = [*seen, owners] if seen and seen[-1] == owners else [owners]
                if len(seen) == _LOOKS:
                    return owners
            await asyncio.sleep(_LOOK_AGAIN_S)
        raise BenchError(f"the lanes were not spread over {len(self.running)} replicas within {within_s:.0f} s")

    async def owners(self) -> dict[str, Scheduler] | None:
        """Each lane with the replica that says it is its own; None while one has no owner, or two."""
        owners: dict[str, Scheduler] = {}
        names: set[str] = set()
        for replica, lanes in zip(self.running, await asyncio.gather(*map(_lanes, self.running)), strict=True):
            names.update(lane.lane for lane in lanes)
            for lane in lanes:
                if lane.mine and owners.setdefault(lane.lane, replica) is not replica:
                    return None
        return owners if names and owners.keys() == names else None

    def _even(self, owners: dict[str, Scheduler]) -> bool:
        counts = [sum(owner is replica for owner in owners.values()) for replica in self.running]
        return max(counts) - min(counts) <= 1


@asynccontextmanager
async def running_fleet(
    cluster: Cluster, count: int, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Fleet]:
    """So many replicas that are ready; their lanes may still be moving. Raises: BenchError."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(cluster, environment or {}, stack)
        await fleet.start(count)
        yield fleet


async def _lanes(replica: Scheduler) -> list[_Lane]:
    answer = await replica.ask("GET", "/_workflows/_lanes")
    if answer.status != 200:
        return []
    return msgspec.json.decode(answer.body, type=_Lanes).lanes
