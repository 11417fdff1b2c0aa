"""Lanes full of instances that sleep, as if they had been started long ago."""

from __future__ import annotations

import asyncio
from time import time

from ..load import hired
from ..load.orders import Seeded, SeederSetup, SeedSleepers
from ..load.sleepers import DEFINITIONS
from .cluster import Cluster
from .ownership import lanes_of, serves_all
from .scheduler import running_scheduler

_WITHIN_S = 600.0


async def sleeping_lanes(cluster: Cluster, *, for_ever: int = 0, timed: int = 0, lead_s: float, span_s: float) -> int:
    """Make an installation whose lanes hold so many sleeping instances; returns when (wall ms) the first timer is due.

    The timers of `timed` instances are due evenly over `span_s`, beginning `lead_s` after the filling begins. Instances
    are numbered from 0 on, the timed ones first. A replica makes indices and stores definitions, and ends before the
    lanes are filled. Raises: BenchError.
    """
    async with running_scheduler(cluster) as replica:
        await serves_all(replica, within_s=_WITHIN_S)
        lanes = [lane.lane for lane in await lanes_of(replica)]
        for name, source in DEFINITIONS.items():
            await replica.put_definition(name, source)
    begin_ms = int((time() + lead_s) * 1_000)
    end_ms = begin_ms + int(span_s * 1_000)
    async with hired("seeder", SeederSetup(cluster.address)) as seeder:
        for count, first, due in ((timed, 0, (begin_ms, end_ms)), (for_ever, timed, (0, 0))):
            share = -(-count // len(lanes))
            for number, lane in enumerate(lanes):
                at = min(count, number * share)
                documents = min(share, count - at)
                if documents:
                    order = SeedSleepers(f"{cluster.prefix}-lane-{lane}", lane, documents, first + at, *due)
                    await seeder.ask(order, Seeded, within_s=_WITHIN_S)
    await asyncio.gather(*(cluster.ask("POST", f"/{cluster.prefix}-lane-{lane}/_refresh") for lane in lanes))
    return begin_ms
