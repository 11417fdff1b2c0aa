"""What the next owner of a lane knows of limited instances, and what an earlier one may still write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from leasehold.core.errors import Unavailable
from leasehold.core.ids import lane_of
from leasehold.core.lanes.quotas.admission import Admission
from leasehold.core.settings import LaneSettings, Settings

from tests.kit.faults import Held
from tests.kit.schedulers import ANYBODY, LANE, Scheduler, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER
from .running import alone, by_state, counted, recounted, until_calm, watched, workflow


async def admission_on_its_way(old: Scheduler, index: str = LANE) -> Held:
    """One instance ends, and the write that lets the next one begin is held up for as long as the test wants."""
    step = await old.claim_one()
    landed = old.faults.hold("before", on="bulk", index=index)
    completing = asyncio.create_task(old.complete(step))
    await landed.reached()
    late = old.faults.hold("before", on="bulk", index=index)
    landed.release()
    await completing
    await late.reached()
    return late


def test_a_paused_owner_that_wakes_lets_nobody_begin_beyond_the_limit() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=1)
        async with alone(cluster) as old:
            ids = [(await old.start("one")).instance_id for _ in range(4)]
            late = await admission_on_its_way(old)
            old.faults.cut_off(times=FOREVER)
            async with scheduler(cluster, replica_id="next") as new:
                assert (await new.claim_one(wait_ms=2_000)).workflow_id == ids[1]
                await new.replica.cancel(ANYBODY, ids[1], None)
                newest = await new.start("one")
                late.release()
                await asyncio.sleep(5)
                assert [step.workflow_id for step in await new.run_all(3)] == [ids[2], ids[3], newest.instance_id]
                await until_calm(new)
                assert counted(new, "00") == recounted(cluster, "00") == {}
                assert cluster.most_running["acme", ""] == 1

    run_virtual(main())


def test_a_unit_that_an_earlier_owner_may_have_used_goes_to_no_other_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    learn = Admission._learn_line
    slow_lanes: list[str | None] = []

    async def slow(self: Admission, *line: Any) -> None:
        if self._lane.name in slow_lanes:
            await asyncio.sleep(5)
        await learn(self, *line)

    async def main() -> None:
        settings = Settings(lanes=LaneSettings(lanes=2))
        cluster = watched(lanes=2)
        cluster.limit(max_running_instances=1)
        async with alone(cluster, settings=settings) as old:
            first = lane_of((await old.start("one")).instance_id)
            second = lane_of((await old.start("one")).instance_id)
            assert first == second
            late = await admission_on_its_way(old, f"workflow-lane-{first}")
            starting = [asyncio.create_task(old.start("one"))]
            while not any(lane_of(id) != first for id in by_state(cluster)["queued"]):
                await asyncio.sleep(0.06)
                starting.append(asyncio.create_task(old.start("one")))
            waiting = by_state(cluster)["queued"]
            old.faults.cut_off(times=FOREVER)
            slow_lanes.append(first)
            monkeypatch.setattr(Admission, "_learn_line", slow)
            async with scheduler(cluster, replica_id="next", settings=settings) as new:
                await asyncio.sleep(3)
                late.release()
                assert {step.workflow_id for step in await new.run_all(len(waiting))} >= set(waiting)
                assert cluster.most_running["acme", ""] == 1
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    run_virtual(main())


def test_a_create_that_lands_late_waits_like_any_other_and_is_counted() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=1)
        async with alone(cluster) as old:
            late = old.faults.hold("before", on="bulk", index=LANE)
            starting = asyncio.create_task(old.start("one"))
            await late.reached()
            old.faults.cut_off(times=FOREVER)
            async with scheduler(cluster, replica_id="next") as new:
                mine = await new.start("one")
                assert mine.status == "running"
                late.release()
                with pytest.raises(Unavailable):
                    await starting
                await asyncio.sleep(5)
                assert len(by_state(cluster)["queued"]) == 1
                await until_calm(new)
                assert counted(new, "00") == recounted(cluster, "00")
                assert {step.workflow_id for step in await new.run_all(2)} > {mine.instance_id}
                assert cluster.most_running["acme", ""] == 1

    run_virtual(main())


def test_the_next_owner_counts_what_memory_does_not_hold() -> None:
    async def main() -> None:
        still = "name: still\nsteps:\n  - {name: w, wait: 1h}\n"
        group = "concurrency: {key: all, limit: 1, strategy: queue}"
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=5)
        async with alone(cluster, workflow("one"), workflow("grouped", group), still) as old:
            for name in ("still", "still", "still", "grouped", "grouped", "one", "one", "one"):
                await old.start(name)
            await old.claim_one()
            await asyncio.sleep(5)
            before = counted(old, "00")
            old.faults.cut_off(times=FOREVER)
            async with scheduler(cluster, replica_id="next") as new:
                await asyncio.sleep(1)
                assert counted(new, "00") == recounted(cluster, "00") == before
                assert len(by_state(cluster)["running"]) == 5
                await new.run_all(2)
                await asyncio.sleep(1)
                assert len(by_state(cluster)["running"]) == 5
                assert cluster.most_running["acme", ""] == 5

    run_virtual(main())
