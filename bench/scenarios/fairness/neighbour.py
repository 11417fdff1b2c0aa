"""One tenant's million waiting steps beside another tenant's starts, against the same starts with nobody beside them.

Two installations stand on one server, each with replicas of its own: one is empty, in the other a tenant has its
backlog, a part of which is claimed all the while. The other tenant starts in one and in the other in turn, so both
meet a server of the same age. Its executors always wait: they are its own, or (`shared`) everybody's, where the large
tenant's `claim_rate` keeps it from taking them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from time import monotonic_ns
from typing import Any

from msgspec import Struct, to_builtins

from ...ground import Cluster
from ...ground.backlog import Work, tenants_lanes
from ...ground.fleet import Fleet, running_fleet
from ...ground.installations import installation
from ...load import Hand, hired
from ...load.closed import PacedSetup, Worked, WorkUntil
from ...load.orders import Backlog, Claim, ClaimerSetup, Claims, Finish, Fire, Start, StarterSetup, Starts
from ...scenario import Run
from .neighbour_figures import Side, Variant, pairs_of, variants_of, wrong_probes
from .plan import LANES, NeighbourPlan

LARGE = "large"
SMALL = "small"
OWN = "own"
SHARED = "shared"

_WORK = Work("bench-neighbour", "bench-neighbour")
# Above all numbers of starts.
_LARGE_FIRST = 1_000_000_000
_CLAIMS_PER_S = 20
_EXECUTOR_MS = 130
_EVERY_TENANT = "*"
_LEAD_IN_NS = 300_000_000
# Executors begin and end with each span.
_WAIT_MS = 500
_SETTLE_S = 0.5
_AROUND_S = 1.5
_OBEYED_S = 2.0
_SLACK_S = 60.0
_WARM_UP_PER_S = 50.0


class Found(Struct, frozen=True):
    figures: dict[str, Any]
    variants: list[Variant]
    wrong: dict[str, int]


class _House(Struct, frozen=True):
    """One installation: its replicas, and the processes of load at work there."""

    full: bool
    fleet: Fleet
    starter: Hand
    noise: list[Hand]


class _Record:
    """What has been measured up to now."""

    def __init__(self) -> None:
        self.numbers = count()
        self.sides: list[Side] = []
        self.starts: list[Start] = []
        self.claims: list[Claim] = []
        self.noise_claims = 0
        self.failures = 0

    def noise(self, worked: Iterable[Worked]) -> None:
        """What the large tenant's own executors did."""
        for each in worked:
            self.noise_claims += sum(len(batch.numbers) for batch in each.batches)
            self.failures += each.failures

    def claimed(self, claims: Claims) -> None:
        """What executors got that were there for the starts; everybody's got the large tenant's steps, too."""
        own = [claim for claim in claims.claims if claim.number < _LARGE_FIRST]
        self.claims += own
        self.noise_claims += len(claims.claims) - len(own)
        self.failures += claims.failures


async def measured(run: Run, plan: NeighbourPlan, reserved_s: float) -> Found:
    """Both installations, then pairs of spans. A quick run leaves pairs out that would not leave `reserved_s`."""
    record = _Record()
    async with AsyncExitStack() as stack:
        empty, full = [await stack.enter_async_context(installation(run.cluster, name)) for name in ("empty", "full")]
        backlog = [Backlog(LARGE, plan.waiting, _LARGE_FIRST)]
        await asyncio.gather(
            tenants_lanes(empty, [], lanes=LANES, work=_WORK), tenants_lanes(full, backlog, lanes=LANES, work=_WORK)
        )
        run.say(f"{plan.waiting:,} instances of one tenant wait")
        houses = await asyncio.gather(
            *(stack.enter_async_context(_house(plan, each, full=each is full)) for each in (empty, full))
        )
        run.say(f"{2 * plan.replicas} replicas serve both installations")
        if plan.warm_up_s:
            for house in houses:
                await _span(plan, house, record, OWN, f"{run.options.seed}-warm-up", _WARM_UP_PER_S, plan.warm_up_s)
        await _pairs(run, plan, houses, record, OWN, plan.pairs, reserved_s)
        if run.has_time_for(_OBEYED_S + _pair_s(plan) + reserved_s):
            limited = {"claim_rate": {"per_s": _CLAIMS_PER_S, "burst": _CLAIMS_PER_S}}
            await houses[1].fleet.running[0].put_tenant(LARGE, limited)
            await asyncio.sleep(_OBEYED_S)
            await _pairs(run, plan, houses, record, SHARED, plan.shared_pairs, reserved_s)
        until_ns = monotonic_ns()
        unexpected = [round((await each.counts()).unexpected) for house in houses for each in house.fleet.running]
    variants = variants_of(record.sides, record.claims, until_ns)
    for variant in variants:
        run.say(
            f"{variant.executors} executors: p99 {variant.empty_p99_ms} ms empty, {variant.full_p99_ms} ms beside a "
            f"large tenant"
        )
    figures = {
        "by_executors": to_builtins(variants),
        "pairs": to_builtins(pairs_of(record.sides, record.claims, until_ns)),
        "claims_of_the_large_tenant": record.noise_claims,
    }
    wrong = wrong_probes(record.starts, record.claims)
    return Found(figures, variants, {**wrong, "claims_failed": record.failures, "unexpected_errors": sum(unexpected)})


