"""Each strategy of a concurrency group, and what ends a member's stay (`core.lanes.groups.groups`)."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import ErrorInfo, FailBody, StartBody, StartItem
from leasehold.core.errors import LeaseholdError

from tests.kit.model_index import Operation
from tests.kit.schedulers import ANYBODY, Scheduler, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER, grouped, queued, watched


async def error_of(s: Scheduler, instance_id: str) -> ErrorInfo:
    error = (await s.replica.instance(ANYBODY, instance_id)).error
    assert error is not None
    return error


def test_one_runs_and_the_others_wait_in_order() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped())
            started = [await s.start("one") for _ in range(4)]
            assert [answer.status for answer in started] == ["running", "waiting", "waiting", "waiting"]
            for answer in started:
                step = await s.claim_one(wait_ms=1_000)
                assert step.workflow_id == answer.instance_id
                assert await s.claim() == []
                await s.complete(step)
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_as_many_run_as_the_limit_says_and_groups_do_not_mind_each_other() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped(limit=3))
            for k in ("x", "y"):
                assert [(await s.start("one", k=k)).status for _ in range(5)] == ["running"] * 3 + ["waiting"] * 2
            assert len(await s.claim(max_steps=100)) == 6
            assert list(cluster.most.values()) == [3, 3]

    run_virtual(main())


def test_drop_ends_the_new_one_at_once_and_says_who_holds_the_slot() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped("drop", more="on_cancel:\n  - {name: never, executor: work}"))
            first, second = await s.start("one"), await s.start("one")
            assert (first.status, second.status) == ("running", "cancelled")
            error = await error_of(s, second.instance_id)
            assert error.type == "concurrency"
            assert error.message == (
                "dropped: concurrency group 'a' of one allows 1 at once, and instance"
                f" {first.instance_id} holds its slot"
            )
            await s.run_all(1)
            assert await s.claim() == []
            await asyncio.sleep(5)
            assert await s.status(second.instance_id) == "cancelled"
            assert (await s.start("one")).status == "running"

    run_virtual(main())


def test_cancel_running_ends_the_oldest_and_the_newest_runs() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped("cancel_running"))
            first = await s.start("one")
            await s.claim_one()
            second = await s.start("one")
            step = await s.claim_one(wait_ms=1_000)
            assert step.workflow_id == second.instance_id
            error = await error_of(s, first.instance_id)
            assert (await s.status(first.instance_id), error.type) == ("cancelled", "concurrency")
            assert second.instance_id in error.message
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_cancel_running_waits_while_the_old_one_compensates() -> None:
    async def main() -> None:
        source = """
name: one
concurrency: {key: always, strategy: cancel_running}
steps:
  - {name: book, executor: work, compensate: {executor: work, input: {undo: true}}}
  - {name: pay, executor: work}
"""
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(source)
            first = await s.start("one")
            await s.run_all(1)
            second = await s.start("one")
            assert (await s.status(first.instance_id), second.status) == ("cancelling", "waiting")
            undo = await s.claim_one()
            assert undo.payload == {"undo": True}
            assert await s.claim() == []
            assert queued(cluster) == [second.instance_id]
            await s.complete(undo)
            assert (await s.claim_one(wait_ms=1_000)).workflow_id == second.instance_id
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_replace_waiting_keeps_the_newest_of_those_that_wait() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped("replace_waiting"))
            first, second, third = [await s.start("one") for _ in range(3)]
            assert [first.status, second.status, third.status] == ["running", "waiting", "waiting"]
            assert queued(cluster) == [third.instance_id]
            error = await error_of(s, second.instance_id)
            assert error.type == "concurrency"
            assert third.instance_id in error.message
            assert [step.workflow_id for step in await s.run_all(2)] == [first.instance_id, third.instance_id]

    run_virtual(main())


def test_every_way_to_end_gives_the_slot_to_the_next() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped(more="max_duration: 1m"))
            ids = [(await s.start("one")).instance_id for _ in range(6)]
            await s.complete(await s.claim_one())
            step = await s.claim_one()
            await s.replica.fail(ANYBODY, step.step_id, FailBody(ErrorInfo("broken", ""), retryable=False))
            await s.claim_one()
            await s.replica.cancel(ANYBODY, ids[2], None)
            await s.claim_one()
            await s.replica.terminate(ANYBODY, ids[3], None)
            await s.claim_one()
            await s.replica.cancel(ANYBODY, ids[5], None)
            await asyncio.sleep(70)
            statuses = [await s.status(instance_id) for instance_id in ids]
            assert statuses == ["succeeded", "failed", "cancelled", "terminated", "failed", "cancelled"]
            assert (await s.start("one")).status == "running"
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_a_document_that_is_refused_leaves_no_slot_taken() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(grouped())
            s.faults.fail_items(400, "document_parsing_exception", fits=lambda one: one.action == "create")
            with pytest.raises(LeaseholdError):
                await s.start("one")
            assert (await s.start("one")).status == "running"
            waiting = await s.start("one")
            left = [waiting.instance_id]

            def first_write(one: Operation) -> bool:
                return one.id in left and left.pop() == one.id

            s.faults.fail_items(400, "document_parsing_exception", fits=first_write, times=FOREVER)
            await s.run_all(1)
            await asyncio.sleep(1)
            assert await s.status(waiting.instance_id) == "failed"
            assert (await s.start("one")).status == "running"

    run_virtual(main())


def test_waiting_members_leave_memory_and_come_back_when_their_turn_comes() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped())
            ids = [(await s.start("one")).instance_id for _ in range(5)]
            await asyncio.sleep(5)
            (view,) = await s.replica.lanes()
            assert view.resident <= 1
            assert [(await s.run_all(1))[0].workflow_id for _ in ids] == ids
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_a_bulk_of_starts_fills_its_groups() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped(limit=2), "name: free\nsteps:\n  - {name: only, executor: work}\n")
            items = [StartItem(workflow="one", params={"k": k}) for k in ("x", "y") for _ in range(4)]
            items[3:3] = [StartItem(workflow="free"), StartItem(workflow="nobody")]
            results = await s.replica.start_many(ANYBODY, items, traceparent=None)
            assert [result.status for result in results][3] == "running"
            assert results[4].code == 404
            del results[3:5]
            assert [result.code for result in results] == [201] * 8
            assert sorted(str(result.status) for result in results) == ["running"] * 4 + ["waiting"] * 4
            assert len(await s.claim(max_steps=100)) == 5
            assert set(cluster.most.values()) == {2}

    run_virtual(main())


def test_a_key_that_cannot_be_made_refuses_the_start_with_a_sentence() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(
                "name: one\nconcurrency: {key: '{{ inputs.k.l }}'}\nsteps:\n  - {name: only, executor: work}\n"
            )
            for params, words in (
                ({"k": {}}, "can't be made of this start"),
                ({"k": {"l": [1]}}, "gives list [1]; a text or a number is allowed"),
                ({"k": {"l": " "}}, "gives an empty text"),
                ({"k": {"l": "x" * 2_000}}, "a text of 2000 characters; at most 1024 are allowed"),
            ):
                with pytest.raises(LeaseholdError, match=r"`concurrency\.key` of workflow one") as refused:
                    await s.replica.start(
                        ANYBODY, "one", StartBody(params=params), idempotency_key=None, traceparent=None
                    )
                assert words in str(refused.value)
            assert (await s.start("one", k={"l": 7})).status == "running"

    run_virtual(main())
