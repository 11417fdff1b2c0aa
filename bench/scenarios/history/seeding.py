"""History full of finished instances of the last weeks, in several generations of concrete indices."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic, time

from msgspec import Struct

from ...errors import BenchError
from ...ground import Cluster
from ...load import hired
from ...load.history.orders import RowSeederSetup, SeededRows, SeedRows
from ...scenario import Run
from .plan import Plan

ROLLED = ("steps", "instances", "events", "audit")
_DAY_MS = 86_400_000
_WITHIN_S = 900.0
_LOOK_AGAIN_S = 0.25


class Seeds(Struct, frozen=True):
    """`generations` are the concrete indices that hold them, oldest first, each with those of its families.

    `by` counts instances by what searches ask for.
    """

    generations: list[list[str]]
    by: dict[str, int]
    bytes: int
    rows_per_s: int


async def seeded(run: Run, plan: Plan) -> Seeds:
    """Write them, the oldest first; after each generation all aliases roll over. Raises: BenchError."""
    cluster = run.cluster
    to_ms = int(time() * 1_000)
    from_ms = to_ms - plan.days * _DAY_MS
    share = -(-plan.instances // plan.generations)
    generations: list[list[str]] = []
    by: Counter[str] = Counter()
    total_bytes, took_s = 0, 0.0
    async with hired("row-seeder", RowSeederSetup(cluster.address)) as seeder:
        for generation in range(plan.generations):
            instances, steps = await asyncio.gather(
                write_index(cluster, f"{cluster.prefix}-instances"), write_index(cluster, f"{cluster.prefix}-steps")
            )
            first = generation * share
            order = SeedRows(
                instances,
                steps,
                min(share, plan.instances - first),
                first,
                from_ms + (to_ms - from_ms) * generation // plan.generations,
                from_ms + (to_ms - from_ms) * (generation + 1) // plan.generations,
                f"{run.options.seed}-{generation}",
            )
            found = await seeder.ask(order, SeededRows, within_s=_WITHIN_S)
            generations.append([instances, steps])
            by.update(found.by)
            total_bytes += found.bytes
            took_s += found.took_ns / 1e9
            await roll_over(cluster)
    await cluster.ask("POST", f"/{cluster.prefix}-instances,{cluster.prefix}-steps/_refresh")
    seeds = Seeds(generations, dict(by), total_bytes, round(2 * plan.instances / took_s))
    run.say(f"{plan.instances:,} finished instances in {plan.generations} generations, {seeds.rows_per_s:,} rows/s")
    return seeds


async def write_index(cluster: Cluster, alias: str) -> str:
    """The concrete index that an alias writes to. Raises: BenchError."""
    found = await cluster.ask("GET", f"/_alias/{alias}")
    for index, entry in found.items():
        if entry["aliases"][alias].get("is_write_index", len(found) == 1):
            return str(index)
    raise BenchError(f"the alias {alias} has no write index")


async def roll_over(cluster: Cluster) -> None:
    """A new write index for each family."""
    for family in ROLLED:
        await cluster.ask("POST", f"/{cluster.prefix}-{family}/_rollover", {})


async def usage_counted(run: Run, within_s: float) -> bool:
    """Wait until the replica has counted what was seeded, which it does once; whether that came to its end in time."""
    cluster = run.cluster
    until_s = monotonic() + within_s
    target = f"/{cluster.prefix}-control/_doc/usage:position"
    while monotonic() < until_s:
        status, answer = await cluster.store.request("GET", target)
        counted = answer.get("_source", {}).get("indices", {}) if status == 200 else {}
        if sum(name.startswith(f"{cluster.prefix}-instances-") for name in counted) > 1:
            return True
        await asyncio.sleep(_LOOK_AGAIN_S)
    return False
