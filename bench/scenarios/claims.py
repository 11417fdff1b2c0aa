"""How close claims come to the limit: what Elasticsearch takes of the same documents with no scheduler at all.

A backlog of ready instances is started over HTTP, then executors claim all of it, with max = 1, 10 and 100. Just before
and just after each round the raw writer writes documents as large as a claimed instance on the same cluster, and the
round's ratio is its claims to the better of the two: both have met the same state of the machine and of Elasticsearch.
What was claimed is completed before the next backlog comes, outside of all measurements.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

from msgspec import Struct, to_builtins

from ..ground import Scheduler, bare_lane, left_in_lanes, running_scheduler, wrong_aftermath
from ..load import Hand, hired
from ..load.closed import (
    BatchStarterSetup,
    CompleteAll,
    Completed,
    Execute,
    Executed,
    ExecutorSetup,
    Started,
    StartMany,
)
from ..load.documents import CAPABILITY, ONE_STEP, STEP, WORKFLOW
from ..load.orders import RawWriterSetup
from ..processes import cpu_s_of
from ..report import Outcome
from ..scenario import Run, Scenario
from .claim_figures import Round, medians, round_of, targets_of
from .raw_limit import RawLimit
from .tally import Tally

_START_BATCH = 100
_START_CONNECTIONS = 4
_WITHIN_S = 120.0
_SLACK_S = 30.0
_WARM_UP_MAX = 100


class Plan(Struct, frozen=True):
    """How much is claimed. `rounds` has (max, instances), in the order in which they run.

    The warm-up claims `warm_up` instances again and again, until `warm_up_s` are over: a new Elasticsearch compiles its
    code meanwhile. The raw writer tries `raw_combinations`; the best of `raw_passes` with the best of them is the limit
    on either side of a round.
    """

    rounds: tuple[tuple[int, int], ...]
    executors: dict[int, int]
    warm_up: int
    warm_up_s: float
    raw_documents: int
    raw_warm_up_s: float
    raw_passes: int
    raw_combinations: int


# How many claim at once, by their `max`.
_EXECUTORS = {100: 8, 10: 16, 1: 64}
_ONE_OF_EACH = ((100, 50_000), (10, 50_000), (1, 20_000))
FULL = Plan(_ONE_OF_EACH * 3, _EXECUTORS, 20_000, 45.0, 50_000, 45.0, 3, 5)
QUICK = Plan(((100, 8_000), (10, 4_000), (1, 1_500), (100, 8_000)), _EXECUTORS, 4_000, 3.0, 10_000, 5.0, 2, 3)
SMOKE = Plan(((100, 1_000), (10, 400), (1, 150)), _EXECUTORS, 300, 0.0, 2_000, 0.0, 1, 1)
# A round of a quick run on a busy machine, with all that belongs to it.
_QUICK_ROUND_S = 7.0


class _Crew(Struct, frozen=True):
    """The replica, and the load around it. `executors` are by their `max`."""

    replica: Scheduler
    starter: Hand
    executors: dict[int, Hand]
    limit: RawLimit


async def run(run: Run) -> Outcome:
    """Warm up, find the raw writer's best combination, then all rounds."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    tally = Tally((STEP,))
    lanes = f"{run.cluster.prefix}-lane-*"
    async with running_scheduler(run.cluster) as replica, bare_lane(run.cluster, "limit") as index:
        await replica.put_definition(WORKFLOW, ONE_STEP)
        async with _crew(run, plan, replica, index) as crew:
            await crew.limit.find(plan.raw_warm_up_s, plan.raw_combinations)
            await _warm_up(run, plan, crew, tally)
            rounds = await _rounds(run, plan, crew, tally)
        steps = tally.claimed()
        wrong = {**tally.wrong(), **await wrong_aftermath(run.cluster, replica, instances=tally.instances, steps=steps)}
        conflicts = round((await replica.counts()).conflicts)
        refused = await run.cluster.version_conflicts(lanes)
    rows = medians(rounds)
    limit = crew.limit
    figures: dict[str, Any] = {
        "by_max": rows,
        "raw_batch": limit.batch,
        "raw_connections": limit.connections,
        "raw_documents_per_s": max(each.raw_per_s for each in rounds),
        "document_bytes": limit.document_bytes,
        "conflicts": conflicts,
        "conflicts_counted_by_elasticsearch": refused,
        "rounds": to_builtins(rounds),
    }
    wrong["raw_items_refused"] = limit.items_refused
    return Outcome(figures, targets_of(rows, conflicts), wrong, to_builtins(plan))


