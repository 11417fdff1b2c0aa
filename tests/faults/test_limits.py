"""Replicas are killed and stand still past their leases while tenants are at their limits: none is exceeded by one.

Everything is seen from outside: by the clients of the replicas (`limits.ledger`) and in Elasticsearch, past all
replicas (`limits.sampling`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from .ground import LANE_LEASE_S, Elasticsearch, Ground
from .limits.ground import (
    CAPABILITIES,
    CLAIM_RATE,
    DOCUMENTS,
    FRAGILE_LIMIT,
    LOWERED,
    QUOTA_IDS,
    RUNNING_INSTANCES,
    START_RATE,
    STEP_LIMITS,
    TENANTS,
    ground,
    put_rules,
    steps_of,
)
from .limits.in_force import InForce, overrun
from .limits.ledger import Ledger
from .limits.load import Load
from .limits.sampling import Sampler

log = logging.getLogger(__name__)

SEED = int(os.environ.get("LEASEHOLD_TEST_SEED", "6"))
LIMITS = {**{(tenant, ""): limit for tenant, limit in STEP_LIMITS.items()}, ("*", "fragile"): FRAGILE_LIMIT}
FULL_WITHIN_S = 30.0
FAULTS_S = 24.0
GOES_ON_WITHIN_S = LANE_LEASE_S + 8
ENDS_WITHIN_S = 40.0
EXECUTORS = 3
CALLERS = 3


async def all_at_their_limits(in_force: InForce, sampler: Sampler) -> None:
    """What never reaches its limit proves nothing."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + FULL_WITHIN_S
    while in_force.most != LIMITS or sampler.most_running < RUNNING_INSTANCES[1]:
        assert loop.time() < until_s, f"not used in full: {in_force.most}, {sampler.most_running} instances"
        await asyncio.sleep(0.05)


async def lower_and_raise(ground: Ground, in_force: InForce) -> None:
    """One tenant's limit, while it is used in full."""
    loop = asyncio.get_running_loop()
    tenant, limit = LOWERED
    await asyncio.sleep(FAULTS_S / 4)
    await put_rules(ground.store, tenant, {"max_running_steps": limit})
    in_force.change((tenant, ""), limit, loop.time())
    await asyncio.sleep(FAULTS_S / 2)
    in_force.change((tenant, ""), STEP_LIMITS[tenant], loop.time())
    await put_rules(ground.store, tenant, DOCUMENTS[tenant])


async def all_go_on(ledger: Ledger) -> float:
    """Seconds until every tenant has got a step."""
    loop = asyncio.get_running_loop()
    since_s = loop.time()
    async with asyncio.timeout(GOES_ON_WITHIN_S):
        while any(ledger.last_claim_s.get(tenant, 0.0) < since_s for tenant in TENANTS):
            await asyncio.sleep(0.02)
    return loop.time() - since_s


async def all_end(ledger: Ledger, store: Elasticsearch) -> None:
    """Every instance that was started is history."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + ENDS_WITHIN_S
    while left := await unfinished(ledger, store):
        assert loop.time() < until_s, f"not ended: {left}, {await standing(left, store)}"
        await asyncio.sleep(0.3)


async def unfinished(ledger: Ledger, store: Elasticsearch) -> dict[str, set[str]]:
    """Instances of which history knows no end, by tenant."""
    ended = {hit["_id"] for hit in await store.hits("instances", _source=False)}
    return {tenant: left for tenant, ids in ledger.started.items() if (left := ids - ended)}


async def standing(left: dict[str, set[str]], store: Elasticsearch) -> list[dict[str, Any]]:
    """All quotas, and what the lanes hold of these instances."""
    ids = [id for some in left.values() for id in some]
    found = await store.send("POST", "control/_mget", {"ids": QUOTA_IDS})
    return [*found["docs"], *await store.hits("lane-*", query={"ids": {"values": ids}})]


async def check_history(ledger: Ledger, store: Elasticsearch) -> None:
    """Every attempt once, every acknowledged completion among them, and no rate exceeded by anybody's clock."""
    instances = await store.hits("instances", _source=["status", "tenant", "created_at"])
    assert Counter(hit["_source"]["status"] for hit in instances) == {"succeeded": len(instances)}
    assert {hit["_id"] for hit in instances} == {id for ids in ledger.started.values() for id in ids}
    rows = await store.hits("steps", _source=["tenant", "step.started_at", "step.outcome", "step.path"])
    ids = Counter(row["_id"] for row in rows)
    assert set(ids.values()) == {1}
    succeeded = {row["_id"] for row in rows if row["_source"]["step"]["outcome"] == "succeeded"}
    assert ledger.acknowledged <= succeeded
    assert len(succeeded) == sum(len(ids) * len(steps_of(tenant)) for tenant, ids in ledger.started.items())
    claims = [row["_source"]["step"]["started_at"] for row in rows if row["_source"]["tenant"] == CLAIM_RATE[0]]
    assert overrun(moments(claims), *CLAIM_RATE[1:]) <= 0
    starts = [hit["_source"]["created_at"] for hit in instances if hit["_source"]["tenant"] == START_RATE[0]]
    assert overrun(moments(starts), *START_RATE[1:]) <= 0


def moments(times: list[str]) -> list[tuple[float, float]]:
    """Documents say milliseconds, rounded down."""
    begins = (datetime.fromisoformat(time).timestamp() for time in times)
    return [(begin_s, begin_s + 0.001) for begin_s in begins]


async def test_no_limit_is_ever_exceeded_while_replicas_die_and_stand_still(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    in_force = InForce(LIMITS)
    ledger = Ledger(in_force)
    async with ground(elasticsearch_url, index_prefix, tmp_path, Random(SEED)) as here:
        load, sampler = Load(here, ledger), Sampler(here.store, in_force, ledger)
        crew = [load.work(f"{capability}-{n}", capability) for capability in CAPABILITIES for n in range(EXECUTORS)]
        for_good = [asyncio.create_task(one) for one in (sampler.run(), *crew)]
        starts = [asyncio.create_task(load.start(tenant)) for tenant in TENANTS for _ in range(CALLERS)]

        await all_at_their_limits(in_force, sampler)
        await asyncio.gather(here.torment(FAULTS_S), lower_and_raise(here, in_force))
        went_on_s = await all_go_on(ledger)
        load.starting = False
        await asyncio.gather(*starts)
        await all_end(ledger, here.store)
        for task in for_good:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*for_good, return_exceptions=True)
        log.info("accidents %s; most leases %s", dict(here.accidents), dict(in_force.most))
        log.info("snapshots %d; all went on after %.1f s; %s", sampler.taken, went_on_s, dict(ledger.told))
        log.info("started %s", {tenant: len(ids) for tenant, ids in ledger.started.items()})

        assert in_force.broken == []
        assert sampler.broken == []
        assert await sampler.check_shares() == 0
        assert ledger.lost_early == []
        assert ledger.acknowledged_twice == []
        assert overrun(ledger.claims[CLAIM_RATE[0]], *CLAIM_RATE[1:]) <= 0
        await check_history(ledger, here.store)
        assert set(here.accidents) == {"killed", "stood still"}
