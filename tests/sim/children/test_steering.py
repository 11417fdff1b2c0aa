"""Children are told what becomes of their parent (`core.lanes.children`)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from leasehold.claim.wire import DecisionBody
from leasehold.core.errors import LeaseLost
from leasehold.core.es.lines import create_line
from leasehold.core.machine.children import child_id
from leasehold.core.orders import Pause, Resume
from leasehold.core.settings import LaneSettings, Settings, WindowSettings

from tests.kit.model_store import ModelStore
from tests.kit.schedulers import ANYBODY, LANE, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .plans import CALLED, CALLS, FAN, FOREVER, UNDONE, children, dying, rows, the_lane, until_empty, work

APPROVED_EACH = """
name: approved-each
inputs:
  hosts: {type: array, default: []}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 1000
    steps:
      - {name: apply, executor: work, requires_approval: true}
"""

SMALL = Settings(lanes=LaneSettings(lanes=1), windows=WindowSettings(max_steps=10, line_max_steps=10, page_steps=4))


def test_terminating_an_instance_terminates_its_children_at_once() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS, CALLED)
            id = (await s.start("calls", host="a")).instance_id
            step = await s.claim_one()
            await s.replica.terminate(ANYBODY, id, None)
            await until_empty(cluster)
            assert (await s.status(id), await s.status(step.workflow_id)) == ("terminated", "terminated")
            with pytest.raises(LeaseLost):
                await s.complete(step)

    run_virtual(main())


def test_cancelling_waits_for_the_children_then_undoes_what_they_left() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(UNDONE)
            id = (await s.start("undone", hosts=[f"h{n}" for n in range(17)])).instance_id
            booked = await work(s, at_most=16)
            last = await s.claim_one()
            await s.replica.cancel(ANYBODY, id, "changed our mind")
            undone = await work(s)
            # One share had ended and the other one was cancelled: what both had done is undone in one order.
            assert last.run_path == "each-host[15].book"
            assert sorted(step.payload for step in undone) == sorted(step.payload for step in booked)
            await until_empty(cluster)
            done_at = {row["step"]["path"]: row["step"]["finished_at"] for row in rows(cluster, "steps").values()}
            times = [done_at[step.run_path.removesuffix(".compensate")] for step in undone]
            assert times == sorted(times, reverse=True)
            view = await s.replica.instance(ANYBODY, id)
            assert (view.status, view.undone) == ("cancelled", "succeeded")

    run_virtual(main())


def test_a_paused_instance_pauses_its_children_and_resumes_them() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FAN)
            id = (await s.start("fan", hosts=list(range(20)))).instance_id
            await asyncio.sleep(0.1)
            await s.replica.steer(ANYBODY, id, Pause())
            await asyncio.sleep(0.1)
            assert await s.claim(max_steps=20) == []
            await s.replica.steer(ANYBODY, id, Resume())
            assert len(await work(s)) == 21
            assert await s.status(id) == "succeeded"

    run_virtual(main())


def test_children_that_rest_leave_memory_with_their_parent_and_come_back_to_be_cancelled() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=SMALL) as s:
            await s.define(APPROVED_EACH)
            id = (await s.start("approved-each", hosts=list(range(100)))).instance_id
            await asyncio.sleep(10)
            assert len(live(cluster)) == 1 + 7
            assert the_lane(s).residents == {}
            await s.replica.cancel(ANYBODY, id, None)
            await until_empty(cluster)
            assert await s.status(id) == "cancelled"

    run_virtual(main())


def test_an_approval_inside_a_foreach_is_found_by_its_run_path() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=SMALL) as s:
            await s.define(APPROVED_EACH)
            id = (await s.start("approved-each", hosts=list(range(40)))).instance_id
            await asyncio.sleep(10)
            path = "each-host[17].apply"
            await s.replica.decide(ANYBODY, id, approved=True, step=path, body=DecisionBody())
            step = await s.claim_one()
            assert (step.run_path, step.workflow_id) == (path, id)

    run_virtual(main())


def test_a_successor_tells_the_children_what_its_predecessor_could_not() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(APPROVED_EACH)
            id = (await first.start("approved-each", hosts=list(range(40)))).instance_id
            await asyncio.sleep(10)
            await first.replica.terminate(ANYBODY, id, None)
        assert len(children(cluster)) == 3
        async with scheduler(cluster, replica_id="replica-b") as second:
            await until_empty(cluster)
            assert await second.status(id) == "terminated"
            assert len(rows(cluster, "events")) == 3

    run_virtual(main())


def test_a_child_that_its_parent_does_not_ask_for_ends_before_it_runs() -> None:
    """As a create does that lands behind a take-over, when the parent has gone on without the child."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS, CALLED)
            id = (await s.start("calls", host="a")).instance_id
            await asyncio.sleep(0.1)
            ((_, source),) = children(cluster).items()
            late = child_id(id, "call", 7)
            source = {**source, "id": late, "epoch": 0, "writer": "somebody", "write_id": "somebody.0.1"}
            await ModelStore(cluster).bulk([create_line(late), msgspec.json.encode(source)], index=LANE)
            await asyncio.sleep(10)
            assert late not in children(cluster)
            assert await s.status(late) == "terminated"
            assert len(await work(s)) == 2

    run_virtual(main())


def test_a_create_that_arrives_after_its_parent_went_on_without_it_runs_nothing() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(CALLS, CALLED)
            id = (await first.start("calls", host="a")).instance_id
            first.faults.land_late(60_000, on="bulk", index=LANE)
            while not first.faults.injected.get("land_late"):
                await asyncio.sleep(0.0001)
            first.faults.cut_off(times=FOREVER)
            assert not children(cluster)
        async with scheduler(cluster, replica_id="replica-b") as second:
            await second.replica.terminate(ANYBODY, id, None)
            await until_empty(cluster)
            async with asyncio.timeout(120):
                while not children(cluster):
                    await asyncio.sleep(0.1)
            (late,) = children(cluster)
            assert await second.claim(wait_ms=20_000) == []
            await until_empty(cluster)
            assert await second.status(late) == "terminated"

    run_virtual(main())
