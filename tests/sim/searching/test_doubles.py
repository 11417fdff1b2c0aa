"""Each instance is in a list once, as its latest life, while it ends, is brought back, and ends again."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from leasehold.claim.wire import CompleteBody, ErrorInfo, FailBody
from leasehold.core.errors import LeaseholdError
from leasehold.core.orders import Retry
from leasehold.core.settings import HistorySettings, LaneSettings, SearchSettings, Settings

from tests.kit.faults import Moment
from tests.kit.schedulers import ANYBODY, LANE, NAMES, ONE_STEP, Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import listed, page

EVERY_TIME = Settings(lanes=LaneSettings(lanes=1), search=SearchSettings(refresh_every_ms=1))
ALWAYS_REFRESHING = Settings(
    lanes=LaneSettings(lanes=1), search=SearchSettings(refresh_every_ms=1), history=HistorySettings(refresh_every_ms=20)
)


async def fail_one(s: Scheduler) -> None:
    await s.fail(await s.claim_one(), "boom")


async def in_history(s: Scheduler) -> None:
    await asyncio.sleep(10)
    assert not live(s.store.cluster)


def test_an_instance_that_stands_in_its_lane_and_in_history_is_listed_once() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=EVERY_TIME) as s:
            await s.define(ONE_STEP)
            done, broken = (await s.start("one")).instance_id, (await s.start("one")).instance_id
            s.faults.refuse(429, on="refresh", index=NAMES.instances, times=20)
            await s.complete(await s.claim_one())
            await fail_one(s)
            await asyncio.sleep(0.5)
            assert live(cluster).keys() == documents(cluster, NAMES.instances).keys() == {done, broken}
            before = await page(s, order="asc")
            cluster.indices[f"{NAMES.instances}-000001"].refresh()
            both = await page(s, order="asc")
            for found in (before, both):
                assert [one["instance_id"] for one in found["instances"]] == [done, broken]
                assert [one["status"] for one in found["instances"]] == ["succeeded", "failed"]
                assert found["total"] == {"value": 2, "relation": "eq"}
            assert await listed(s, size=1, order="asc") == [f"{done}:succeeded", f"{broken}:failed"]
            assert await listed(s, status="failed") == [f"{broken}:failed"]
            assert await listed(s, status="succeeded") == await listed(s, status="succeeded", sort="finished")

    run_virtual(main())


def test_one_that_was_brought_back_is_listed_by_what_it_is_now() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=EVERY_TIME) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            for life in range(3):
                await fail_one(s)
                await in_history(s)
                assert len(documents(cluster, NAMES.instances)) == life + 1
                for query in ({}, {"status": "failed"}, {"sort": "finished"}, {"error_type": "boom"}, {"text": "boom"}):
                    assert await listed(s, **query) == [f"{id}:failed"], query
                assert (await page(s))["instances"][0].get("redrives", 0) == life
                await s.replica.steer(ANYBODY, id, Retry())
                await asyncio.sleep(1)
                assert await listed(s) == await listed(s, status="running") == [f"{id}:running"]
                for query in ({"status": "failed"}, {"sort": "finished"}, {"error_type": "boom"}):
                    assert await listed(s, **query) == [], query
            await s.complete(await s.claim_one())
            assert await listed(s) == await listed(s, status="succeeded") == [f"{id}:succeeded"]
            await in_history(s)
            assert await listed(s) == await listed(s, status="succeeded") == [f"{id}:succeeded"]
            assert await listed(s, status="failed") == []

    run_virtual(main())


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("index", [NAMES.lane("*"), NAMES.instances])
def test_none_is_missed_that_leaves_its_lane_between_the_two_points_in_time(index: str, moment: Moment) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=EVERY_TIME) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            step = await s.claim_one()
            await asyncio.sleep(1)
            held = s.faults.hold(moment, on="open_pit", index=index)
            asking = asyncio.create_task(listed(s))
            await held.reached()
            await s.complete(step)
            await in_history(s)
            cluster.indices[LANE].refresh()
            held.release()
            taken_before = index == NAMES.instances and moment == "after"
            assert await asking == [f"{id}:running" if taken_before else f"{id}:succeeded"]

    run_virtual(main())


def test_a_page_is_filled_where_many_hits_are_no_latest_life() -> None:
    async def main() -> None:
        async with scheduler(new_cluster(), settings=EVERY_TIME) as s:
            await s.define(ONE_STEP)
            ids = []
            for _ in range(30):
                ids.append((await s.start("one")).instance_id)
                await fail_one(s)
            await in_history(s)
            for id in ids[3:28]:
                await s.replica.steer(ANYBODY, id, Retry())
            await asyncio.sleep(1)
            first = await page(s, status="failed", size=4)
            assert [one["instance_id"] for one in first["instances"]] == [ids[29], ids[28], ids[2], ids[1]]
            assert first["next"]
            assert await listed(s, status="failed", size=4) == [f"{ids[n]}:failed" for n in (29, 28, 2, 1, 0)]
            assert (await page(s, status="failed", size=5)).get("next") is None

    run_virtual(main())


@pytest.mark.parametrize("seed", range(2))
def test_lists_hold_every_instance_once_whatever_happens_meanwhile(seed: int) -> None:
    """Ends, retries and clean-up race with pages; what was there when a list began is on exactly one of its pages."""

    async def main() -> None:
        random = Random(seed)
        async with scheduler(new_cluster(), settings=ALWAYS_REFRESHING, seed=seed) as s:
            await s.define(ONE_STEP)
            ids = [(await s.start("one")).instance_id for _ in range(10)]
            going = True

            async def churn() -> None:
                while going:
                    await asyncio.sleep(random.random() / 50)
                    for step in await s.claim(max_steps=random.randint(1, 4)):
                        if random.random() < 0.9:
                            await s.replica.fail(ANYBODY, step.step_id, FailBody(ErrorInfo("boom", "")))
                        else:
                            await s.replica.complete(ANYBODY, step.step_id, CompleteBody())

            async def revive() -> None:
                while going:
                    await asyncio.sleep(random.random() / 50)
                    try:
                        await s.replica.steer(ANYBODY, random.choice(ids), Retry())
                    except LeaseholdError:
                        continue

            tasks = [asyncio.create_task(one()) for one in (churn, revive, revive, revive)]
            for _ in range(8):
                found = [one.partition(":")[0] for one in await listed(s, size=random.randint(1, 12))]
                assert sorted(found) == sorted(ids)
                for statuses in ("failed", "running", "succeeded,failed"):
                    some = await listed(s, status=statuses, size=random.randint(3, 12))
                    assert len({one.partition(":")[0] for one in some}) == len(some)
                    assert {one.partition(":")[2] for one in some} <= set(statuses.split(","))
                await asyncio.sleep(random.random() / 20)
            going = False
            await asyncio.gather(*tasks)

    run_virtual(main())
