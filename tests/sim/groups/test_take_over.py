"""What the next owner of a lane knows of its groups, and what an earlier one may still write."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.core.errors import Unavailable
from leasehold.core.lanes.groups import groups
from leasehold.core.orders import Retry

from tests.kit.model_store import ModelStore
from tests.kit.schedulers import ANYBODY, LANE, ROUND_TRIP_S, Scheduler, documents, scheduler
from tests.kit.virtual_time import VirtualClock, run_virtual

from .ground import FOREVER, dying, grouped, queued, watched


async def finish_all(s: Scheduler, count: int) -> list[str]:
    """Claim and complete, one at a time; whose steps came, in order."""
    return [step.workflow_id for step in await s.run_all(count)]


@pytest.mark.parametrize("learned_at_once", [1_000, 2])
def test_waiting_members_are_admitted_after_a_take_over_though_nobody_starts_anything(
    monkeypatch: pytest.MonkeyPatch, learned_at_once: int
) -> None:
    monkeypatch.setattr(groups, "_LEARNED_AT_ONCE", learned_at_once)

    async def main() -> None:
        cluster = watched()
        async with dying(cluster) as first:
            await first.define(grouped())
            ids = [(await first.start("one", k=k)).instance_id for _ in range(3) for k in ("x", "y")]
            held = await first.claim(max_steps=2)
            await first.complete(held[0])
            await asyncio.sleep(0.05)
        async with scheduler(cluster, replica_id="replica-b") as second:
            assert [step.workflow_id for step in await second.claim(max_steps=9, wait_ms=1_000)] == [ids[2]]
            await second.complete(held[1])
            got = await second.claim_one(wait_ms=1_000)
            assert got.workflow_id == ids[3]
            assert sorted(queued(cluster)) == sorted(ids[4:])
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


@pytest.mark.parametrize("learned_at_once", [1_000, 2])
def test_a_slot_that_became_free_without_an_owner_is_given_at_the_take_over(
    monkeypatch: pytest.MonkeyPatch, learned_at_once: int
) -> None:
    """The last write of the old owner is the end of a member; nobody was left to admit the next."""
    monkeypatch.setattr(groups, "_LEARNED_AT_ONCE", learned_at_once)

    async def main() -> None:
        cluster = watched()
        async with dying(cluster) as first:
            await first.define(grouped())
            ids = [(await first.start("one", k=k)).instance_id for k in ("x", "x", "x", "y")]
            step = next(one for one in await first.claim(max_steps=9) if one.workflow_id == ids[0])
            held = first.faults.hold("after", on="bulk", index=LANE)
            completing = asyncio.create_task(first.complete(step))
            await held.reached()
            first.faults.cut_off(times=FOREVER)
            held.release()
            await asyncio.wait([completing], timeout=1)
            completing.cancel()
        async with scheduler(cluster, replica_id="replica-b") as second:
            assert (await second.claim_one(wait_ms=1_000)).workflow_id == ids[1]
            assert queued(cluster) == [ids[2]]
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


@pytest.mark.parametrize("learned_at_once", [1_000, 0])
def test_a_new_start_after_a_take_over_counts_those_that_memory_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, learned_at_once: int
) -> None:
    monkeypatch.setattr(groups, "_LEARNED_AT_ONCE", learned_at_once)

    async def main() -> None:
        source = grouped(limit=2).replace("executor: work}", "executor: work, requires_approval: true}")
        cluster = watched()
        async with scheduler(cluster) as first:
            await first.define(source)
            resting = [(await first.start("one")).instance_id for _ in range(2)]
            await asyncio.sleep(5)
        async with scheduler(cluster, replica_id="replica-b") as second:
            assert (await second.start("one")).status == "waiting"
            await second.replica.terminate(ANYBODY, resting[0], None)
            await asyncio.sleep(1)
            assert queued(cluster) == []
            assert (await second.start("one")).status == "waiting"
            assert list(cluster.most.values()) == [2]

    run_virtual(main())


def test_a_paused_owner_that_wakes_admits_nobody_beyond_the_limit() -> None:
    """Its writes land behind the next owner's fence: one admission, and one new member."""

    async def main() -> None:
        cluster = watched()
        store = ModelStore(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
        async with scheduler(cluster, store=store) as old:
            await old.define(grouped())
            ids = [(await old.start("one")).instance_id for _ in range(3)]
            step = await old.claim_one()
            # The end of the first stands; what follows from it is on its way for a minute, and so is another start.
            landed = old.faults.hold("before", on="bulk", index=LANE)
            first_write = asyncio.create_task(old.complete(step))
            await landed.reached()
            late = old.faults.hold("before", on="bulk", index=LANE)
            landed.release()
            await first_write
            await late.reached()
            starting = asyncio.create_task(old.start("one"))
            old.faults.cut_off(times=FOREVER)
            async with scheduler(cluster, replica_id="replica-b") as new:
                assert (await new.claim_one(wait_ms=1_000)).workflow_id == ids[1]
                await new.replica.cancel(ANYBODY, ids[1], None)
                newest = await new.start("one")
                late.release()
                await asyncio.sleep(5)
                assert newest.status == "waiting"
                assert (await new.claim_one(wait_ms=1_000)).workflow_id == ids[2]
                assert list(cluster.most.values()) == [1]
                starting.cancel()
                await asyncio.wait([starting])

    run_virtual(main())


def test_a_late_create_of_an_earlier_owner_waits_like_any_other_member() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as old:
            await old.define(grouped())
            await old.start("one", k="other")
            late = old.faults.hold("before", on="bulk", index=LANE)
            starting = asyncio.create_task(old.start("one"))
            await late.reached()
            old.faults.cut_off(times=FOREVER)
            async with scheduler(cluster, replica_id="replica-b") as new:
                mine = await new.start("one")
                assert mine.status == "running"
                late.release()
                with pytest.raises(Unavailable):
                    await starting
                await asyncio.sleep(5)
                assert len(queued(cluster)) == 1
                seen = await finish_all(new, 3)
                assert mine.instance_id in seen
                assert set(cluster.most.values()) == {1}

    run_virtual(main())


def test_a_member_is_stored_waiting_before_it_runs_though_a_slot_becomes_free_meanwhile() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped())
            await s.start("one")
            step = await s.claim_one()
            landed = s.faults.hold("after", on="bulk", index=LANE)
            completing = asyncio.create_task(s.complete(step))
            await landed.reached()
            starting = asyncio.create_task(s.start("one"))
            await asyncio.sleep(0.01)
            landed.release()
            await completing
            assert (await starting).status == "running"
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_clocks_that_differ_do_not_change_the_order_of_those_that_wait() -> None:
    async def main() -> None:
        cluster = watched()
        async with dying(cluster) as ahead:
            await ahead.define(grouped())
            ids = [(await ahead.start("one")).instance_id for _ in range(3)]
        async with dying(cluster, replica_id="replica-b", clock=VirtualClock(skew_ms=-3_600_000)) as behind:
            ids += [(await behind.start("one")).instance_id for _ in range(2)]
        async with scheduler(cluster, replica_id="replica-c") as s:
            assert await finish_all(s, 5) == ids
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_one_that_was_dropped_can_be_brought_back_and_then_waits() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped("drop"))
            first, dropped = await s.start("one"), await s.start("one")
            await asyncio.sleep(5)
            view = await s.replica.steer(ANYBODY, dropped.instance_id, Retry())
            assert view.status == "waiting"
            assert await finish_all(s, 2) == [first.instance_id, dropped.instance_id]
            assert list(cluster.most.values()) == [1]

    run_virtual(main())


def test_one_that_is_brought_back_waits_for_a_slot() -> None:
    async def main() -> None:
        cluster = watched()
        async with scheduler(cluster) as s:
            await s.define(grouped())
            first = await s.start("one")
            step = await s.claim_one()
            await s.fail(step, "broken")
            await asyncio.sleep(5)
            second, third = await s.start("one"), await s.start("one")
            await s.claim_one()
            view = await s.replica.steer(ANYBODY, first.instance_id, Retry())
            assert view.status == "waiting"
            await s.replica.cancel(ANYBODY, second.instance_id, None)
            assert await finish_all(s, 2) == [third.instance_id, first.instance_id]
            await asyncio.sleep(5)
            assert await s.status(first.instance_id) == "succeeded"
            assert documents(cluster, LANE, "instance") == {}
            assert list(cluster.most.values()) == [1]

    run_virtual(main())
