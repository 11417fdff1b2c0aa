"""`_explain` names the exact cause of each open step, by what the replicas really know."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from leasehold.claim.wire import Cause, ErrorInfo, Explanation, FailBody, HeartbeatBody
from leasehold.core.errors import NotFound
from leasehold.core.orders import Pause, Retry
from leasehold.core.principal import Principal
from leasehold.core.settings import WindowSettings

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, ONE_STEP, SETTINGS, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, run_virtual
from tests.sim.test_forwarding import pair

from .kit import FAN, FOREVER, WAITING, dying, told

MIXED = """
name: mixed
steps:
  - {name: nap, wait: 1h}
  - {name: work-it, executor: work, depends_on: [], retry: {max: 3, backoff: constant, initial: 10m, jitter: none}}
  - {name: ask, executor: work, depends_on: [], requires_approval: true, approval_timeout: 24h,
     approval: {on_timeout: skip, approvers: [soc-lead]}}
  - {name: ticket, wait_for_signal: closed, depends_on: [], timeout: 7d, on_timeout: continue}
"""

CALLS = """
name: calls
steps:
  - {name: call, workflow: waiting}
"""

GROUPED = """
name: grouped
concurrency: {key: all, limit: 1, strategy: queue}
steps:
  - {name: only, executor: work}
