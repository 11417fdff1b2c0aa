"""What a claim costs, and how much memory a replica takes, however much waits.

For each size an installation of its own is filled past the scheduler with waiting instances of so many tenants; then a
replica is started, which has to take the lanes over, and executors claim a part of what waits.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from msgspec import Struct, to_builtins

from ..ground import Cluster, Scheduler, bare_lane, running_scheduler
from ..ground.backlog import filled_lanes
from ..ground.installations import installation
from ..ground.ownership import serves_all
from ..load import Hand, hired, spread
from ..load.closed import CompleteAll, Completed, Execute, Executed, ExecutorSetup
from ..load.documents import CAPABILITY, STEP, WORKFLOW
from ..load.orders import Seed, Seeded, SeederSetup
from ..processes import cpu_s_of, resident_bytes_of
from ..report import Outcome, Target, at_least, at_most
from ..scenario import Run, Scenario
from .tally import Tally

SPEED_KEPT = 0.5
RESIDENT_MB = 400.0

_MAX_STEPS = 100
_WITHIN_S = 300.0
_SLACK_S = 30.0
_EVERY_TENANT = "*"
_CAUGHT_UP_WITHIN_S = 30.0
_LOOK_AGAIN_S = 0.1
# History is refreshed once a second; documents go after that.
_DELETED_AFTER_S = 1.5


class Plan(Struct, frozen=True):
    """`sizes` has (waiting instances, tenants), in the order in which they are measured.

    Of each backlog `claims` steps are claimed, but no more than `share` of it, in slices of `slice`. If `completing`,
    each slice is completed before the next one: that many leases at once would be memory that no backlog asks for.
    """

    sizes: tuple[tuple[int, int], ...]
    claims: int
    completing: bool
    share: float = 0.8
    slice: int = 4_000
    executors: int = 8
    warm_up: int = 100_000


_TENANTS = (10, 10_000)
FULL = Plan(tuple((size, tenants) for tenants in _TENANTS for size in (10_000, 100_000, 1_000_000)), 60_000, True)
QUICK = Plan(
    tuple((size, tenants) for tenants in _TENANTS for size in (10_000, 200_000)), 12_000, False, warm_up=20_000
)


SMOKE = Plan(((4_000, 100),), 2_000, True, slice=1_000, warm_up=1_000)


class Backlog(Struct, frozen=True):
    """One backlog. `claims_per_s` is over all slices, without the pauses between them.

    `served_after_s` is the time from the replica's start until it served every lane. Processor times are per claim.
    """

    waiting: int
    tenants: int
    claims: int
    claims_per_s: float
    slowest_claims_per_s: float
    fastest_claims_per_s: float
    claim_p50_ms: float
    claim_p99_ms: float
    scheduler_cpu_us: float
    elasticsearch_cpu_us: float
    served_after_s: float
    resident_served_mb: float
    resident_mb: float
    resident_peak_mb: float
    conflicts: int


class _Slice(Struct, frozen=True):
    """A part of a backlog, claimed, and completed if the plan says so. Processor times are those of the claims."""

    found: Executed
    completed: Completed
    scheduler_cpu_s: float
    elasticsearch_cpu_s: float

    @property
    def span_s(self) -> float:
        return max(1e-9, (self.found.claimed_ns - self.found.began_ns) / 1e9)

    @property
    def claims_per_s(self) -> float:
        return self.found.steps / self.span_s


async def run(run: Run) -> Outcome:
    """Each size on an installation of its own, one after the other."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    wrong: dict[str, int] = {}
    backlogs = []
    await _warm_up(run, plan)
    for waiting, tenants in plan.sizes:
        async with installation(run.cluster, f"{waiting}-{tenants}") as cluster:
            backlog, found = await _measured(run, plan, cluster, waiting, tenants)
        backlogs.append(backlog)
        for name, count in found.items():
            wrong[name] = wrong.get(name, 0) + count
    return Outcome({"backlogs": to_builtins(backlogs)}, targets_of(backlogs), wrong, to_builtins(plan))


async def _warm_up(run: Run, plan: Plan) -> None:
    """A new Elasticsearch compiles the way of a write meanwhile."""
    run.say("warming up")
    async with bare_lane(run.cluster, "warm-up") as index, hired("seeder", SeederSetup(run.cluster.address)) as seeder:
        order = Seed(index, "00", WORKFLOW, CAPABILITY, plan.warm_up)
        await seeder.ask(order, Seeded, within_s=_WITHIN_S)


