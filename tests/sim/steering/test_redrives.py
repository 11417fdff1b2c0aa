"""Instances that have ended are brought back under their own id (`core.operations.steering.redrives`)."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.core.errors import Conflict, InvalidRequest, Unavailable
from leasehold.core.orders import Cancel, Retry, Terminate

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import ANYBODY, LANE, Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .kit import FOREVER, FRAIL, INSTANCES, dying, fail_second, in_history, step_of, told, viewed

LARGE = "x" * 20_000

EARLY = """
name: early
steps:
  - {name: only, executor: work, input: "{{ inputs.absent.thing }}"}
"""


def rows(cluster: ModelElasticsearch, index: str = INSTANCES) -> list[str]:
    return sorted(documents(cluster, index))


async def run_to_the_end(s: Scheduler, steps: int) -> list[str]:
    return [f"{step.run_path}:{step.attempt}" for step in await s.run_all(steps)]


def test_a_failed_instance_goes_on_from_its_failed_step_under_its_own_id() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            await in_history(s)
            assert (await viewed(s, id)).status == "failed"
            assert live(cluster) == {}
            view = await told(s, id, Retry(reason="the disk is free again"))
            assert (view.instance_id, view.status, view.redrives, view.error) == (id, "running", 1, None)
            assert step_of(view, "first").result == "one"
            assert (await viewed(s, id)).status == "running"
            assert await run_to_the_end(s, 2) == ["second:2", "third:1"]
            await in_history(s)
            view = await viewed(s, id)
            assert (view.status, view.redrives, view.outputs) == ("succeeded", 1, {"third": {"by": "third"}})
            assert rows(cluster) == [id, f"{id}:r1"]
            assert rows(cluster, "workflow-steps") == [
                f"{id}:{s}" for s in ("first:1", "second:1", "second:2", "third:1")
            ]
            assert list(cluster.indices[LANE].documents) == ["fence"]

    run_virtual(main())


def test_a_retry_from_the_start_may_change_params_and_checks_them() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s, n=1)
            await in_history(s)
            with pytest.raises(InvalidRequest):
                await told(s, id, Retry(from_start=True, params={"n": "many"}))
            assert live(cluster) == {}
            await told(s, id, Retry(from_start=True, params={"n": 5}))
            first = await s.claim_one()
            assert (first.run_path, first.attempt) == ("first", 2)
            await s.complete(first)
            assert (await s.claim_one()).payload == {"n": 5}

    run_virtual(main())


def test_two_at_once_make_one_and_a_repeat_changes_nothing() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            await in_history(s)
            held = s.faults.hold("before", on="search", index=INSTANCES)
            slow = asyncio.create_task(told(s, id, Retry()))
            await held.reached()
            quick = await told(s, id, Retry())
            held.release()
            views = [quick, await slow, await told(s, id, Retry())]
            assert [(view.status, view.redrives) for view in views] == [("running", 1)] * 3
            assert s.replica._engine.queue.size("work") == 1
            view = await told(s, id, Retry())
            assert (view.status, view.redrives) == ("running", 1)
            assert await run_to_the_end(s, 2) == ["second:2", "third:1"]
            assert await s.claim(wait_ms=2_000) == []

    run_virtual(main())


def test_an_end_that_is_not_in_history_yet_is_waited_for() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            assert live(cluster)[id]["status"] == "failed"
            assert (await told(s, id, Retry())).status == "running"
            await run_to_the_end(s, 2)
            await in_history(s)
            assert rows(cluster) == [id, f"{id}:r1"]
            assert documents(cluster, INSTANCES)[id]["status"] == "failed"

    run_virtual(main())


def test_while_history_does_not_take_the_end_the_caller_is_told_to_come_back() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            s.faults.refuse(429, on="bulk", index=f"{INSTANCES}-000001", times=1_000)
            id = await fail_second(s)
            with pytest.raises(Unavailable, match="into history"):
                await told(s, id, Retry())

    run_virtual(main())


def test_a_redriven_instance_survives_the_next_owner() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            await in_history(s)
            await told(s, id, Retry())
        async with scheduler(cluster, replica_id="replica-b") as s:
            assert await run_to_the_end(s, 2) == ["second:2", "third:1"]
            await in_history(s)
            assert (await viewed(s, id)).status == "succeeded"
            assert rows(cluster) == [id, f"{id}:r1"]

    run_virtual(main())


def test_an_instance_that_never_had_a_lease_survives_the_next_owner_too() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(EARLY)
            id = (await s.start("early")).instance_id
            await in_history(s)
            view = await told(s, id, Retry(params={"absent": {"thing": 3}}))
            assert view.status == "running"
        async with scheduler(cluster, replica_id="replica-b") as s:
            step = await s.claim_one()
            assert (step.workflow_id, step.payload) == (id, 3)

    run_virtual(main())


def test_large_values_go_back_beside_the_document_and_leave_with_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(FRAIL)
            id = (await s.start("frail")).instance_id
            await s.complete(await s.claim_one(), LARGE)
            await s.fail(await s.claim_one(), "boom")
            await in_history(s)
            assert documents(cluster, LANE, "side") == {}
            await told(s, id, Retry())
            assert [len(side["value"]) for side in documents(cluster, LANE, "side").values()] == [20_000]
            assert len(live(cluster)[id]["steps"]["first"]) < 20
        async with scheduler(cluster, replica_id="replica-b") as s:
            assert step_of(await viewed(s, id), "first").result == LARGE
            await run_to_the_end(s, 2)
            await in_history(s)
            assert list(cluster.indices[LANE].documents) == ["fence"]
            assert step_of(await viewed(s, id), "first").result == LARGE

    run_virtual(main())


def test_an_instance_can_be_brought_back_again_and_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            for redrives in (1, 2, 3):
                view = await told(s, id, Retry())
                assert view.redrives == redrives
                await s.fail(await s.claim_one(), "boom")
                assert (await viewed(s, id)).status == "failed"
            await in_history(s)
            assert (await viewed(s, id)).redrives == 3
            assert rows(cluster) == [id, *(f"{id}:r{n}" for n in (1, 2, 3))]

    run_virtual(main())


@pytest.mark.parametrize("order", [Cancel(), Terminate()], ids=["cancelled", "terminated"])
def test_what_was_cancelled_or_terminated_can_be_brought_back(order: Cancel | Terminate) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FRAIL)
            id = (await s.start("frail")).instance_id
            await told(s, id, order)
            view = await told(s, id, Retry())
            assert view.status == "running"
            assert len(await s.run_all(3)) == 3
            assert (await viewed(s, id)).status == "succeeded"

    run_virtual(main())


def test_what_has_succeeded_is_not_brought_back() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FRAIL)
            id = (await s.start("frail")).instance_id
            await s.run_all(3)
            await in_history(s)
            with pytest.raises(Conflict, match="succeeded"):
                await told(s, id, Retry())

    run_virtual(main())


def test_a_late_create_of_a_redrive_that_has_ended_elsewhere_is_deleted_not_run() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(FRAIL)
            id = await fail_second(first)
            await in_history(first)
            first.faults.land_late(60_000, on="bulk", index=LANE)
            first.faults.cut_off(index="workflow-control", times=FOREVER)
            lost = asyncio.create_task(told(first, id, Retry()))
            await asyncio.sleep(0.01)
            first.faults.cut_off(times=FOREVER)
            async with dying(cluster, replica_id="replica-b") as second:
                await told(second, id, Retry())
                await second.run_all(2)
                await in_history(second)
                assert live(cluster) == {}
            await asyncio.sleep(60)
            assert list(live(cluster)) == [id], "the late create has landed"
            async with scheduler(cluster, replica_id="replica-c") as third:
                assert await third.claim(wait_ms=5_000) == []
                assert live(cluster) == {}
                view = await viewed(third, id)
                assert (view.status, view.redrives) == ("succeeded", 1)
            lost.cancel()

    run_virtual(main())


def test_reading_takes_the_last_end() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            await told(s, id, Retry())
            await s.run_all(2)
            for _ in range(500):
                assert (await s.replica.instance(ANYBODY, id)).status == "succeeded"
                await asyncio.sleep(0.01)

    run_virtual(main())
