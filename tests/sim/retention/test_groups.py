"""Places of concurrency groups go when nobody uses them, and never from under a member."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from leasehold.core.errors import LeaseholdError, OutcomeUnknown
from leasehold.core.lanes.groups.slots import GroupName

from tests.kit.faults import Moment
from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import NAMES, Scheduler, documents, scheduler
from tests.kit.virtual_time import run_virtual
from tests.sim.groups.ground import grouped, queued, watched
from tests.sim.groups.test_crashes import KEYS, LIMITS, Story, definitions

from .ground import clearing, lane_of, member, retention_of


def places(cluster: ModelElasticsearch) -> int:
    return len(documents(cluster, NAMES.keys, "group"))


def test_the_place_of_an_unused_group_goes_and_the_next_start_makes_it_again() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster, settings=clearing(groups_kept_ms=60_000)) as s:
            await s.define(grouped())
            await s.start("one", k="x")
            await asyncio.sleep(70)
            assert await retention_of(s).pass_once() == 0, "it has a member"
            await s.run_all(1)
            await asyncio.sleep(30)
            assert await retention_of(s).pass_once() == 0, "it was used a moment ago"
            await asyncio.sleep(40)
            assert await retention_of(s).pass_once() == 1
            assert places(cluster) == 0

            await s.start("one", k="x")
            assert places(cluster) == 1

    run_virtual(main())


def test_a_later_owner_clears_what_it_never_used() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster, settings=clearing()) as s:
            await s.define(grouped())
            await s.start("one", k="x")
            await s.run_all(1)
            await s.start("one", k="y")
        async with scheduler(cluster, settings=clearing(groups_kept_ms=10_000), replica_id="replica-b") as s:
            await asyncio.sleep(20)
            assert await retention_of(s).pass_once() == 1
            (left,) = documents(cluster, NAMES.keys, "group").values()
            assert left["key"] == "y"

    run_virtual(main())


def test_a_start_that_comes_while_the_place_is_being_deleted_waits_and_makes_it_again() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster, settings=clearing(groups_kept_ms=1)) as s:
            await s.define(grouped())
            await s.start("one", k="x")
            await s.run_all(1)
            await asyncio.sleep(10)
            moments: tuple[Moment, ...] = ("before", "after")
            for moment in moments:
                deletion = s.faults.hold(moment, on="bulk", index=NAMES.keys)
                passing = asyncio.create_task(retention_of(s).pass_once())
                await deletion.reached()
                start = asyncio.create_task(s.start("one", k="x"))
                await asyncio.sleep(1)
                assert not start.done()
                deletion.release()
                await start
                assert (await passing, places(cluster)) == (1, 1)
                await s.run_all(1)
                await asyncio.sleep(10)

    run_virtual(main())


def test_a_deletion_that_lands_late_takes_no_place_that_is_used_again() -> None:
    """Its answer never came; a member has joined since, and the document was written anew for it."""

    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster, settings=clearing(groups_kept_ms=1)) as s:
            await s.define(grouped())
            await s.start("one", k="x")
            await s.run_all(1)
            await asyncio.sleep(10)
            s.faults.land_late(3_000, on="bulk", index=NAMES.keys)
            name = GroupName("acme", "one", "x")
            with pytest.raises(OutcomeUnknown):
                await s.replica._engine.places.clear(lane_of(s), name.id, unused_for_ms=1)
            await s.start("one", k="x")
            await asyncio.sleep(5)
            assert places(cluster) == 1

    run_virtual(main())


def test_a_place_in_a_lane_that_is_gone_goes_too() -> None:
    async def main() -> None:
        cluster, peers = watched(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1, lanes=2, groups_kept_ms=10_000) as s:
            await asyncio.sleep(5)
            await s.define(grouped())
            for key in range(8):
                await s.start("one", k=str(key))
            await s.run_all(8)
            await s.replica.drain_lane("01")
            await asyncio.sleep(20)
            await s.replica.remove_lane("01", early=True)
            await asyncio.sleep(1)
            inside = [one for one in documents(cluster, NAMES.keys, "group").values() if one["lane"] == "01"]
            assert inside
            await retention_of(s).pass_once()
            assert places(cluster) == 0

    run_virtual(main())


class Clearing(Story):
    """Every replica clears all the time, and whatever is vacant at that moment goes."""

    async def join(self) -> Scheduler:
        self._born += 1
        port = self._born
        stack = AsyncExitStack()
        changes = {"lanes": 2, "groups_kept_ms": 1, "every_ms": 200}
        s = await stack.enter_async_context(member(self.cluster, self.peers, f"r{port}", port, **changes))
        self.up.append((stack, s, f"http://127.0.0.1:{port}"))
        return s


@pytest.mark.parametrize("seed", range(3))
def test_limits_hold_at_every_write_while_places_come_and_go(seed: int) -> None:
    async def main() -> None:
        story = Clearing(seed)
        first = await story.join()
        await asyncio.sleep(2)
        await first.define(*definitions())
        await story.join()
        acts = [*[story.start] * 5, *[story.work] * 5, story.accident]
        under_way: set[asyncio.Task[None]] = set()
        for _ in range(150):
            under_way.add(asyncio.create_task(story.random.choice(acts)()))
            await asyncio.sleep(story.random.random() / 2)
            if len(story.up) < 2:
                await story.join()
        await asyncio.wait(under_way)
        await asyncio.sleep(60)
        calm = await story.join()
        await asyncio.sleep(5)
        idle = 0
        while idle < 20:
            steps = []
            with suppress(LeaseholdError):
                steps = await calm.claim(max_steps=50, lease_ms=2_000, wait_ms=1_000)
            for step in steps:
                with suppress(LeaseholdError):
                    await calm.complete(step)
            idle = 0 if steps else idle + 1
        await asyncio.sleep(2)
        await story.close()
        assert queued(story.cluster) == []
        assert places(story.cluster) == 0, "nothing is left once all have ended"
        allowed = {GroupName("acme", name, key).id: limit for name, limit in LIMITS.items() for key in KEYS}
        assert {group: most for group, most in story.cluster.most.items() if most > allowed[group]} == {}

    run_virtual(main())
