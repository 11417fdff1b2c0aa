"""Signals, pauses, skips and decisions on the real replica (`core.operations.steering.steering`)."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import HeartbeatBody
from leasehold.core.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, QuotaExceeded
from leasehold.core.operations.steering.ordering import SIGNAL_MAX_BYTES
from leasehold.core.orders import Cancel, Decide, Pause, Resume, Retry, Signal, Skip, Terminate
from leasehold.core.principal import Principal

from tests.kit.schedulers import ANYBODY, ONE_STEP, TWO_STEPS, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .kit import ASKING, FAN, FRAIL, WAITING, step_of, told, viewed

STRANGER = Principal("stranger", "other")


def test_a_signal_wakes_an_instance_that_sleeps_in_the_index_alone() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(WAITING)
            id = (await s.start("waiting")).instance_id
            await asyncio.sleep(60)
            view = await told(s, id, Signal(name="closed", payload={"by": "ann"}))
            assert step_of(view, "ticket").result == {"by": "ann"}
            assert (await s.claim_one()).payload == {"got": {"by": "ann"}}

    run_virtual(main())


def test_a_signal_that_comes_before_the_wait_is_kept_and_shown() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(
                "name: late\nsteps:\n  - {name: first, executor: work}\n  - {name: ticket, wait_for_signal: closed}\n"
            )
            id = (await s.start("late")).instance_id
            view = await told(s, id, Signal(name="closed", payload=7))
            assert [(one.name, one.payload, one.by) for one in view.kept_signals] == [("closed", 7, "tester")]
            await s.run_all(1)
            view = await viewed(s, id)
            assert (view.status, step_of(view, "ticket").result) == ("succeeded", 7)

    run_virtual(main())


def test_signals_have_bounds_that_keep_the_document_small() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(WAITING)
            id = (await s.start("waiting")).instance_id
            with pytest.raises(PayloadTooLarge):
                await told(s, id, Signal(name="other", payload="x" * SIGNAL_MAX_BYTES))
            await told(s, id, Signal(name="other", payload="x" * (SIGNAL_MAX_BYTES - 10)))
            with pytest.raises(QuotaExceeded) as refused:
                await told(s, id, Signal(name="other", payload="x" * 1_000))
            assert refused.value.quota == "signals"
            assert (await viewed(s, id)).status == "waiting"

    run_virtual(main())


def test_nothing_of_a_paused_instance_is_claimed_until_it_is_resumed() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            held = await s.claim_one()
            view = await told(s, id, Pause(reason="look first"))
            assert (view.status, view.paused_by) == ("paused", "tester")
            assert (await told(s, id, Pause())).status == "paused"
            await s.complete(held, 1)
            assert await s.claim(wait_ms=5_000) == []
            await asyncio.sleep(60)
            assert (await told(s, id, Resume())).status == "running"
            assert (await told(s, id, Resume())).status == "running"
            assert (await s.claim_one()).run_path == "second"

    run_virtual(main())


def test_a_pause_outlives_the_replica_that_was_told() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await told(s, id, Pause())
        async with scheduler(cluster, replica_id="replica-b") as s:
            assert await s.claim(wait_ms=10_000) == []
            await told(s, id, Resume())
            assert (await s.claim_one()).workflow_id == id

    run_virtual(main())


def test_a_skipped_step_counts_as_done_and_its_holder_is_told_by_whom() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            held = await s.claim_one()
            view = await told(s, id, Skip(step="first", reason="not today"))
            assert step_of(view, "first").status == "skipped"
            answer = await s.replica.heartbeat(ANYBODY, held.step_id, HeartbeatBody())
            assert answer.cancel
            assert "skipped by tester: not today" in (answer.reason or "")
            assert (await told(s, id, Skip(step="first"))).status == "running"
            with pytest.raises(NotFound):
                await told(s, id, Skip(step="none"))
            assert (await s.claim_one()).payload == {"got": None}

    run_virtual(main())


def test_orders_are_refused_to_other_tenants_and_for_what_has_ended() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            for order in (Pause(), Resume(), Skip(step="only"), Retry(), Signal(name="x"), Cancel(), Terminate()):
                with pytest.raises(NotFound):
                    await told(s, id, order, STRANGER)
            await s.run_all(1)
            for order in (Pause(), Resume(), Skip(step="only"), Retry(), Signal(name="x"), Cancel(), Terminate()):
                with pytest.raises(Conflict):
                    await told(s, id, order)
            await asyncio.sleep(5)
            for order in (Pause(), Resume(), Skip(step="only"), Retry(), Signal(name="x"), Cancel(), Terminate()):
                with pytest.raises(Conflict):
                    await told(s, id, order)
                with pytest.raises(NotFound):
                    await told(s, id, order, STRANGER)

    run_virtual(main())


def test_a_retry_of_a_live_instance_does_a_step_again_with_changed_params() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FRAIL)
            id = (await s.start("frail")).instance_id
            await s.complete(await s.claim_one(), "one")
            held = await s.claim_one()
            assert held.payload == {"n": 1}
            with pytest.raises(InvalidRequest):
                await told(s, id, Retry(step="second", params={"n": "no number"}))
            view = await told(s, id, Retry(step="second", params={"n": 2}))
            assert view.inputs == {"n": 2}
            again = await s.claim_one()
            assert (again.run_path, again.attempt, again.payload) == ("second", 2, {"n": 2})
            assert (await s.replica.heartbeat(ANYBODY, again.step_id, HeartbeatBody())).cancel is False

    run_virtual(main())


def test_a_decision_on_an_item_reaches_the_share_that_runs_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            id = (await s.start("fan", hosts=[f"h{n}" for n in range(40)])).instance_id
            await asyncio.sleep(60)
            await told(s, id, Decide(approved=True, step="each-host[17].apply", comment="fine"))
            (step,) = await s.claim(max_steps=50, wait_ms=1_000)
            assert (step.run_path, step.payload) == ("each-host[17].apply", {"host": "h17"})
            with pytest.raises(NotFound):
                await told(s, id, Decide(approved=True, step="each-host[99].apply"))

    run_virtual(main())


def test_what_an_approval_gives_for_its_form_is_checked() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ASKING)
            id = (await s.start("asking")).instance_id
            asked = step_of(await viewed(s, id), "act").approval
            assert asked is not None
            assert list(asked.fields) == ["amount", "note"]
            assert asked.fields["amount"]["type"] == "integer"
            with pytest.raises(InvalidRequest) as missing:
                await told(s, id, Decide(approved=True))
            assert [violation.path for violation in missing.value.violations] == ["form.amount"]
            with pytest.raises(InvalidRequest):
                await told(s, id, Decide(approved=True, form={"amount": "many"}))
            with pytest.raises(InvalidRequest):
                await told(s, id, Decide(approved=False, form={"amont": 1}))
            view = await told(s, id, Decide(approved=True, form={"amount": 3}, comment="go"))
            approval = step_of(view, "act").approval
            assert approval is not None
            assert (approval.form, approval.comment, approval.decided_by) == (
                {"amount": 3, "note": "none"},
                "go",
                "tester",
            )

    run_virtual(main())


def test_a_rejection_needs_no_form() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ASKING)
            id = (await s.start("asking")).instance_id
            assert (await told(s, id, Decide(approved=False, comment="no"))).status == "failed"

    run_virtual(main())
