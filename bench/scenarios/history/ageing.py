"""What claims notice of history ageing: spans of steady load, calm ones and ones with roll-over, merge and deletion.

Spans take turns within pairs, and every other pair begins with the other kind. What ages are the seeded generations,
the oldest first, by the very requests that the scheduler's own ager makes: a new write index for each family, a write
block and a force-merge of an aged index, and its deletion.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import count
from time import monotonic, monotonic_ns
from typing import Any

from msgspec import Struct, to_builtins

from ...ground import Cluster, Scheduler
from ...load import Hand, hired
from ...load.documents import one_step
from ...load.orders import Claim, ClaimerSetup, Claims, Finish, Fire, Start, StarterSetup, Starts
from ...scenario import Run
from .figures import AGEING, CALM, Aged, Side, aged_of, spans_of
from .plan import AgeingPlan
from .seeding import ROLLED, roll_over

WORKFLOW = "bench-ageing"
_LEAD_IN_NS = 100_000_000
_SETTLE_S = 0.7
_SLACK_S = 60.0
_WARM_UP_SLICE_S = 2.0
# What comes after the pairs: the last claims, counts in Elasticsearch, the end of all processes.
_WAY_OUT_S = 6.0


class Found(Struct, frozen=True):
    aged: Aged
    starts: list[Start]
    claims: list[Claim]
    failures: int
    figures: dict[str, Any]


async def measured(
    run: Run, plan: AgeingPlan, replica: Scheduler, generations: list[list[str]], rate: float, warm_up_s: float
) -> Found:
    """All pairs, at that many starts a second. A quick run leaves pairs out that it has no time for."""
    connections = min(64, max(8, round(rate / 10)))
    await replica.put_definition(WORKFLOW, one_step(WORKFLOW, WORKFLOW))
    oldest = iter(generations)
    sides: list[Side] = []
    starts: list[Start] = []
    numbers = count()
    async with (
        hired("starter", StarterSetup(replica.address, WORKFLOW, connections)) as starter,
        hired("claimer", ClaimerSetup(replica.address, WORKFLOW, connections)) as claimer,
    ):
        warm_at_s = monotonic() + warm_up_s
        while monotonic() < warm_at_s:
            starts += await _load(starter, rate, _WARM_UP_SLICE_S, f"{run.options.seed}-warm-up", numbers)
        for pair in range(1, plan.pairs + 1):
            if pair > 1 and not run.has_time_for(2 * (plan.load_s + _SETTLE_S) + _WAY_OUT_S):
                break
            for kind in (CALM, AGEING) if pair % 2 else (AGEING, CALM):
                seed = f"{run.options.seed}-{pair}"
                begun, aged = await _span(
                    run.cluster, plan, starter, rate, seed, numbers, oldest if kind == AGEING else None
                )
                sides.append(Side(pair, kind, begun, aged))
                starts += begun
                run.say(f"pair {pair}, {kind}: {len(begun)} starts; {sum(aged.values())} requests of ageing")
        claims = await claimer.ask(Finish(), Claims, within_s=_SLACK_S)
        until_ns = monotonic_ns()
    aged_all = aged_of(sides, claims.claims, until_ns)
    figures = {"spans": to_builtins(spans_of(sides, claims.claims, until_ns)), "ageing": to_builtins(aged_all)}
    return Found(aged_all, starts, claims.claims, claims.failures, figures)


async def _span(
    cluster: Cluster,
    plan: AgeingPlan,
    starter: Hand,
    rate: float,
    seed: str,
    numbers: count[int],
    oldest: Iterator[list[str]] | None,
) -> tuple[list[Start], dict[str, int]]:
    """One span's starts, and what was asked of Elasticsearch meanwhile. `oldest`: what is to age, None for nothing."""
    loading = asyncio.ensure_future(_load(starter, rate, plan.load_s, seed, numbers))
    ageing = None if oldest is None else asyncio.ensure_future(_age(cluster, plan, oldest))
    try:
        starts = await loading
        aged = {} if ageing is None else await ageing
    finally:
        for task in (loading, ageing):
            if task is not None:
                task.cancel()
    await asyncio.sleep(_SETTLE_S)
    return starts, aged


async def _load(starter: Hand, rate: float, load_s: float, seed: str, numbers: count[int]) -> list[Start]:
    order = Fire(monotonic_ns() + _LEAD_IN_NS, rate, load_s, seed, next(numbers) * 1_000_000)
    return (await starter.ask(order, Starts, within_s=load_s + _SLACK_S)).starts


async def _age(cluster: Cluster, plan: AgeingPlan, oldest: Iterator[list[str]]) -> dict[str, int]:
    """Age every so often during the span, beginning at once; returns how many requests of each kind that were.

    Where no seeded generation is left there are only roll-overs.
    """
    asked: Counter[str] = Counter()
    until_s = monotonic() + plan.load_s
    while True:
        began_s = monotonic()
        await roll_over(cluster)
        asked["rollover"] += len(ROLLED)
        for index in next(oldest, []):
            await cluster.ask("PUT", f"/{index}/_block/write")
            await cluster.ask("POST", f"/{index}/_forcemerge?max_num_segments=1&wait_for_completion=true")
            asked["merge"] += 1
            await cluster.ask("DELETE", f"/{index}")
            asked["delete"] += 1
        again_s = began_s + plan.every_s
        if max(again_s, monotonic()) >= until_s:
            return dict(asked)
        await asyncio.sleep(max(0.0, again_s - monotonic()))
