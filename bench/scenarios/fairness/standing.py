"""Shares of a standing backlog, over three replicas: by weight, after a change of rules, and below running limits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic_ns
from typing import Any

from msgspec import Struct

from ....ilm import IndexNames
from ...ground import Cluster
from ...ground.backlog import Work, tenants_lanes
from ...ground.fleet import Fleet, running_fleet
from ...ground.tenants import write_tenant
from ...load import hired
from ...load.closed import PacedSetup, Worked, WorkUntil
from ...load.documents import CAPABILITY
from ...scenario import Run
from .people import Person, backlogs_of, people_of
from .plan import LANES, SharesPlan
from .standing_figures import Standing, figures_of

_EVERY_TENANT = "*"
_LEAD_IN_NS = 100_000_000
_SLACK_S = 60.0
# By then replicas obey what they were told.
_OBEYED_S = 2.0
_PUTS_AT_ONCE = 8


class Found(Struct, frozen=True):
    figures: dict[str, Any]
    standing: Standing
    wrong: dict[str, int]


async def measured(run: Run, plan: SharesPlan, cluster: Cluster, environment: Mapping[str, str]) -> Found:
    """Fill lanes, tell replicas of the tenants, and let executors claim while rules change.

    `environment` holds settings of the replicas, as `LEASEHOLD_...` variables.
    """
    people = people_of(plan.tenants)
    lanes = await tenants_lanes(cluster, backlogs_of(people, plan.waiting), lanes=LANES, work=Work())
    run.say(f"{plan.waiting:,} instances of {len(people)} tenants wait")
    async with running_fleet(cluster, plan.replicas, environment=environment) as fleet:
        await _put(fleet, people)
        await asyncio.gather(fleet.settled(), asyncio.sleep(_OBEYED_S))
        begin_ns, changed_ns, worked = await _worked(plan, cluster, fleet, people)
        counts = await asyncio.gather(*(replica.counts() for replica in fleet.running))
    dry = await _dry(cluster, lanes, people)
    end_ns = begin_ns + round(plan.run_s * 1e9)
    standing = figures_of(plan, people, worked, begin_ns=begin_ns, changed_ns=changed_ns, end_ns=end_ns, dry=dry)
    wrong = {**_wrong(worked, standing), "unexpected_errors": round(sum(each.unexpected for each in counts))}
    run.say(
        f"{standing.claims_per_s:,.0f} claims/s; error at most {standing.max_error}, {standing.mean_error} on average"
    )
    return Found(standing.as_figures(), standing, wrong)


async def _put(fleet: Fleet, people: Sequence[Person]) -> None:
    """Store the tenants' documents by the API."""
    for at in range(0, len(people), _PUTS_AT_ONCE):
        some = people[at : at + _PUTS_AT_ONCE]
        await asyncio.gather(*(fleet.running[0].put_tenant(person.name, person.document) for person in some))


async def _worked(
    plan: SharesPlan, cluster: Cluster, fleet: Fleet, people: Sequence[Person]
) -> tuple[int, int, list[Worked]]:
    """When executors began, when rules were changed, and all that executors did."""
    async with AsyncExitStack() as stack:
        setups = [
            PacedSetup(
                replica.address,
                CAPABILITY,
                plan.connections,
                plan.max_steps,
                plan.executor_ms,
                tenant=_EVERY_TENANT,
            )
            for replica in fleet.running
        ]
        hands = await asyncio.gather(*(stack.enter_async_context(hired("paced-executor", each)) for each in setups))
        begin_ns = monotonic_ns() + _LEAD_IN_NS
        order = WorkUntil(begin_ns + round(plan.run_s * 1e9))
        working = [asyncio.create_task(hand.ask(order, Worked, within_s=plan.run_s + _SLACK_S)) for hand in hands]
        try:
            await asyncio.sleep(plan.change_s)
            changed_ns = monotonic_ns()
            await _change(cluster, people)
            return begin_ns, changed_ns, await asyncio.gather(*working)
        finally:
            for task in working:
                task.cancel()


async def _change(cluster: Cluster, people: Sequence[Person]) -> None:
    """Change documents past the API."""
    for person in people:
        if person.changes:
            await write_tenant(cluster, person.name, person.later_document)


async def _dry(cluster: Cluster, lanes: Sequence[str], people: Sequence[Person]) -> list[str]:
    """The tenants that have nothing to be claimed any more, with the lane, where their weight alone counts."""
    names = IndexNames(cluster.prefix)
    found = []
    for lane in lanes:
        await cluster.ask("POST", f"/{names.lane(lane)}/_refresh")
        body = {
            "size": 0,
            "query": {"term": {"ready": CAPABILITY}},
            "aggs": {"tenants": {"terms": {"field": "tenant", "size": len(people)}}},
        }
        answer = await cluster.ask("POST", f"/{names.lane(lane)}/_search", body)
        waiting = {bucket["key"] for bucket in answer["aggregations"]["tenants"]["buckets"]}
        found += [
            f"{person.name} in lane {lane}" for person in people if person.limit is None and person.name not in waiting
        ]
    return found


def _wrong(worked: Sequence[Worked], standing: Standing) -> dict[str, int]:
    times = Counter(number for each in worked for batch in each.batches for number in batch.numbers)
    return {
        "doubled": times.total() - len(times),
        "claims_failed": sum(each.failures for each in worked),
        "completions_refused": sum(sum(each.refused.values()) for each in worked),
        "exceeded": sum(limit.exceeded for limit in standing.limits),
    }
