"""Claims, heartbeats and lost leases of one replica, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import CompleteBody, HeartbeatBody, StepReport, Usage
from leasehold.core.errors import LeaseLost, NotFound, Unavailable
from leasehold.core.principal import Principal

from tests.kit.schedulers import ANYBODY, LANE, ONE_STEP, TWO_STEPS, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

STRANGER = Principal("stranger", "globex")


def test_heartbeats_keep_a_lease_without_writing_anything() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            # The start comes into the audit trail, and then the lane's journal is swept.
            await asyncio.sleep(10)
            step = await s.claim_one(lease_ms=10_000)
            written = cluster.indices[LANE].max_seq_no
            for _ in range(2):
                await asyncio.sleep(0.9)
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(progress=50, message="half"))
            assert cluster.indices[LANE].max_seq_no == written
            view = await s.replica.instance(ANYBODY, step.workflow_id)
            assert (view.steps[0].progress, view.steps[0].message) == (50, "half")
            for _ in range(10):
                await asyncio.sleep(9)
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())
            assert await s.complete(step) == "succeeded"

    run_virtual(main())


def test_a_checkpoint_is_written_and_given_to_the_next_attempt() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            started = await s.start("one")
            step = await s.claim_one(lease_ms=10_000)
            await s.replica.heartbeat(
                ANYBODY, step.step_id, HeartbeatBody(checkpoint={"page": 7}, usage=Usage(llm_calls=2))
            )
            assert live(cluster)[started.instance_id]["steps"]["only"]["checkpoint"] == {"page": 7}
            again = await s.claim_one()
            assert (again.attempt, again.checkpoint) == (2, {"page": 7})

    run_virtual(main())


def test_a_lost_lease_gives_a_new_attempt_at_most_three_times_in_a_row() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            started = await s.start("one")
            tokens = [(await s.claim_one(lease_ms=1_000)).token for _ in range(4)]
            assert tokens == [1, 2, 3, 4]
            await asyncio.sleep(2)
            view = await s.replica.instance(ANYBODY, started.instance_id)
            assert view.status == "failed"
            assert view.error is not None
            assert view.error.type == "lease_lost"

    run_virtual(main())


def test_a_report_under_a_stale_token_is_refused_with_the_token_that_holds() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            old = await s.claim_one(lease_ms=1_000)
            new = await s.claim_one(lease_ms=60_000)
            with pytest.raises(LeaseLost) as lost:
                await s.complete(old)
            assert lost.value.token_held == new.token
            assert await s.complete(new) == "succeeded"

    run_virtual(main())


def test_a_repeated_completion_is_acknowledged_again_also_long_after_the_instance_has_ended() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            step = await s.claim_one()
            for pause_s in (0, 0, 0.4, 5):
                await asyncio.sleep(pause_s)
                assert await s.complete(step, "same") == "succeeded"

    run_virtual(main())


def test_an_owner_that_may_have_been_replaced_calls_no_lease_lost() -> None:
    """By its memory the lease has run out, while another owner may have given it its full time anew."""

    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            step = await s.claim_one(lease_ms=2_000)
            s.faults.cut_off(times=1_000_000)
            await asyncio.sleep(12)
            with pytest.raises(Unavailable):
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())
            with pytest.raises(Unavailable):
                await s.complete(step)
            (result,) = await s.replica.report_many(ANYBODY, [StepReport(step.step_id, "complete")])
            assert result.code == 503

    run_virtual(main())


def test_many_reports_are_answered_each_for_itself_and_written_together() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP, TWO_STEPS)
            for _ in range(20):
                await s.start("one")
            steps = await s.claim(max_steps=20)
            before = s.store.requests["bulk"]
            reports = [StepReport(step.step_id, "complete", complete=CompleteBody(step.token)) for step in steps]
            reports.insert(3, StepReport("00-nonsense~only~1", "complete"))
            results = await s.replica.report_many(ANYBODY, reports)
            assert [result.code for result in results] == [200, 200, 200, 404] + [200] * 17
            assert s.store.requests["bulk"] - before == 1

    run_virtual(main())


def test_a_claim_repeated_under_its_request_id_gets_the_same_leases() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            for _ in range(4):
                await s.start("one")
            first = await s.claim(max_steps=2, request_id="r")
            assert await s.claim(max_steps=2, request_id="r") == first
            other = await s.claim(max_steps=2, request_id="s")
            assert {step.workflow_id for step in first}.isdisjoint(step.workflow_id for step in other)

    run_virtual(main())


def test_a_lease_granted_to_an_asker_that_has_gone_is_released_and_uses_no_attempt() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            held = s.faults.hold("before", on="bulk", index="workflow-lane-00")
            gone = asyncio.create_task(s.claim(wait_ms=60_000))
            await asyncio.sleep(0.01)
            start = asyncio.create_task(s.start("one"))
            await held.reached()
            gone.cancel()
            await asyncio.sleep(0.01)
            held.release()
            await start
            step = await s.claim_one(wait_ms=1_000)
            assert (step.attempt, step.token) == (1, 2)

    run_virtual(main())


def test_a_retry_in_time_gets_the_lease_of_the_asker_that_was_cut_off() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            held = s.faults.hold("before", on="bulk", index="workflow-lane-00")
            cut_off = asyncio.create_task(s.claim(wait_ms=60_000, request_id="r"))
            await asyncio.sleep(0.01)
            start = asyncio.create_task(s.start("one"))
            await held.reached()
            cut_off.cancel()
            held.release()
            await start
            (step,) = await s.claim(wait_ms=60_000, request_id="r")
            assert step.token == 1
            await asyncio.sleep(10)
            assert await s.complete(step) == "succeeded"

    run_virtual(main())


def test_a_claim_waits_as_long_as_it_asked_and_no_longer() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            before_s = asyncio.get_running_loop().time()
            assert await s.claim(wait_ms=7_000) == []
            assert asyncio.get_running_loop().time() - before_s == pytest.approx(7.0, abs=0.01)

    run_virtual(main())


def test_another_tenant_sees_neither_instance_nor_step() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            started = await s.start("one")
            step = await s.claim_one()
            with pytest.raises(NotFound):
                await s.replica.instance(STRANGER, started.instance_id)
            with pytest.raises(NotFound):
                await s.replica.complete(STRANGER, step.step_id, CompleteBody())
            with pytest.raises(NotFound):
                await s.replica.cancel(STRANGER, started.instance_id, None)
            assert await s.complete(step) == "succeeded"

    run_virtual(main())


def test_cancelling_tells_the_holder_at_its_next_heartbeat() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            started = await s.start("one")
            step = await s.claim_one()
            view = await s.replica.cancel(ANYBODY, started.instance_id, "no longer wanted")
            assert view.status == "cancelled"
            for pause_s in (0, 5):
                await asyncio.sleep(pause_s)
                answer = await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())
                assert answer.cancel
            assert (await s.replica.cancel(ANYBODY, started.instance_id, None)).status == "cancelled"

    run_virtual(main())


def test_a_very_long_error_message_is_cut_and_does_not_burst_the_document() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            started = await s.start("one")
            await s.fail(await s.claim_one(), "boom", "x" * 400_000)
            view = await s.replica.instance(ANYBODY, started.instance_id)
            assert view.error is not None
            assert view.error.type == "boom"
            assert len(view.error.message) < 10_000

    run_virtual(main())