@asynccontextmanager
async def _crew(run: Run, plan: Plan, replica: Scheduler, index: str) -> AsyncIterator[_Crew]:
    starter = BatchStarterSetup(replica.address, WORKFLOW, _START_CONNECTIONS, _START_BATCH)
    writer = RawWriterSetup(run.cluster.address, index, plan.raw_documents, run.options.seed)
    async with AsyncExitStack() as stack:
        executors = {}
        for max_steps, connections in plan.executors.items():
            setup = ExecutorSetup(replica.address, CAPABILITY, connections, max_steps, completing=False)
            executors[max_steps] = await stack.enter_async_context(hired("executor", setup))
        yield _Crew(
            replica,
            await stack.enter_async_context(hired("batch-starter", starter)),
            executors,
            RawLimit(run, await stack.enter_async_context(hired("raw-writer", writer))),
        )


async def _warm_up(run: Run, plan: Plan, crew: _Crew, tally: Tally) -> None:
    run.say(f"warming the scheduler up for {plan.warm_up_s:.0f} s")
    until_s = monotonic() + plan.warm_up_s
    executor = crew.executors[_WARM_UP_MAX]
    while True:
        await _start(crew, tally, plan.warm_up)
        await _claim(executor, tally, plan.warm_up)
        await _complete(executor, tally)
        if monotonic() > until_s:
            break
    await left_in_lanes(run.cluster)


async def _rounds(run: Run, plan: Plan, crew: _Crew, tally: Tally) -> list[Round]:
    rounds: list[Round] = []
    seen: set[int] = set()
    for max_steps, instances in plan.rounds:
        if max_steps in seen and not run.has_time_for(_QUICK_ROUND_S):
            continue
        seen.add(max_steps)
        found = await _round(run, plan, crew, tally, max_steps, instances)
        rounds.append(found)
        run.say(
            f"max={max_steps}: {found.claims_per_s:,.0f} claims/s, raw {found.raw_per_s:,.0f}/s, ratio {found.ratio}"
        )
    return rounds


async def _round(run: Run, plan: Plan, crew: _Crew, tally: Tally, max_steps: int, instances: int) -> Round:
    """A fresh backlog, the raw limit, the claims, the raw limit again; then the backlog is worked off."""
    cluster, executor, pid = run.cluster, crew.executors[max_steps], crew.replica.pid
    await _start(crew, tally, instances)
    before = await crew.limit.passes(plan.raw_passes)
    conflicts_before = (await crew.replica.counts()).conflicts
    cpu_before_s, elasticsearch_before_s = cpu_s_of(pid), await cluster.cpu_s()
    found = await _claim(executor, tally, instances)
    cpu_s, elasticsearch_s = cpu_s_of(pid) - cpu_before_s, await cluster.cpu_s() - elasticsearch_before_s
    conflicts = (await crew.replica.counts()).conflicts - conflicts_before
    after = await crew.limit.passes(plan.raw_passes)
    await _complete(executor, tally)
    await left_in_lanes(cluster)
    return round_of(
        max_steps,
        found,
        (before, after),
        scheduler_cpu_s=cpu_s,
        elasticsearch_cpu_s=elasticsearch_s,
        conflicts=conflicts,
    )


async def _start(crew: _Crew, tally: Tally, instances: int) -> None:
    order = StartMany(tally.instances, instances, _WITHIN_S)
    tally.started(await crew.starter.ask(order, Started, within_s=_WITHIN_S + _SLACK_S), instances)
    # What the starts leave to be done right behind their answers is not the claims'.
    await asyncio.sleep(0.2)


async def _claim(executor: Hand, tally: Tally, instances: int) -> Executed:
    found = await executor.ask(Execute(instances, _WITHIN_S), Executed, within_s=_WITHIN_S + _SLACK_S)
    tally.executed(found)
    return found


async def _complete(executor: Hand, tally: Tally) -> None:
    order = CompleteAll(_START_BATCH, _WITHIN_S)
    tally.completed(await executor.ask(order, Completed, within_s=_WITHIN_S + _SLACK_S))


CLAIMS = Scenario(
    "claims", "How many steps a second can be claimed, and how close is that to what Elasticsearch can write?", run
)
