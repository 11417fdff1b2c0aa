"""Instances that ended `failed`: listed as long as nobody has brought them back, and brought back many at once."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import StartBody
from leasehold.core.errors import InvalidRequest
from leasehold.core.operations.steering.dead_letters import Filter
from leasehold.core.orders import Retry
from leasehold.core.principal import Principal

from tests.kit.schedulers import ANYBODY, ONE_STEP, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, run_virtual

from .kit import FRAIL, fail_second, in_history, told

STRANGER = Principal("stranger", "other")


async def listed(s: Scheduler, which: Filter = Filter(), principal: Principal = ANYBODY) -> list[str]:  # noqa: B008
    page = await s.replica.failed(principal, which, after=None, size=100)
    assert page.next is None
    return [one.instance_id for one in page.instances]


async def failed_one(s: Scheduler, type: str, **labels: str) -> str:
    body = StartBody(labels=labels)
    answer, _ = await s.replica.start(ANYBODY, "one", body, idempotency_key=None, traceparent=None)
    await s.fail(await s.claim_one(), type, "it broke")
    await asyncio.sleep(0.01)
    return answer.instance_id


def test_failed_instances_are_listed_newest_first_with_their_error() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            ids = [await failed_one(s, "boom") for _ in range(3)]
            await s.start("one")
            await s.run_all(1)
            await in_history(s)
            page = await s.replica.failed(ANYBODY, Filter(), after=None, size=100)
            assert [one.instance_id for one in page.instances] == ids[::-1]
            first = page.instances[0]
            assert first.error is not None
            assert (first.workflow, first.error.type, first.redrives) == ("one", "boom", 0)
            assert first.failed_at_ms > first.created_at_ms > EPOCH_MS
            assert await listed(s, principal=STRANGER) == []

    run_virtual(main())


def test_filters_narrow_the_list() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP, FRAIL)
            old = await failed_one(s, "http.503", team="soc")
            await asyncio.sleep(3_600)
            young = await failed_one(s, "boom", team="web")
            other = await fail_second(s)
            await in_history(s)
            now_ms = s.replica.now_ms()
            assert await listed(s, Filter(workflow="frail")) == [other]
            assert await listed(s, Filter(since_ms=now_ms - 60_000)) == [other, young]
            assert await listed(s, Filter(error_type="http.503")) == [old]
            assert await listed(s, Filter(label="team=soc")) == [old]
            assert await listed(s, Filter(workflow="one", label="team=web", error_type="boom")) == [young]

    run_virtual(main())


def test_pages_follow_each_other_without_gap_or_double() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            ids = [await failed_one(s, "boom") for _ in range(7)]
            await in_history(s)
            seen: list[str] = []
            after: str | None = None
            while True:
                page = await s.replica.failed(ANYBODY, Filter(), after=after, size=3)
                seen += [one.instance_id for one in page.instances]
                after = page.next
                if after is None:
                    break
            assert seen == ids[::-1]
            with pytest.raises(InvalidRequest):
                await s.replica.failed(ANYBODY, Filter(), after="nonsense", size=3)

    run_virtual(main())


def test_an_instance_that_was_brought_back_is_not_in_it_while_it_lives_and_once_it_has_succeeded() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            await in_history(s)
            assert await listed(s) == [id]
            await told(s, id, Retry())
            assert await listed(s) == []
            await in_history(s)
            assert await listed(s) == []
            await s.fail(await s.claim_one(), "again")
            await in_history(s)
            (again,) = (await s.replica.failed(ANYBODY, Filter(), after=None, size=10)).instances
            assert (again.instance_id, again.redrives, again.error and again.error.type) == (id, 1, "again")
            await told(s, id, Retry())
            await s.run_all(2)
            assert await listed(s) == []
            await in_history(s)
            assert await listed(s) == []

    run_virtual(main())


def test_many_are_brought_back_at_once_each_with_its_own_result() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP, FRAIL)
            for _ in range(5):
                await failed_one(s, "boom")
            other = await fail_second(s)
            await in_history(s)
            results = await s.replica.retry_failed(ANYBODY, Filter(workflow="one"), at_most=3, order=Retry())
            assert [(result.code, result.status) for result in results] == [(200, "running")] * 3
            assert len(await listed(s)) == 3
            results = await s.replica.retry_failed(
                ANYBODY, Filter(), at_most=100, order=Retry(from_start=True, params={"n": "x"})
            )
            codes = {result.instance_id: result.code for result in results}
            assert codes.pop(other) == 422
            assert list(codes.values()) == [200, 200]
            assert await listed(s) == [other]
            assert len(await s.run_all(5)) == 5
            await in_history(s)
            assert await listed(s) == [other]

    run_virtual(main())


def test_a_failed_child_of_a_sub_workflow_is_its_parents_affair() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP, "name: calls\nsteps:\n  - {name: call, workflow: one}\n")
            id = (await s.start("calls")).instance_id
            await s.fail(await s.claim_one(), "boom")
            await in_history(s)
            assert (await s.status(id)) == "failed"
            assert await listed(s) == [id]

    run_virtual(main())