async def _measured(
    run: Run, plan: Plan, cluster: Cluster, waiting: int, tenants: int
) -> tuple[Backlog, dict[str, int]]:
    """One backlog, and what went wrong with it."""
    began_s = monotonic()
    await filled_lanes(cluster, waiting, tenants=tenants)
    run.say(f"{waiting:,} instances of {tenants:,} tenants wait, written in {monotonic() - began_s:.1f} s")
    tally = Tally((STEP,))
    tally.seeded(waiting)
    count = max(1, round(min(plan.claims, waiting * plan.share) / plan.slice))
    began_s = monotonic()
    async with running_scheduler(cluster) as replica:
        await serves_all(replica, within_s=_WITHIN_S)
        served_after_s = monotonic() - began_s
        served_bytes, _ = resident_bytes_of(replica.pid)
        setup = ExecutorSetup(
            replica.address, CAPABILITY, plan.executors, _MAX_STEPS, completing=False, tenant=_EVERY_TENANT
        )
        async with hired("executor", setup) as executor:
            slices = [await _slice(cluster, replica, executor, plan) for _ in range(count)]
        resident_bytes, peak_bytes = resident_bytes_of(replica.pid)
        counts = await replica.counts()
    for each in slices:
        tally.executed(each.found)
        tally.completed(each.completed)
    requests = spread(ns for each in slices for ns in each.found.claim_ns)
    claims = max(1, tally.claimed())
    backlog = Backlog(
        waiting=waiting,
        tenants=tenants,
        claims=claims,
        claims_per_s=round(claims / sum(each.span_s for each in slices)),
        slowest_claims_per_s=round(min(each.claims_per_s for each in slices)),
        fastest_claims_per_s=round(max(each.claims_per_s for each in slices)),
        claim_p50_ms=0.0 if requests is None else requests.p50_ms,
        claim_p99_ms=0.0 if requests is None else requests.p99_ms,
        scheduler_cpu_us=round(sum(each.scheduler_cpu_s for each in slices) * 1e6 / claims, 1),
        elasticsearch_cpu_us=round(sum(each.elasticsearch_cpu_s for each in slices) * 1e6 / claims, 1),
        served_after_s=round(served_after_s, 2),
        resident_served_mb=_mb(served_bytes),
        resident_mb=_mb(resident_bytes),
        resident_peak_mb=_mb(peak_bytes),
        conflicts=round(counts.conflicts),
    )
    run.say(f"{backlog.claims_per_s:,.0f} claims/s, {backlog.resident_mb:,.0f} MB, served after {served_after_s:.1f} s")
    # A part of the backlog is claimed, so what is left is not lost; what was asked for and never came is.
    lost = max(0, sum(plan.slice for _ in slices) - tally.claimed())
    return backlog, {**tally.wrong(), "lost": lost, "unexpected_errors": round(counts.unexpected)}


async def _slice(cluster: Cluster, replica: Scheduler, executor: Hand, plan: Plan) -> _Slice:
    cpu_before_s, elasticsearch_before_s = cpu_s_of(replica.pid), await cluster.cpu_s()
    found = await executor.ask(Execute(plan.slice, _WITHIN_S, sit_out=True), Executed, within_s=_WITHIN_S + _SLACK_S)
    cpu_s, elasticsearch_s = cpu_s_of(replica.pid) - cpu_before_s, await cluster.cpu_s() - elasticsearch_before_s
    completed = Completed(0, 0, 0, {})
    if plan.completing:
        order = CompleteAll(_MAX_STEPS, _WITHIN_S)
        completed = await executor.ask(order, Completed, within_s=_WITHIN_S + _SLACK_S)
        await _history_caught_up(replica)
    return _Slice(found, completed, cpu_s, elasticsearch_s)


async def _history_caught_up(replica: Scheduler) -> None:
    """Wait until what was completed is in history and its documents have left their lanes."""
    until_s = monotonic() + _CAUGHT_UP_WITHIN_S
    while True:
        if not (await replica.counts()).history_lag or monotonic() > until_s:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
    await asyncio.sleep(_DELETED_AFTER_S)


def _mb(size_bytes: int) -> float:
    return round(size_bytes / 1e6, 1)


def targets_of(backlogs: list[Backlog]) -> list[Target]:
    """For each number of tenants: the largest backlog's claims/s to those of the smallest, and its memory."""
    targets = []
    for tenants in dict.fromkeys(backlog.tenants for backlog in backlogs):
        sizes = sorted((each for each in backlogs if each.tenants == tenants), key=lambda each: each.waiting)
        least, most = sizes[0], sizes[-1]
        of = f"{most.waiting:,} waiting, {tenants:,} tenants"
        kept = round(most.claims_per_s / max(1.0, least.claims_per_s), 3)
        targets += [
            at_least(f"claims/s of those with {least.waiting:,}, {of}", kept, SPEED_KEPT, "ratio"),
            at_most(f"most memory of a replica, {of}", most.resident_peak_mb, RESIDENT_MB, "MB"),
        ]
    return targets


BACKLOG = Scenario("backlog", "Do claims cost more, and does a replica grow, when a million instances wait?", run)
