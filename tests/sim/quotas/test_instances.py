"""What limits instances: how many run, how many wait to begin, how fast they start, and whose they may be."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import StartBody, StartItem
from leasehold.core.errors import Conflict, Forbidden, PayloadTooLarge, QuotaExceeded
from leasehold.core.lanes.quotas import admission
from leasehold.core.orders import Pause, Retry

from tests.kit.schedulers import ANYBODY, LANE, Scheduler, documents
from tests.kit.virtual_time import run_virtual

from .running import alone, by_state, counted, recounted, start_of, until_calm, watched, workflow


async def run_all(s: Scheduler, count: int) -> list[str]:
    """Claim and complete so many, one by one; whose steps they were, in order."""
    return [step.workflow_id for step in await s.run_all(count)]


async def starts(s: Scheduler, name: str, count: int, *, every_s: float) -> tuple[int, list[QuotaExceeded]]:
    """How many of so many starts were taken, and what the others were told."""
    taken, refusals = 0, []
    for _ in range(count):
        try:
            await s.start(name)
            taken += 1
        except QuotaExceeded as refused:
            refusals.append(refused)
        await asyncio.sleep(every_s)
    return taken, refusals


def test_so_many_run_as_are_allowed_and_the_others_begin_in_the_order_of_their_starts() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=3)
        async with alone(cluster) as s:
            answers = [await s.start("one") for _ in range(10)]
            ids = [answer.instance_id for answer in answers]
            assert [answer.status for answer in answers] == ["running"] * 3 + ["waiting"] * 7
            assert by_state(cluster) == {"running": ids[:3], "queued": ids[3:], "backlogged": ids}
            assert await run_all(s, 10) == ids
            await asyncio.sleep(1)
            assert cluster.most_running["acme", ""] == 3
            assert counted(s, "00") == recounted(cluster, "00") == {}

    run_virtual(main())


@pytest.mark.parametrize("known_max", [1_000, 3])
def test_queued_instances_need_no_memory(monkeypatch: pytest.MonkeyPatch, known_max: int) -> None:
    monkeypatch.setattr(admission, "_KNOWN_MAX", known_max)

    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=2)
        async with alone(cluster) as s:
            ids = []
            for _ in range(20):
                ids.append((await s.start("one")).instance_id)
                await asyncio.sleep(0.002)
            await asyncio.sleep(5)
            assert set(s.replica._engine.lanes["00"].residents) <= set(ids[:2])
            assert await run_all(s, 20) == ids
            assert cluster.most_running["acme", ""] == 2

    run_virtual(main())


def test_a_limit_of_one_workflow_holds_back_that_one_alone() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=4, workflows={"slow": {"max_running_instances": 1}})
        async with alone(cluster, workflow("slow"), workflow("fast")) as s:
            slow = [(await s.start("slow")).instance_id for _ in range(5)]
            fast = [(await s.start("fast")).instance_id for _ in range(5)]
            assert by_state(cluster)["running"] == [slow[0], *fast[:3]]
            assert (await s.claim_one()).workflow_id == slow[0]
            assert await run_all(s, 5) == fast
            assert by_state(cluster)["queued"] == slow[1:]
            assert cluster.most_running == {("acme", ""): 4, ("acme", "slow"): 1, ("acme", "fast"): 3}

    run_virtual(main())


def test_a_queued_instance_can_be_cancelled_and_terminated_and_not_paused() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=1)
        async with alone(cluster) as s:
            ids = [(await s.start("one")).instance_id for _ in range(4)]
            with pytest.raises(Conflict, match="queued"):
                await s.replica.steer(ANYBODY, ids[1], Pause())
            assert (await s.replica.cancel(ANYBODY, ids[1], None)).status == "cancelled"
            assert (await s.replica.terminate(ANYBODY, ids[2], None)).status == "terminated"
            assert await run_all(s, 2) == [ids[0], ids[3]]
            assert cluster.most_running["acme", ""] == 1

    run_virtual(main())


def test_more_begin_when_the_limit_is_raised_and_all_when_it_is_taken_away() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=1)
        async with alone(cluster) as s:
            ids = [(await s.start("one")).instance_id for _ in range(10)]
            cluster.limit(max_running_instances=4)
            await asyncio.sleep(2)
            assert by_state(cluster)["running"] == ids[:4]
            cluster.limit(max_running_instances=2)
            await asyncio.sleep(2)
            assert await run_all(s, 2) == ids[:2]
            await asyncio.sleep(2)
            assert by_state(cluster)["running"] == ids[2:4]
            cluster.limit()
            await asyncio.sleep(2)
            assert by_state(cluster)["running"] == ids[2:]

    run_virtual(main())


def test_instances_that_ran_before_there_was_a_limit_count() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        async with alone(cluster) as s:
            ids = [(await s.start("one")).instance_id for _ in range(3)]
            cluster.limit(max_running_instances=2)
            await asyncio.sleep(2)
            assert (await s.start("one")).status == "waiting"
            assert await run_all(s, 1) == ids[:1]
            await asyncio.sleep(2)
            assert len(by_state(cluster)["queued"]) == 1
            assert await run_all(s, 1) == ids[1:2]
            await asyncio.sleep(2)
            assert by_state(cluster)["queued"] == []

    run_virtual(main())


def test_a_start_beyond_the_backlog_is_refused_until_one_has_begun() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_waiting_instances=3)
        async with alone(cluster, workflow("one"), "name: still\nsteps:\n  - {name: w, wait: 1h}\n") as s:
            for _ in range(3):
                await s.start("one")
            with pytest.raises(QuotaExceeded, match="max_waiting_instances") as refused:
                await s.start("one")
            assert (refused.value.quota, refused.value.retry_after_s) == ("max_waiting_instances", 1.0)
            step = await s.claim_one()
            assert (await s.start("one")).status == "running"
            with pytest.raises(QuotaExceeded):
                await s.start("one")
            await s.complete(step)
            with pytest.raises(QuotaExceeded):
                await s.start("one")
            await s.run_all(3)
            # One that waits for something else than an executor is under way.
            for _ in range(5):
                await s.start("still")
            await until_calm(s)
            assert counted(s, "00") == recounted(cluster, "00")

    run_virtual(main())


def test_a_bulk_takes_what_there_is_and_a_repeat_under_a_key_takes_nothing() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_waiting_instances=5)
        async with alone(cluster) as s:
            first = await s.start("one", key="k")
            items = [StartItem(workflow="one") for _ in range(8)]
            results = await s.replica.start_many(ANYBODY, items, traceparent=None)
            assert [result.code for result in results] == [201] * 4 + [429] * 4
            problem = results[-1].problem
            assert problem is not None
            assert problem.quota == "max_waiting_instances"
            assert (await s.start("one", key="k")).instance_id == first.instance_id
            with pytest.raises(QuotaExceeded):
                await s.start("one", key="other")
            assert len(documents(cluster, "workflow-keys", "start")) == 1
            assert (await s.claim_one()).workflow_id == first.instance_id
            again = await s.start("one", key="other")
            assert (await s.start("one", key="other")).instance_id == again.instance_id
            await until_calm(s)
            assert len(by_state(cluster)["backlogged"]) == 5

    run_virtual(main())


def test_the_first_bulk_of_a_tenant_with_several_limits_takes_what_all_of_them_let_through() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        workflows = {"one": {"max_waiting_instances": 4}}
        cluster.limit(max_waiting_instances=6, start_rate={"per_s": 5, "burst": 8}, workflows=workflows)
        async with alone(cluster) as s:
            items = [StartItem(workflow="one") for _ in range(10)]
            results = await s.replica.start_many(ANYBODY, items, traceparent=None)
            assert [result.code for result in results] == [201] * 4 + [429] * 6

    run_virtual(main())


def test_starts_beyond_the_rate_are_told_when_to_come_again() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        rare = {"start_rate": {"per_s": 0.1, "burst": 1}}
        cluster.limit(start_rate={"per_s": 2, "burst": 4}, workflows={"rare": rare})
        async with alone(cluster, workflow("one"), workflow("rare")) as s:
            await asyncio.sleep(5)
            taken, refusals = await starts(s, "one", 100, every_s=0.1)
            assert 16 <= taken <= 24
            assert {refused.quota for refused in refusals} == {"start_rate"}
            assert all(0 < (refused.retry_after_s or 0) <= 1 for refused in refusals)
            await asyncio.sleep(20)
            taken, refusals = await starts(s, "rare", 21, every_s=1)
            assert 2 <= taken <= 3
            assert {refused.quota for refused in refusals} == {"workflows.rare.start_rate"}

    run_virtual(main())


def test_lanes_that_have_no_part_of_a_slow_rate_tell_when_to_come_again_too() -> None:
    async def main() -> None:
        cluster = watched(lanes=2)
        cluster.limit(start_rate={"per_s": 0.1, "burst": 1})
        async with alone(cluster, workflow("one")) as s:
            await asyncio.sleep(15)
            _, refusals = await starts(s, "one", 10, every_s=0.3)
            assert all((refused.retry_after_s or 0) > 3 for refused in refusals)

    run_virtual(main())


def test_what_a_start_took_is_put_back_when_nothing_comes_of_it() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_waiting_instances=1)
        async with alone(cluster) as s:
            body = StartBody(trigger={"much": "x" * 300_000})
            for _ in range(3):
                with pytest.raises(PayloadTooLarge):
                    await s.replica.start(ANYBODY, "one", body, idempotency_key=None, traceparent=None)
            await s.start("one")
            await until_calm(s)
            assert counted(s, "00") == recounted(cluster, "00")

    run_virtual(main())


def test_an_unknown_tenant_may_be_refused() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit("*", unknown_tenants="refuse")
        cluster.limit("acme", weight=2)
        async with alone(cluster) as s:
            assert (await start_of(s, "acme")).status == "running"
            with pytest.raises(Forbidden, match=r"'globex'.*leasehold tenants set globex weight=1"):
                await start_of(s, "globex")
            cluster.limit("globex", weight=1)
            await asyncio.sleep(2)

    run_virtual(main())


def test_no_instance_has_a_better_priority_than_its_tenants_ceiling() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(priority_ceiling=3)
        async with alone(cluster, workflow("urgent", "priority: 0"), workflow("late", "priority: 8")) as s:
            for name in ("urgent", "late"):
                await s.start(name)
            await until_calm(s)
            found = documents(cluster, LANE, "instance").values()
            assert {one["workflow"]: one["priority"] for one in found} == {"urgent": 3, "late": 8}

    run_virtual(main())


def test_who_is_brought_back_waits_for_its_turn() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=1)
        async with alone(cluster) as s:
            first = await s.start("one")
            await s.fail(await s.claim_one(), "broken")
            second = await s.start("one")
            await asyncio.sleep(2)
            brought = await s.replica.steer(ANYBODY, first.instance_id, Retry())
            assert brought.queued
            assert by_state(cluster)["running"] == [second.instance_id]
            assert await run_all(s, 2) == [second.instance_id, first.instance_id]
            assert await s.status(first.instance_id) == "succeeded"
            assert cluster.most_running["acme", ""] == 1

    run_virtual(main())


def test_members_of_groups_need_a_slot_and_a_unit() -> None:
    async def main() -> None:
        group = "concurrency: {key: \"{{ inputs.k | default('a') }}\", limit: 2, strategy: queue}"
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=3)
        async with alone(cluster, workflow("grouped", group), workflow("one")) as s:
            grouped = [(await s.start("grouped", k="a")).instance_id for _ in range(4)]
            ones = [(await s.start("one")).instance_id for _ in range(2)]
            others = [(await s.start("grouped", k="b")).instance_id for _ in range(2)]
            assert by_state(cluster)["running"] == [*grouped[:2], ones[0]]
            done: list[str] = []
            for _ in range(8):
                done += await run_all(s, 1)
                await until_calm(s)
                assert len(by_state(cluster)["running"]) == min(3, 8 - len(done))
            assert sorted(done) == sorted(grouped + ones + others)
            assert cluster.most_running["acme", ""] == 3

    run_virtual(main())


def test_explain_names_the_quota_that_an_instance_or_a_ready_step_waits_for() -> None:
    async def main() -> None:
        group = "concurrency: {key: all, limit: 1, strategy: queue}"
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=2, max_running_steps=1)
        async with alone(cluster, workflow("one"), workflow("grouped", group)) as s:
            ids = [(await s.start(name)).instance_id for name in ("one", "grouped", "grouped", "one")]
            await s.claim_one()
            await s.claim(wait_ms=100)
            told = [(await s.replica.explain(ANYBODY, id)).causes for id in ids]
            assert [[cause.cause for cause in causes] for causes in told] == [
                ["lease"],
                ["quota"],
                ["concurrency"],
                ["quota"],
            ]
            assert told[1][0].step == "only"
            assert told[1][0].text == "the tenant is at the limit of 1 (quota max_running_steps)"
            assert "tenants set acme max_running_steps=NUMBER" in told[1][0].advice
            assert told[3][0].step is None
            assert told[3][0].text == "the tenant is at the limit of 2 (quota max_running_instances)"
            await s.replica.cancel(ANYBODY, ids[1], None)
            await asyncio.sleep(1)
            first, second = [(await s.replica.explain(ANYBODY, id)).causes[0] for id in (ids[2], ids[3])]
            assert (first.cause, second.cause) == ("quota", "quota")
            assert first.step == "only"

    run_virtual(main())
