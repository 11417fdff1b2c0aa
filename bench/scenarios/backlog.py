"""What a claim costs, and how much memory a replica takes, however much waits.

For each size an installation of its own is filled past the scheduler with waiting instances of so many tenants; then a
replica is started, which has to take the lanes over, and executors claim a part of what waits.
"""

from __future__ import annotations

from time import monotonic

from msgspec import Struct, to_builtins

from ..ground import Cluster, bare_lane, running_scheduler
from ..ground.backlog import filled_lanes
from ..ground.installations import installation
from ..ground.ownership import serves_all
from ..load import Hand, hired, spread
from ..load.closed import Execute, Executed, ExecutorSetup
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


class Plan(Struct, frozen=True):
    """`sizes` has (waiting instances, tenants), in the order in which they are measured.

    Of each backlog `claims` steps are claimed, but no more than `share` of it, in slices of about `slice`. That is more
    than a replica holds in memory of a large one, so that the way of what it does not hold is measured too.
    """

    sizes: tuple[tuple[int, int], ...]
    claims: int
    share: float = 0.8
    slice: int = 4_000
    executors: int = 8
    warm_up: int = 100_000


_TENANTS = (10, 10_000)
FULL = Plan(tuple((size, tenants) for tenants in _TENANTS for size in (10_000, 100_000, 1_000_000)), 60_000)
QUICK = Plan(tuple((size, tenants) for tenants in _TENANTS for size in (10_000, 200_000)), 50_000, warm_up=20_000)


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


async def run(run: Run) -> Outcome:
    """Each size on an installation of its own, one after the other."""
    plan = QUICK if run.options.quick else FULL
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
            cpu_before_s, elasticsearch_before_s = cpu_s_of(replica.pid), await cluster.cpu_s()
            slices = [await _slice(executor, plan.slice) for _ in range(count)]
            cpu_s = cpu_s_of(replica.pid) - cpu_before_s
            elasticsearch_s = await cluster.cpu_s() - elasticsearch_before_s
        resident_bytes, peak_bytes = resident_bytes_of(replica.pid)
        counts = await replica.counts()
    for found in slices:
        tally.executed(found)
    spans_s = [max(1e-9, (found.claimed_ns - found.began_ns) / 1e9) for found in slices]
    speeds = [found.steps / span_s for found, span_s in zip(slices, spans_s, strict=True)]
    requests = spread(ns for found in slices for ns in found.claim_ns)
    claims = max(1, tally.claimed())
    backlog = Backlog(
        waiting=waiting,
        tenants=tenants,
        claims=claims,
        claims_per_s=round(claims / sum(spans_s)),
        slowest_claims_per_s=round(min(speeds)),
        fastest_claims_per_s=round(max(speeds)),
        claim_p50_ms=0.0 if requests is None else requests.p50_ms,
        claim_p99_ms=0.0 if requests is None else requests.p99_ms,
        scheduler_cpu_us=round(cpu_s * 1e6 / claims, 1),
        elasticsearch_cpu_us=round(elasticsearch_s * 1e6 / claims, 1),
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


async def _slice(executor: Hand, steps: int) -> Executed:
    return await executor.ask(Execute(steps, _WITHIN_S), Executed, within_s=_WITHIN_S + _SLACK_S)


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
