"""How many instances a second go all the way: started, claimed, completed, in history.

Starters and executors are processes of their own, over HTTP, and both send as fast as they are answered. A round ends
when history has confirmed its last record. What it left in lanes and history is counted in Elasticsearch at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median
from time import monotonic, monotonic_ns
from typing import Any

from msgspec import Struct, to_builtins

from ..ground import Scheduler, left_in_lanes, running_scheduler, wrong_aftermath
from ..load import hired, spread
from ..load.closed import BatchStarterSetup, Execute, Executed, ExecutorSetup, Started, StartMany
from ..load.documents import CAPABILITY, ONE_STEP, STEP, WORKFLOW
from ..processes import cpu_s_of
from ..report import Outcome, Target, at_least
from ..scenario import Run, Scenario
from .tally import Tally

THREE_STEPS_WORKFLOW = "bench-three-steps"
THREE_STEPS_CAPABILITY = "bench-three"
THREE_STEPS = f"""\
name: {THREE_STEPS_WORKFLOW}
version: 1
inputs:
  n: {{type: integer, required: true}}
steps:
  - {{name: first, executor: {THREE_STEPS_CAPABILITY}, input: {{n: "{{{{ inputs.n }}}}"}}}}
  - {{name: second, executor: {THREE_STEPS_CAPABILITY}, input: {{n: "{{{{ inputs.n }}}}"}}}}
  - {{name: third, executor: {THREE_STEPS_CAPABILITY}, input: {{n: "{{{{ inputs.n }}}}"}}}}
"""

_WITHIN_S = 300.0
_SLACK_S = 30.0
_LOOK_AGAIN_S = 0.02
_HISTORY_WITHIN_S = 60.0


class Kind(Struct, frozen=True):
    """One way to run instances. `connections` are those of both roles together, half for each.

    The bar is on what `unit` counts, each second.
    """

    name: str
    workflow: str
    capability: str
    steps: tuple[str, ...]
    batch: int
    connections: int
    bar: float
    unit: str


ONE = Kind("one step, batches of 100", WORKFLOW, CAPABILITY, (STEP,), 100, 8, 4_000, "instances/s")
THREE = Kind(
    "three steps, batches of 100",
    THREE_STEPS_WORKFLOW,
    THREE_STEPS_CAPABILITY,
    ("first", "second", "third"),
    100,
    8,
    7_000,
    "steps/s",
)
SINGLE = Kind("one step, one request an operation", WORKFLOW, CAPABILITY, (STEP,), 1, 64, 1_500, "instances/s")


class Plan(Struct, frozen=True):
    """`rounds` has (kind, instances), in the order in which they run; the first of each kind comes what may.

    The warm-up runs `warm_up` instances of three steps again and again until `warm_up_s` are over.
    """

    rounds: tuple[tuple[Kind, int], ...]
    warm_up: int
    warm_up_s: float


_FULL_ROUNDS = ((ONE, 40_000), (THREE, 20_000), (SINGLE, 10_000))
FULL = Plan(_FULL_ROUNDS * 3, 10_000, 60.0)
_QUICK_ROUNDS = ((ONE, 8_000), (THREE, 4_000), (SINGLE, 2_500))
QUICK = Plan(_QUICK_ROUNDS * 2, 2_000, 15.0)
SMOKE = Plan(((ONE, 1_000), (THREE, 400), (SINGLE, 200)), 100, 0.0)
# A round of a quick run on a busy machine.
_QUICK_ROUND_S = 6.0


class Round(Struct, frozen=True):
    """One round. `per_s` counts what the kind's bar counts, from the first start until history was complete.

    Times are those of whole requests, a claim's wait included. Processor times are per instance.
    """

    kind: str
    instances: int
    per_s: float
    instances_per_s: float
    until_completed_s: float
    until_history_s: float
    start_p50_ms: float
    start_p99_ms: float
    claim_p50_ms: float
    claim_p99_ms: float
    scheduler_cpu_us: float
    elasticsearch_cpu_us: float
    load_cpu_us: float


async def run(run: Run) -> Outcome:
    """Warm up, then all rounds, on one replica."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    tallies = {kind.steps: Tally(kind.steps) for kind in (ONE, THREE)}
    async with running_scheduler(run.cluster) as replica:
        await replica.put_definition(WORKFLOW, ONE_STEP)
        await replica.put_definition(THREE_STEPS_WORKFLOW, THREE_STEPS)
        await _warm_up(run, plan, replica, tallies)
        rounds = []
        seen: set[str] = set()
        for kind, instances in plan.rounds:
            if kind.name in seen and not run.has_time_for(_QUICK_ROUND_S):
                continue
            seen.add(kind.name)
            rounds.append(await measured(run, replica, kind, instances, tallies[kind.steps]))
        wrong = await _wrong(run, replica, list(tallies.values()))
        conflicts = round((await replica.counts()).conflicts)
    figures: dict[str, Any] = {"kinds": _medians(rounds), "conflicts": conflicts, "rounds": to_builtins(rounds)}
    return Outcome(figures, targets_of(rounds), wrong, to_builtins(plan))


