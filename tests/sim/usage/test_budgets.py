"""Budgets (`core.usage.budgets`): what is spent stops claims and starts until the period ends or it is raised."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from leasehold.claim.wire import CompleteBody, StartAnswer, StartBody, StartItem, Usage
from leasehold.core.errors import QuotaExceeded
from leasehold.core.es.lines import create_line
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, NAMES, ONE_STEP, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, VirtualClock, run_virtual
from tests.sim.test_forwarding import member

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GLOBEX = Principal("tester", "globex")


async def allow(s: Scheduler, **budgets: dict[str, Any]) -> None:
    await s.replica.put_tenant(ANYBODY, "acme", msgspec.json.encode({"budgets": budgets}), revision=None)
    await asyncio.sleep(2)


async def begin(s: Scheduler, who: Principal = ANYBODY) -> StartAnswer:
    answer, _ = await s.replica.start(who, "one", StartBody(), idempotency_key=None, traceparent=None)
    return answer


async def run(s: Scheduler, **used: Any) -> None:
    """One instance from start to end, which consumes that."""
    await begin(s)
    step = await s.claim_one(wait_ms=5_000)
    await s.replica.complete(ANYBODY, step.step_id, CompleteBody(None, usage=Usage(**used)))


async def refusal(s: Scheduler) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refused:
        await begin(s)
    return refused.value


@pytest.mark.parametrize(
    ("budget", "used", "quota"),
    [
        ({"day": {"cost": 1.0}}, {"cost": 0.5}, "budgets.day.cost"),
        ({"hour": {"llm_calls": 4}}, {"llm_calls": 2}, "budgets.hour.llm_calls"),
        ({"month": {"llm_tokens": 100}}, {"llm_tokens": 99}, "budgets.month.llm_tokens"),
        ({"hour": {"llm_calls": 1}, "day": {"llm_calls": 2}}, {"llm_calls": 1}, "budgets.day.llm_calls"),
    ],
)
def test_a_spent_budget_refuses_starts_and_names_itself(
    budget: dict[str, Any], used: dict[str, Any], quota: str
) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await allow(s, **budget)
            await begin(s)
            await begin(s)
            steps = await s.claim(max_steps=2)
            for step in steps:
                await s.replica.complete(ANYBODY, step.step_id, CompleteBody(None, usage=Usage(**used)))
            assert (await refusal(s)).quota == quota
            (result,) = await s.replica.start_many(ANYBODY, [StartItem(workflow="one")], traceparent=None)
            assert result.code == 429

    run_virtual(main())


def test_what_waits_is_not_claimed_any_more_and_others_go_on() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(Principal("p", "*"), "one", ONE_STEP.encode())
            await allow(s, hour={"cost": 1})
            for _ in range(5):
                await begin(s)
            await run(s, cost=1.5)
            assert await s.claim(wait_ms=3_000) == []
            await begin(s, GLOBEX)
            found = await s.replica.claim(
                GLOBEX, ("work",), max_steps=9, lease_ms=30_000, wait_ms=0, worker="w", request_id=None
            )
            assert len(found) == 1
            # Who was leased before may end.
            assert (await refusal(s)).quota == "budgets.hour.cost"

    run_virtual(main())


def test_the_executors_time_counts() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await allow(s, day={"executor_s": 10})
            for _ in range(2):
                await begin(s)
                step = await s.claim_one()
                await asyncio.sleep(6)
                await s.complete(step)
            assert (await refusal(s)).quota == "budgets.day.executor_s"

    run_virtual(main())


@pytest.mark.parametrize(
    ("period", "over_ms"),
    [
        ("hour", EPOCH_MS - EPOCH_MS % HOUR_MS + HOUR_MS),
        ("day", EPOCH_MS - EPOCH_MS % DAY_MS + DAY_MS),
        ("month", int(datetime(2027, 2, 1, tzinfo=UTC).timestamp()) * 1_000),
    ],
)
def test_claims_and_starts_open_again_when_the_period_is_over(period: str, over_ms: int) -> None:
    async def main() -> None:
        clock = VirtualClock(over_ms - EPOCH_MS - 20_000)
        async with scheduler(new_cluster(), clock=clock) as s:
            await s.define(ONE_STEP)
            await allow(s, **{period: {"cost": 1}})
            await begin(s)
            await run(s, cost=1)
            refused = await refusal(s)
            assert refused.retry_after_s == pytest.approx((over_ms - clock.now_ms()) / 1_000, abs=0.1)

            # Somebody who waits since before is served at the very end of the period.
            step = await s.claim_one(wait_ms=60_000)
            assert over_ms <= clock.now_ms() <= over_ms + 100
            await s.complete(step)
            await begin(s)

    run_virtual(main())


def test_raising_the_budget_lets_those_who_wait_go_on_within_two_seconds() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await allow(s, day={"cost": 1})
            await begin(s)
            await run(s, cost=1)
            waiting = asyncio.create_task(s.claim_one(wait_ms=60_000))
            await asyncio.sleep(5)
            assert not waiting.done()
            await allow(s, day={"cost": 5})
            assert waiting.done()
            await s.complete(await waiting)
            await allow(s, day={"cost": 1})
            await refusal(s)
            await s.replica.delete_tenant(ANYBODY, "acme", revision=None)
            await asyncio.sleep(2)
            await begin(s)

    run_virtual(main())


def test_what_other_replicas_run_counts() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1) as a, member(cluster, peers, "b", 2) as b:
            await asyncio.sleep(15)
            assert a.replica.owns_lanes()
            assert b.replica.owns_lanes()
            await a.define(ONE_STEP)
            await allow(a, day={"cost": 1})
            await run(a, cost=1)
            await asyncio.sleep(2)
            for one in (a, b):
                assert (await refusal(one)).quota == "budgets.day.cost"

    run_virtual(main())


def test_a_replica_that_starts_knows_what_was_spent_of_the_month() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
        # Of the days before, some are counted in usage documents, and of those the rows are gone.
        await put_rows(cluster, at_ms=EPOCH_MS - 3 * DAY_MS, cost=0.25, count=4)
        async with scheduler(cluster, replica_id="b") as s:
            await asyncio.sleep(30)
        old = cluster.write_index(NAMES.steps).name
        cluster.roll_over(NAMES.steps)
        cluster.delete_index(old)
        await put_rows(cluster, at_ms=EPOCH_MS - DAY_MS, cost=0.25, count=4)
        await put_rows(cluster, at_ms=EPOCH_MS - 40 * DAY_MS, cost=100, count=1)
        async with scheduler(cluster, replica_id="c") as s:
            await allow(s, month={"cost": 2.5})
            await run(s, cost=0.499)
            await begin(s)
            await allow(s, month={"cost": 2.49})
            await refusal(s)
        async with scheduler(cluster, replica_id="d") as s:
            await refusal(s)
            await asyncio.sleep(30)
            await refusal(s)

    run_virtual(main())


def test_the_defaults_budgets_hold_for_each_tenant_without_a_document() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(Principal("p", "*"), "one", ONE_STEP.encode())
            await s.replica.put_tenant(
                ANYBODY, "*", msgspec.json.encode({"defaults": {"budgets": {"day": {"cost": 1}}}}), revision=None
            )
            await asyncio.sleep(2)
            await run(s, cost=1)
            await refusal(s)
            await begin(s, GLOBEX)
            await asyncio.sleep(10)
            await refusal(s)
            await begin(s, GLOBEX)

    run_virtual(main())


def test_a_row_counts_once_whether_it_is_on_its_way_or_stands_in_history() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await allow(s, day={"llm_calls": 100})
            budgets = s.replica._engine.budgets
            for number in range(1, 60):
                await run(s, llm_calls=1)
                await asyncio.sleep(0.037 * number)
                assert spent(budgets) == number

    run_virtual(main())


def spent(budgets: Any) -> int:
    now_ms = budgets._clock.now_ms()
    account = budgets._accounts["acme"]
    shown = budgets._spending.ledger("acme").spent("day", now_ms).llm_calls
    return int(shown + account.on_the_way.spent("day", now_ms).llm_calls)


def test_where_nobody_has_a_budget_nothing_is_asked_and_where_nothing_ends_nothing_is_searched() -> None:
    async def main() -> None:
        store = ModelStore(new_cluster())
        async with scheduler(store.cluster, store=store) as s:
            await s.define(ONE_STEP)
            await run(s, cost=1)
            await asyncio.sleep(120)
            before = dict(store.requests)
            await asyncio.sleep(60)
            without = store.requests["checkpoints"] - before["checkpoints"]
            assert store.requests.get("search", 0) == before.get("search", 0)
            await allow(s, day={"cost": 5})
            await asyncio.sleep(5)
            before = dict(store.requests)
            await asyncio.sleep(60)
            assert store.requests.get("search", 0) == before.get("search", 0)
            assert store.requests["checkpoints"] - before["checkpoints"] <= without + 62

    run_virtual(main())


def test_a_look_that_fails_is_made_again_and_what_this_replica_knows_counts_meanwhile() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await allow(s, day={"llm_calls": 3})
            s.faults.refuse(503, on="search", index=f"{NAMES.steps}*", times=50)
            await run(s, llm_calls=2)
            await asyncio.sleep(5)
            await run(s, llm_calls=1)
            assert (await refusal(s)).quota == "budgets.day.llm_calls"
            s.faults.clear()
            await asyncio.sleep(5)
            await refusal(s)
            assert spent(s.replica._engine.budgets) == 3

    run_virtual(main())


def test_an_idempotent_start_that_was_admitted_before_is_answered_with_its_instance() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await allow(s, day={"cost": 1})
            first = await s.start("one", key="k")
            step = await s.claim_one()
            await s.replica.complete(ANYBODY, step.step_id, CompleteBody(None, usage=Usage(cost=2)))
            assert (await s.start("one", key="k")).instance_id == first.instance_id
            with pytest.raises(QuotaExceeded):
                await s.start("one", key="other")

    run_virtual(main())


async def put_rows(cluster: ModelElasticsearch, *, at_ms: int, cost: float, count: int) -> None:
    row = {
        "@timestamp": datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(),
        "tenant": "acme",
        "workflow": {"id": "00-1", "name": "one", "version": 1},
        "step": {"attempt": 1},
        "usage": {"cost": cost},
    }
    lines = [line for number in range(count) for line in (create_line(f"{at_ms}-{number}"), msgspec.json.encode(row))]
    await ModelStore(cluster).bulk(lines, index=NAMES.steps)
