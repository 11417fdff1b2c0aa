"""Whether history is fast to search, ages without being noticed, and is confirmed soon.

History is filled with finished instances of the last weeks, in several generations of concrete indices, by the
product's own makers of rows. Then, on one replica: pages of `_search` (`searching`), the time to a confirmed row
(`confirming`) and claims beside ageing (`ageing`), both of them at half of the peak of single requests.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec import structs, to_builtins

from ....core.settings import LaneSettings
from ....ilm import IndexNames, bootstrap
from ...ground import Cluster, Scheduler, left_in_lanes, running_scheduler
from ...load.documents import STEP, one_step
from ...load.orders import Claim
from ...report import Outcome, Target, at_most, no_more_than
from ...scenario import Run, Scenario
from ..end_to_end import SINGLE
from ..end_to_end import measured as end_to_end
from ..latency_figures import wrong_claims
from ..tally import Tally
from . import ageing, confirming
from .plan import FULL, QUICK, SMOKE, Plan
from .searching import Searched, searched
from .seeding import Seeds, seeded, usage_counted

PEAK_WORKFLOW = "bench-peak"
PAGE_P95_MS = 150.0
CLAIM_P99_RATIO = 1.1
CONFIRMED_MS = 2_000.0

# Workflows of the run itself begin so, and none of the seeds does.
_OWN = {"prefix": {"workflow.name": "bench-"}}
_DRAIN_S = 30.0


async def run(run: Run) -> Outcome:
    """Seeds, then searches while nothing else is under way, then load; deletions come last."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    cluster = run.cluster
    await bootstrap(cluster.store.request, IndexNames(cluster.prefix), lanes=LaneSettings().lanes)
    seeds = await seeded(run, plan)
    peaks = Tally((STEP,))
    async with running_scheduler(cluster) as replica:
        counted = await usage_counted(run, plan.usage_s)
        pages = await searched(run, plan.search, replica, seeds)
        peak = await _peak(run, plan, replica, peaks)
        confirmed = await confirming.measured(run, plan, replica, peak / 2)
        aged = await ageing.measured(run, plan.ageing, replica, seeds.generations, peak / 2, plan.warm_up_s)
        wrong = await _wrong(cluster, replica, [*confirmed.claims, *aged.claims], peaks)
    for found in (confirmed, aged):
        wrong.update(wrong_claims(found.starts, found.claims))
        wrong["claims_failed"] += found.failures
    wrong["rows_never_confirmed"] += confirmed.delays.never
    wrong.update(pages.wrong)
    figures: dict[str, Any] = {
        **_seeds_figures(plan, seeds, counted=counted),
        **pages.figures,
        "peak_per_s": peak,
        "confirming": confirmed.figures,
        **aged.figures,
    }
    return Outcome(figures, _targets(pages, confirmed, aged), dict(wrong), to_builtins(plan))


async def _peak(run: Run, plan: Plan, replica: Scheduler, tally: Tally) -> float:
    """How many instances a second go all the way by single requests, as fast as they are answered."""
    await replica.put_definition(PEAK_WORKFLOW, one_step(PEAK_WORKFLOW, PEAK_WORKFLOW))
    kind = structs.replace(SINGLE, name="peak", workflow=PEAK_WORKFLOW, capability=PEAK_WORKFLOW)
    rounds = [await end_to_end(run, replica, kind, plan.peak_instances, tally) for _ in range(plan.peak_rounds)]
    return max(each.per_s for each in rounds)


async def _wrong(cluster: Cluster, replica: Scheduler, claims: list[Claim], peaks: Tally) -> Counter[str]:
    """What is left in lanes, and what history has of the run's own instances against what was claimed."""
    run_through = len({claim.step_id for claim in claims}) + peaks.claimed()
    wrong = Counter({"left_in_lanes": await left_in_lanes(cluster, within_s=_DRAIN_S)})
    for family in ("instances", "steps"):
        rows = await cluster.count(f"{cluster.prefix}-{family}", _OWN)
        wrong["missing_in_history"] += max(0, run_through - rows)
        wrong["surplus_in_history"] += max(0, rows - run_through)
    wrong["unexpected_errors"] += round((await replica.counts()).unexpected)
    wrong.update(peaks.wrong())
    return wrong


def _seeds_figures(plan: Plan, seeds: Seeds, *, counted: bool) -> dict[str, Any]:
    return {
        "seeded_instances": plan.instances,
        "generations": plan.generations,
        "seeded_rows_per_s": seeds.rows_per_s,
        "seeded_mb": round(seeds.bytes / 1e6, 1),
        "usage_counted_before": counted,
    }


def _targets(pages: Searched, confirmed: confirming.Found, aged: ageing.Found) -> list[Target]:
    readable, searchable = confirmed.delays.readable, confirmed.delays.searchable
    return [
        at_most("page of 50, the slowest kind of search, p95", pages.worst_p95_ms, PAGE_P95_MS, "ms"),
        no_more_than("claim p99 while history ages, against calm", aged.aged.p99_ratio, CLAIM_P99_RATIO, "times"),
        at_most(
            "completion to confirmed row, slowest", None if readable is None else readable.max_ms, CONFIRMED_MS, "ms"
        ),
        at_most(
            "completion to found by a search, p99",
            None if searchable is None else searchable.p99_ms,
            CONFIRMED_MS,
            "ms",
        ),
    ]


HISTORY = Scenario(
    "history", "Is a large history fast to search, unnoticed while it ages, and confirmed soon after the end?", run
)