"""


async def why(s: Scheduler, id: str) -> Explanation:
    return await s.replica.explain(ANYBODY, id)


async def cause(s: Scheduler, id: str, step: str | None = None) -> Cause:
    (found,) = (one for one in (await why(s, id)).causes if one.step == step)
    return found


def test_a_ready_step_that_nobody_can_run_is_told_with_its_capability() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            found = await cause(s, id, "only")
            assert (found.cause, found.ahead) == ("no-executor", 0)
            assert "'work'" in found.text
            assert "leasehold worker --capability work" in found.advice
            await s.run_all(1)
            second = (await s.start("one")).instance_id
            assert (await cause(s, second, "only")).cause == "queue"
            await asyncio.sleep(61)
            assert (await cause(s, second, "only")).cause == "no-executor"

    run_virtual(main())


def test_an_executor_that_waits_counts_for_as_long_as_it_waits_and_one_of_another_tenant_does_not() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            stranger = Principal("stranger", "other")
            await s.replica.claim(
                stranger, ("work",), max_steps=1, lease_ms=1_000, wait_ms=0, worker="w", request_id=None
            )
            id = (await s.start("one")).instance_id
            assert (await cause(s, id, "only")).cause == "no-executor"
            await s.run_all(1)
            waiting = asyncio.create_task(s.claim(wait_ms=60_000))
            await asyncio.sleep(59)
            assert s.replica._explain.seen(["work"], "acme") == {"work": ["worker-1"]}
            await waiting
            await asyncio.sleep(59)
            assert s.replica._explain.seen(["work"], "acme") == {"work": ["worker-1"]}

    run_virtual(main())


def test_the_place_in_the_queue_is_counted_in_memory_and_in_the_index() -> None:
    async def main() -> None:
        windows = WindowSettings(max_steps=8, line_max_steps=4, page_steps=4)
        async with scheduler(new_cluster(), settings=msgspec.structs.replace(SETTINGS, windows=windows)) as s:
            await s.define(ONE_STEP)
            ids = []
            for _ in range(30):
                ids.append((await s.start("one")).instance_id)
                await asyncio.sleep(0.05)
            await s.run_all(2)
            await asyncio.sleep(40)
            first, last = await cause(s, ids[2], "only"), await cause(s, ids[-1], "only")
            assert (first.cause, first.ahead, first.or_more) == ("queue", 0, False)
            assert (last.cause, last.ahead, last.or_more) == ("queue", 27, False)
            assert "behind 27 other steps" in last.text

    run_virtual(main())


def test_each_kind_of_waiting_is_named_with_its_end() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(MIXED)
            id = (await s.start("mixed")).instance_id
            step = await s.claim_one(lease_ms=30_000)
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(progress=40, message="halfway"))
            held = await cause(s, id, "work-it")
            assert (held.cause, held.holders, held.progress, held.message) == ("lease", ["worker-1"], 40, "halfway")
            assert held.until_ms is not None
            assert held.until_ms > EPOCH_MS + 20_000
            await s.replica.fail(ANYBODY, step.step_id, FailBody(ErrorInfo("http.503", "busy")))
            backing_off = await cause(s, id, "work-it")
            assert (backing_off.cause, backing_off.error) == ("backoff", ErrorInfo("http.503", "busy"))
            assert "(in 4 min)" in backing_off.text
            assert "retry" in backing_off.advice
            timer = await cause(s, id, "nap")
            assert (timer.cause, timer.until_ms is not None) == ("timer", True)
            asked = await cause(s, id, "ask")
            assert (asked.cause, asked.holders) == ("approval", ["soc-lead"])
            assert "it is skipped then" in asked.text
            ticket = await cause(s, id, "ticket")
            assert (ticket.cause, f"signal {id} closed" in ticket.advice) == ("signal", True)
            assert len((await why(s, id)).causes) == 4

    run_virtual(main())


def test_a_pause_is_the_first_cause_and_names_who() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await told(s, id, Pause())
            answer = await why(s, id)
            assert [(one.cause, one.step) for one in answer.causes] == [("paused", None)]
            assert "by tester" in answer.summary

    run_virtual(main())


def test_children_say_what_they_wait_for_one_level_down() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(WAITING, CALLS, FAN)
            id = (await s.start("calls")).instance_id
            await asyncio.sleep(5)
            found = await cause(s, id, "call")
            assert found.cause == "children"
            (child,) = found.children
            assert [one.cause for one in child.causes] == ["signal"]
            fan = (await s.start("fan", hosts=list(range(20)))).instance_id
            await asyncio.sleep(5)
            found = await cause(s, fan, "each-host")
            assert "2 child instances of 20 items" in found.text
            assert "each-host[1].apply" in [one.step for child in found.children for one in child.causes]

    run_virtual(main())


def test_who_holds_the_slots_of_a_group_is_named() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(GROUPED)
            holder = (await s.start("grouped")).instance_id
            waits = (await s.start("grouped")).instance_id
            await asyncio.sleep(1)
            found = await cause(s, waits)
            assert (found.cause, found.holders, found.ahead) == ("concurrency", [holder], 0)

    run_virtual(main())


def test_an_end_that_history_has_not_confirmed_is_told() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await s.run_all(1)
            assert [one.cause for one in (await why(s, id)).causes] == ["history"]
            await asyncio.sleep(5)
            answer = await why(s, id)
            assert (answer.causes, answer.summary) == ([], "it has ended: succeeded")
            with pytest.raises(NotFound):
                await s.replica.explain(Principal("stranger", "other"), id)

    run_virtual(main())


def test_any_replica_passes_the_question_to_the_owner_who_asks_it_for_its_workers() -> None:
    async def main() -> None:
        peers = ModelPeers()
        async with pair(new_cluster(), peers) as (owner, other):
            id = (await owner.start("one")).instance_id
            assert (await cause(other, id, "only")).cause == "no-executor"
            step = await other.claim_one()
            assert step.workflow_id == id
            assert (await cause(other, id, "only")).cause == "lease"
            second = (await owner.start("one")).instance_id
            found = await cause(owner, second, "only")
            assert (found.cause, found.holders) == ("queue", ["worker-1"])

    run_virtual(main())


def test_a_lane_whose_owner_is_gone_is_told_until_another_has_it() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(), ModelPeers()
        async with pair(cluster, peers) as (owner, other):
            id = (await owner.start("one")).instance_id
            peers.cut_off = {"http://127.0.0.1:1", "http://127.0.0.1:2"}
            answer = await why(other, id)
            assert [(one.cause, one.step) for one in answer.causes] == [("lane", None), ("queue", "only")]
            assert "does not answer" in answer.summary
            assert "lanes.lease_ms" in answer.causes[0].advice
            owner.faults.cut_off(times=FOREVER)
            await asyncio.sleep(30)
            assert [one.cause for one in (await why(other, id)).causes] == ["no-executor"]

    run_virtual(main())


def test_a_redriven_instance_is_explained_like_any_other() -> None:
    async def main() -> None:
        async with dying(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await s.fail(await s.claim_one(), "boom")
            await told(s, id, Retry())
            assert (await cause(s, id, "only")).cause == "queue"

    run_virtual(main())
