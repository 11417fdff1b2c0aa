"""Replicas that share the lanes of one backlog, for the `herd` scenario."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from msgspec import Struct

from ..ground import Cluster
from ..ground.backlog import filled_lanes
from ..ground.fleet import Fleet, running_fleet
from ..load import Hand, hired
from ..load.closed import Execute, Executed, ExecutorSetup
from ..load.documents import CAPABILITY

_MAX_STEPS = 100
_CONNECTIONS = 8
_WITHIN_S = 120.0
# Claimers stop before the backlog runs dry; what is left is claimed when the clock has stopped.
_MEASURED = 0.9
_REST_WITHIN_S = 15.0


class Drain(Struct, frozen=True):
    """What so many replicas gave out.

    `conflicts` is what the replicas counted while the lanes were settled, `conflicts_by_elasticsearch` what it refused
    in the lanes for their version meanwhile. `left` steps nobody got in the end, `doubled` ones two claimers hold.
    `passed_on` are claims that one replica's claimers got and another replica's lanes held.
    """

    replicas: int
    claims_per_s: float
    claims: int
    conflicts: int
    conflicts_by_elasticsearch: int
    failures: int
    left: int
    doubled: int
    documents_a_bulk: float
    scheduler_cpu_us_per_claim: float
    client_cpu_us_per_claim: float
    seconds_until_settled: float


class _Count(Struct, frozen=True):
    conflicts: float
    bulks: float
    bulk_documents: float
    cpu_s: float
    by_elasticsearch: int


async def drained(cluster: Cluster, replicas: int, documents: int) -> Drain:
    """Fill lanes, start replicas, and let a claimer process at each of them claim until nothing is left."""
    await filled_lanes(cluster, documents)
    async with running_fleet(cluster, replicas) as fleet, AsyncExitStack() as stack:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        await fleet.settled()
        settled_s = clock() - began_s
        setups = [
            ExecutorSetup(replica.address, CAPABILITY, _CONNECTIONS, _MAX_STEPS, completing=False)
            for replica in fleet.running
        ]
        claimers = await asyncio.gather(*(stack.enter_async_context(hired("executor", each)) for each in setups))
        before = await _count(cluster, fleet)
        answers = await _claim(claimers, documents)
        after = await _count(cluster, fleet)
        rest = await _claim_rest(claimers[0], documents - sum(answer.steps for answer in answers))
    return _drain(replicas, documents, answers, rest, before, after, settled_s)


async def _claim(claimers: list[Hand], documents: int) -> list[Executed]:
    order = Execute(int(documents * _MEASURED) // len(claimers), _WITHIN_S, sit_out=True)
    return list(await asyncio.gather(*(each.ask(order, Executed, within_s=2 * _WITHIN_S) for each in claimers)))


async def _claim_rest(claimer: Hand, left: int) -> list[Executed]:
    if left <= 0:
        return []
    return [await claimer.ask(Execute(left, _REST_WITHIN_S), Executed, within_s=2 * _WITHIN_S)]


async def _count(cluster: Cluster, fleet: Fleet) -> _Count:
    counts = await asyncio.gather(*(replica.counts() for replica in fleet.running))
    return _Count(
        conflicts=sum(each.conflicts for each in counts),
        bulks=sum(each.bulks for each in counts),
        bulk_documents=sum(each.bulk_documents for each in counts),
        cpu_s=sum(each.cpu_s for each in counts),
        by_elasticsearch=await cluster.version_conflicts(f"{cluster.prefix}-lane-*"),
    )


def _drain(
    replicas: int,
    documents: int,
    answers: list[Executed],
    rest: list[Executed],
    before: _Count,
    after: _Count,
    settled_s: float,
) -> Drain:
    claims = sum(answer.steps for answer in answers)
    numbers = [number for answer in [*answers, *rest] for numbers in answer.claimed.values() for number in numbers]
    took_ns = max(answer.claimed_ns for answer in answers) - min(answer.began_ns for answer in answers)
    return Drain(
        replicas=replicas,
        claims_per_s=round(claims / (took_ns / 1e9), 1),
        claims=claims,
        conflicts=round(after.conflicts - before.conflicts),
        conflicts_by_elasticsearch=after.by_elasticsearch - before.by_elasticsearch,
        failures=sum(answer.failures for answer in [*answers, *rest]),
        left=documents - len(set(numbers)),
        doubled=len(numbers) - len(set(numbers)),
        documents_a_bulk=round((after.bulk_documents - before.bulk_documents) / max(1, after.bulks - before.bulks), 1),
        scheduler_cpu_us_per_claim=round((after.cpu_s - before.cpu_s) * 1e6 / max(1, claims), 1),
        client_cpu_us_per_claim=round(sum(answer.cpu_ns for answer in answers) / 1e3 / max(1, claims), 1),
        seconds_until_settled=round(settled_s, 2),
    )
