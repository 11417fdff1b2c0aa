"""Which lanes a replica serves."""

from __future__ import annotations

import asyncio
from time import monotonic

import msgspec
from msgspec import Struct

from ..errors import BenchError
from .scheduler import Scheduler

_LOOK_AGAIN_S = 0.02


class Lane(Struct, frozen=True):
    """A lane as a replica tells of it; `mine` says that it serves the lane."""

    lane: str
    mine: bool


class _Lanes(Struct):
    lanes: list[Lane]


async def lanes_of(replica: Scheduler) -> list[Lane]:
    """All lanes, in the order of their names; none while the replica can't tell."""
    answer = await replica.ask("GET", "/_workflows/_lanes")
    if answer.status != 200:
        return []
    return sorted(msgspec.json.decode(answer.body, type=_Lanes).lanes, key=lambda lane: lane.lane)


async def serves_all(replica: Scheduler, *, within_s: float) -> None:
    """Wait until a replica serves every lane there is. Raises: BenchError when that takes longer."""
    until_s = monotonic() + within_s
    while True:
        lanes = await lanes_of(replica)
        if lanes and all(lane.mine for lane in lanes):
            return
        if monotonic() > until_s:
            raise BenchError(f"the scheduler did not serve all lanes within {within_s:.0f} s")
        await asyncio.sleep(_LOOK_AGAIN_S)