@asynccontextmanager
async def _house(plan: NeighbourPlan, cluster: Cluster, *, full: bool) -> AsyncIterator[_House]:
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(running_fleet(cluster, plan.replicas))
        await fleet.settled()
        await fleet.running[0].put_definition(_WORK.workflow, _WORK.definition, tenant=SMALL)
        starter = await stack.enter_async_context(
            hired("starter", StarterSetup(fleet.running[0].address, _WORK.workflow, plan.connections, SMALL))
        )
        noise = []
        for replica in fleet.running if full else []:
            # One executor at each of three replicas makes some twenty claims a second.
            setup = PacedSetup(replica.address, _WORK.capability, 1, 1, _EXECUTOR_MS, tenant=LARGE)
            noise.append(await stack.enter_async_context(hired("paced-executor", setup)))
        yield _House(full, fleet, starter, noise)


async def _pairs(
    run: Run, plan: NeighbourPlan, houses: list[_House], record: _Record, executors: str, pairs: int, reserved_s: float
) -> None:
    """So many pairs, each of which begins with the other side than the one before."""
    for pair in range(1, pairs + 1):
        if pair > 1 and not run.has_time_for(_pair_s(plan) + reserved_s):
            break
        for house in houses if pair % 2 else reversed(houses):
            seed = f"{run.options.seed}-{executors}-{pair}"
            starts = await _span(plan, house, record, executors, seed, plan.rate_per_s, plan.load_s)
            record.sides.append(Side(executors, pair, house.full, starts))


def _pair_s(plan: NeighbourPlan) -> float:
    return 2 * (plan.load_s + _AROUND_S)


async def _span(
    plan: NeighbourPlan, house: _House, record: _Record, executors: str, seed: str, rate_per_s: float, load_s: float
) -> list[Start]:
    """Starts at one installation, where executors wait meanwhile, and the large tenant's own claim if they are so."""
    tenant = SMALL if executors == OWN else _EVERY_TENANT
    setups = [
        ClaimerSetup(replica.address, _WORK.capability, plan.connections, wait_ms=_WAIT_MS, tenant=tenant)
        for replica in house.fleet.running
    ]
    async with AsyncExitStack() as stack:
        claimers = await asyncio.gather(*(stack.enter_async_context(hired("claimer", each)) for each in setups))
        begin_ns = monotonic_ns() + _LEAD_IN_NS
        until = WorkUntil(begin_ns + round(load_s * 1e9))
        fire = Fire(begin_ns, rate_per_s, load_s, seed, next(record.numbers) * 1_000_000)
        noise = house.noise if executors == OWN else []
        claiming = asyncio.gather(*(each.ask(until, Worked, within_s=load_s + _SLACK_S) for each in noise))
        started = await house.starter.ask(fire, Starts, within_s=load_s + _SLACK_S)
        record.noise(await claiming)
        await asyncio.sleep(_SETTLE_S)
        finish = Finish(at_once=True)
        for claims in await asyncio.gather(*(each.ask(finish, Claims, within_s=_SLACK_S) for each in claimers)):
            record.claimed(claims)
    record.starts += started.starts
    return started.starts
