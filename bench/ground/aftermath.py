"""What is left when the load has ended, counted in Elasticsearch itself."""

from __future__ import annotations

import asyncio
from time import monotonic

from .cluster import Cluster
from .scheduler import Scheduler

DRAIN_S = 60.0
_LOOK_AGAIN_S = 0.25
_ALL_BUT_FENCES = {"bool": {"must_not": {"term": {"kind": "fence"}}}}


async def left_in_lanes(cluster: Cluster, *, within_s: float = DRAIN_S) -> int:
    """How many documents lanes still hold, instances' and their side documents, once none are or the time is over."""
    until_s = monotonic() + within_s
    while left := await cluster.count(f"{cluster.prefix}-lane-*", _ALL_BUT_FENCES):
        if monotonic() > until_s:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
    return left


async def wrong_aftermath(
    cluster: Cluster, replica: Scheduler, *, instances: int, steps: int, within_s: float = DRAIN_S
) -> dict[str, int]:
    """Lanes hold nothing, and history exactly what was run: so many instances and steps (attempts, all in all)."""
    left = await left_in_lanes(cluster, within_s=within_s)
    rows = [await cluster.count(f"{cluster.prefix}-{name}", {"match_all": {}}) for name in ("instances", "steps")]
    missing = sum(max(0, run - found) for run, found in zip((instances, steps), rows, strict=True))
    surplus = sum(max(0, found - run) for run, found in zip((instances, steps), rows, strict=True))
    return {
        "left_in_lanes": left,
        "missing_in_history": missing,
        "surplus_in_history": surplus,
        "unexpected_errors": round((await replica.counts()).unexpected),
    }