async def measured(run: Run, replica: Scheduler, kind: Kind, instances: int, tally: Tally) -> Round:
    """One round of so many instances; returns when lanes are empty again."""
    cluster, half = run.cluster, kind.connections // 2
    starter = BatchStarterSetup(replica.address, kind.workflow, half, kind.batch)
    executor = ExecutorSetup(
        replica.address, kind.capability, half, kind.batch, completing=True, single=kind.batch == 1
    )
    steps = instances * len(kind.steps)
    async with hired("batch-starter", starter) as starting, hired("executor", executor) as executing:
        before = (await replica.counts()).history_records
        cpu_before_s, elasticsearch_before_s = cpu_s_of(replica.pid), await cluster.cpu_s()
        started, executed = await asyncio.gather(
            starting.ask(StartMany(tally.instances, instances, _WITHIN_S), Started, within_s=_WITHIN_S + _SLACK_S),
            executing.ask(Execute(steps, _WITHIN_S), Executed, within_s=_WITHIN_S + _SLACK_S),
        )
        tally.started(started, instances)
        tally.executed(executed)
        history_ns = await _history_complete(replica, before + steps + instances)
        cpu_s, elasticsearch_s = cpu_s_of(replica.pid) - cpu_before_s, await cluster.cpu_s() - elasticsearch_before_s
    await left_in_lanes(cluster)
    span_s = (history_ns - started.began_ns) / 1e9
    starts, claims = spread(started.request_ns), spread(executed.claim_ns)
    found = Round(
        kind=kind.name,
        instances=instances,
        per_s=round((steps if kind.unit == "steps/s" else instances) / span_s),
        instances_per_s=round(instances / span_s),
        until_completed_s=round((executed.completed_ns - started.began_ns) / 1e9, 3),
        until_history_s=round(span_s, 3),
        start_p50_ms=0.0 if starts is None else starts.p50_ms,
        start_p99_ms=0.0 if starts is None else starts.p99_ms,
        claim_p50_ms=0.0 if claims is None else claims.p50_ms,
        claim_p99_ms=0.0 if claims is None else claims.p99_ms,
        scheduler_cpu_us=round(cpu_s * 1e6 / instances, 1),
        elasticsearch_cpu_us=round(elasticsearch_s * 1e6 / instances, 1),
        load_cpu_us=round((started.cpu_ns + executed.cpu_ns) / 1_000 / instances, 1),
    )
    run.say(f"{kind.name}: {found.per_s:,.0f} {kind.unit}")
    return found


async def _warm_up(run: Run, plan: Plan, replica: Scheduler, tallies: dict[tuple[str, ...], Tally]) -> None:
    run.say(f"warming up for {plan.warm_up_s:.0f} s")
    until_s = monotonic() + plan.warm_up_s
    while True:
        await measured(run, replica, THREE, plan.warm_up, tallies[THREE.steps])
        if monotonic() > until_s:
            break


async def _history_complete(replica: Scheduler, records: float) -> int:
    """Wait until the replica has so many records confirmed; when that was, on the monotonic clock."""
    until_s = monotonic() + _HISTORY_WITHIN_S
    while True:
        if (await replica.counts()).history_records >= records or monotonic() > until_s:
            return monotonic_ns()
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _wrong(run: Run, replica: Scheduler, tallies: Sequence[Tally]) -> dict[str, int]:
    found: dict[str, int] = {}
    for tally in tallies:
        for name, number in tally.wrong().items():
            found[name] = found.get(name, 0) + number
    instances, steps = sum(tally.instances for tally in tallies), sum(tally.steps for tally in tallies)
    return {**found, **await wrong_aftermath(run.cluster, replica, instances=instances, steps=steps)}


def _medians(rounds: list[Round]) -> list[dict[str, Any]]:
    rows = []
    for kind in dict.fromkeys(each.kind for each in rounds):
        group = [to_builtins(each) for each in rounds if each.kind == kind]
        figures = [name for name in group[0] if name not in ("kind", "instances")]
        row = {name: round(median(each[name] for each in group), 3) for name in figures}
        rows.append({"kind": kind, "rounds": len(group), **row})
    return rows


def targets_of(rounds: list[Round]) -> list[Target]:
    """Each kind's bar, for the median of its rounds."""
    found = []
    for kind in (ONE, THREE, SINGLE):
        speeds = [each.per_s for each in rounds if each.kind == kind.name]
        found.append(at_least(kind.name, median(speeds) if speeds else None, kind.bar, kind.unit))
    return found


END_TO_END = Scenario(
    "end-to-end", "How many instances a second are started, claimed, completed and in history, over HTTP?", run
)
