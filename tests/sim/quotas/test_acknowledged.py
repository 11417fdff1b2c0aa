"""Only an acknowledged write gives a lane units, and what a write gives away is not used from when it is sent."""

from __future__ import annotations

import asyncio

from leasehold.core.lanes.lane import Lane
from leasehold.tenancy.quotas import Holding, Quota

from tests.kit.faults import Held
from tests.kit.schedulers import NAMES, Scheduler
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER, STEPS, Mortal, member, several, shares, watched

QUOTA = Quota("running_steps", "acme")


def own(s: Scheduler) -> tuple[Lane, Holding]:
    (lane,) = s.replica._engine.lanes.values()
    holding = lane.quotas.holding(QUOTA)
    assert holding is not None
    return lane, holding


def hold(s: Scheduler, moment: str) -> Held:
    """The next write of the quota's document stands still."""
    store = s.store
    assert isinstance(store, Mortal)
    return store.hold_quota("before" if moment == "before" else "after")


async def free_s(holding: Holding, s: Scheduler) -> int:
    return holding.free(s.replica._engine.clock.monotonic_ms())


def test_units_are_taken_when_the_write_is_acknowledged_and_not_before() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=4)
        async with several(cluster) as (first, _):
            lane, holding = own(first)
            held = hold(first, "after")
            obtaining = asyncio.create_task(first.replica._engine.shares.obtain(lane, holding))
            await held.reached()
            assert shares(cluster) == {lane.name: 2}
            assert (holding.share, await free_s(holding, first)) == (0, 0)
            held.release()
            await obtaining
            assert await free_s(holding, first) == 2

    run_virtual(main())


def test_a_write_whose_answer_is_lost_gives_nothing_until_a_further_one_stands() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=4)
        async with several(cluster) as (first, _):
            lane, holding = own(first)
            await asyncio.sleep(1)
            first.faults.lose_answer(on="bulk", index=NAMES.control)
            before = cluster.quota_writes
            holding.wanted = True
            first.replica._engine.shares.want(lane, holding)
            async with asyncio.timeout(2):
                while not holding.share:
                    await asyncio.sleep(0.001)
            assert cluster.quota_writes >= before + 2

    run_virtual(main())


def test_what_is_given_back_is_not_used_from_when_that_is_sent() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=4)
        async with several(cluster) as (first, second):
            lane, holding = own(first)
            await first.replica._engine.shares.obtain(lane, holding)
            assert holding.share == 2
            held = hold(first, "before")
            await held.reached()
            # Nobody used them for a while.
            assert shares(cluster) == {lane.name: 2}
            assert holding.share == 0
            held.release()
            await asyncio.sleep(0.1)
            assert shares(cluster) == {}
            del second

    run_virtual(main())


def test_units_that_a_failed_write_was_to_give_back_are_there_again_by_a_further_write() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=4)
        async with several(cluster) as (first, _):
            lane, holding = own(first)
            await first.replica._engine.shares.obtain(lane, holding)
            held = hold(first, "before")
            await held.reached()
            first.faults.lose_request(on="bulk", index=NAMES.control)
            holding.wanted = True
            first.replica._engine.shares.want(lane, holding)
            held.release()
            async with asyncio.timeout(2):
                while holding.share != 2:
                    await asyncio.sleep(0.01)
            assert shares(cluster) == {lane.name: 2}

    run_virtual(main())


def test_a_new_owner_takes_nothing_before_it_has_adopted_the_share() -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_steps=2)
        async with several(cluster, replicas=1, lanes=1) as (first,):
            for _ in range(4):
                await first.start("one")
            (step,) = await first.claim(wait_ms=1_000)
            await asyncio.sleep(0.1)
            assert shares(cluster) == {"00": 2}
            store = first.store
            assert isinstance(store, Mortal)
            store.dies_at = 0
            peers = first.replica._engine._peers
            async with member(cluster, peers, 9, lanes=1) as second:  # type: ignore[arg-type]
                while not second.replica._engine.lanes or not own(second)[0].open:
                    await asyncio.sleep(0.01)
                held = hold(second, "after")
                _, holding = own(second)
                assert (holding.share, holding.used) == (0, 1)
                claiming = asyncio.create_task(second.claim(wait_ms=2_000))
                await held.reached()
                assert holding.share == 0
                assert cluster.leased == 1
                held.release()
                assert len(await claiming) == 1
                assert cluster.most == 2
                assert cluster.wrong == []
            store.dies_at = FOREVER
            del step

    run_virtual(main())


def test_an_owner_that_was_followed_leaves_the_share_alone() -> None:
    """It stands still with units that it does not use, and wakes when the next owner has them."""

    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_steps=2)
        async with several(cluster, replicas=1, lanes=1) as (first,):
            lane, holding = own(first)
            await first.replica._engine.shares.obtain(lane, holding)
            store = first.store
            assert isinstance(store, Mortal)
            held = hold(first, "before")
            await held.reached()
            store.stand_still(30)
            peers = first.replica._engine._peers
            async with member(cluster, peers, 9, lanes=1) as second:  # type: ignore[arg-type]
                while not second.replica._engine.lanes or not own(second)[0].open:
                    await asyncio.sleep(0.01)
                theirs, taken = own(second)
                await second.replica._engine.shares.obtain(theirs, taken)
                while taken.take(second.replica._engine.clock.monotonic_ms()):
                    pass
                assert taken.used == 2
                held.release()
                await asyncio.sleep(40)
                assert shares(cluster) == {"00": 2}
                assert (holding.share, taken.share) == (0, 2)

    run_virtual(main())


def test_a_quotas_document_has_the_id_that_operators_look_for() -> None:
    assert QUOTA.id == STEPS
