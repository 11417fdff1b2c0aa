"""Lanes are added, drained and removed while replicas run (`core.lanes.ownership`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import Conflict, NotFound
from leasehold.core.ids import lane_of

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ONE_STEP, SETTINGS, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

KEPT_S = 60
TWO_LANES = msgspec.structs.replace(
    SETTINGS, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=2, kept_drained_ms=KEPT_S * 1_000)
)


@asynccontextmanager
async def member(cluster: ModelElasticsearch, peers: ModelPeers, name: str, port: int) -> AsyncIterator[Scheduler]:
    settings = msgspec.structs.replace(TWO_LANES, server=msgspec.structs.replace(SETTINGS.server, port=port))
    async with scheduler(cluster, settings=settings, replica_id=name, seed=port, owning=False, peers=peers) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s


@asynccontextmanager
async def pair(lanes: int = 2) -> AsyncIterator[tuple[Scheduler, Scheduler]]:
    cluster, peers = new_cluster(lanes=lanes), ModelPeers()
    async with member(cluster, peers, "a", 1) as first, member(cluster, peers, "b", 2) as second:
        await asyncio.sleep(10)
        await first.define(ONE_STEP)
        yield first, second


async def states(s: Scheduler) -> dict[str, str]:
    return {view.lane: view.state for view in await s.replica.lanes()}


async def owned(s: Scheduler) -> list[str]:
    return [view.lane for view in await s.replica.lanes() if view.mine]


async def owner(lane: str, *replicas: Scheduler) -> Scheduler:
    (found,) = [s for s in replicas if lane in await owned(s)]
    return found


async def until(state: str | None, lane: str, s: Scheduler) -> None:
    async with asyncio.timeout(30):
        while (await states(s)).get(lane) != state:
            await asyncio.sleep(0.05)


def test_added_lanes_are_shared_out_and_used_while_work_goes_on() -> None:
    async def main() -> None:
        async with pair() as (first, second):
            started: list[str] = []
            going_on = True

            async def start(s: Scheduler) -> None:
                while going_on:
                    started.append((await s.start("one")).instance_id)
                    await asyncio.sleep(0.03)

            starting = [asyncio.create_task(start(s)) for s in (first, second)]
            await asyncio.sleep(1)
            added = await first.replica.add_lanes(2)
            assert [view.lane for view in added] == ["02", "03"]
            await asyncio.sleep(1)
            assert (len(await owned(first)), len(await owned(second))) == (2, 2)
            await asyncio.sleep(2)
            going_on = False
            await asyncio.gather(*starting, return_exceptions=True)
            assert {lane_of(instance_id) for instance_id in started[-80:]} == {"00", "01", "02", "03"}
            done: set[str] = set()
            while set(started) - done:
                for s in (first, second):
                    for step in await s.claim(max_steps=100):
                        await s.complete(step)
                        done.add(step.workflow_id)

    run_virtual(main())


def test_a_draining_lane_takes_nothing_new_and_ends_what_it_holds() -> None:
    async def main() -> None:
        async with pair() as (first, second):
            holder = await owner("01", first, second)
            leased = (await holder.start("one")).instance_id
            (step,) = await holder.claim(lease_ms=20_000)
            assert step.workflow_id == leased
            waiting = (await holder.start("one")).instance_id
            other = second if holder is first else first
            assert (await other.replica.drain_lane("01")).state == "draining"
            await asyncio.sleep(0.1)
            ids = [(await s.start("one")).instance_id for s in (first, second) for _ in range(20)]
            assert {lane_of(instance_id) for instance_id in ids} == {"00"}
            await asyncio.sleep(10)
            (view,) = [view for view in await other.replica.lanes() if view.lane == "01"]
            assert (view.state, view.instances, view.owner is None) == ("draining", 2, False)
            await other.complete(step)
            assert waiting in {step.workflow_id for step in await run_out(holder)}
            await until("drained", "01", first)
            assert await first.status(leased) == await second.status(waiting) == "succeeded"

    run_virtual(main())


async def run_out(s: Scheduler) -> list[ClaimedStep]:
    steps: list[ClaimedStep] = []
    while found := await s.claim(max_steps=100):
        for step in found:
            await s.complete(step)
        steps += found
    return steps


def test_the_last_lane_that_takes_starts_is_not_drained() -> None:
    async def main() -> None:
        async with pair() as (first, second):
            await first.replica.drain_lane("00")
            with pytest.raises(Conflict, match="the only one"):
                await second.replica.drain_lane("01")
            with pytest.raises(NotFound):
                await second.replica.drain_lane("17")

    run_virtual(main())


def test_a_drained_lane_goes_when_no_key_is_counted_on_any_more_and_not_before() -> None:
    async def main() -> None:
        async with pair() as (first, second):
            kept = (await (await owner("01", first, second)).start("one", key="k")).instance_id
            for s in (first, second):
                await run_out(s)
            await first.replica.drain_lane("01")
            await until("drained", "01", second)
            with pytest.raises(Conflict, match=r"kept until 2027-01-1\d .* UTC"):
                await second.replica.remove_lane("01", early=False)
            assert (await second.start("one", key="k")).instance_id == kept
            await asyncio.sleep(KEPT_S)
            await second.replica.remove_lane("01", early=False)
            cluster = first.store.cluster
            assert "workflow-lane-01" not in cluster.indices
            assert "lane-01" not in documents(cluster, "workflow-control")
            assert list(await states(first)) == list(await states(second)) == ["00"]
            # History answers for what stood there, and nothing brings the index back.
            for s in (first, second):
                assert (await s.start("one", key="k")).instance_id == kept
                assert await s.status(kept) == "succeeded"
                with pytest.raises(NotFound):
                    await s.status("01-" + "0" * 28)
            assert "workflow-lane-01" not in cluster.indices
            assert [view.lane for view in await first.replica.add_lanes(1)] == ["02"]

    run_virtual(main())


@asynccontextmanager
async def started_half() -> AsyncIterator[tuple[Scheduler, Scheduler]]:
    """Lane 01 is drained, and key `k` names an instance of it whose first start died before it wrote it.

    Yields the replica that lives, and the one that was cut off.
    """
    async with pair() as (first, second):
        dies = await owner("01", first, second)
        stays = second if dies is first else first
        held = dies.faults.hold("before", on="bulk", index="workflow-lane-01")
        dying = asyncio.create_task(dies.start("one", key="k"))
        await held.reached()
        dies.faults.cut_off(times=1_000_000_000)
        await asyncio.sleep(15)
        assert await owned(stays) == ["00", "01"]
        await stays.replica.drain_lane("01")
        await until("drained", "01", stays)
        yield stays, dies
        dying.cancel()
        dies.faults.clear()


def test_a_repeated_start_fills_a_drained_lane_again_and_it_is_not_removed() -> None:
    async def main() -> None:
        async with started_half() as (s, _):
            instance_id = (await s.start("one", key="k")).instance_id
            assert lane_of(instance_id) == "01"
            with pytest.raises(Conflict, match="lane 01 is draining again"):
                await s.replica.remove_lane("01", early=True)
            await s.run_all(1)
            assert await s.status(instance_id) == "succeeded"
            await until("drained", "01", s)
            await s.replica.remove_lane("01", early=True)
            assert (await s.start("one", key="k")).instance_id == instance_id

    run_virtual(main())


def test_a_key_whose_instance_never_came_to_be_is_told_so_once_its_lane_is_gone() -> None:
    async def main() -> None:
        async with started_half() as (s, _):
            await s.replica.remove_lane("01", early=True)
            with pytest.raises(Conflict, match=r"'k' names instance 01-.* whose lane has been removed.*use a new key"):
                await s.start("one", key="k")

    run_virtual(main())


def test_an_owner_that_was_away_learns_that_its_lane_is_gone_and_brings_nothing_back() -> None:
    async def main() -> None:
        async with started_half() as (s, away):
            await s.replica.remove_lane("01", early=True)
            away.faults.clear()
            await asyncio.sleep(15)
            assert "workflow-lane-01" not in s.store.cluster.indices
            assert list(await states(away)) == ["00"]
            assert lane_of((await away.start("one")).instance_id) == "00"

    run_virtual(main())


def test_an_early_removal_is_asked_for_by_name() -> None:
    async def main() -> None:
        async with pair() as (first, second):
            await second.replica.drain_lane("00")
            await until("drained", "00", first)
            await first.replica.remove_lane("00", early=True)
            assert list(await states(second)) == ["01"]
            assert not await owned(first) or not await owned(second)
            for s in (first, second):
                assert lane_of((await s.start("one")).instance_id) == "01"

    run_virtual(main())


def test_a_removal_goes_on_after_its_owner_died_at_any_point_of_it() -> None:
    async def main(on: str, moment: str) -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1) as first, member(cluster, peers, "b", 2) as second:
            await asyncio.sleep(10)
            dies = await owner("01", first, second)
            stays = second if dies is first else first
            await stays.replica.drain_lane("01")
            await until("drained", "01", stays)
            held = dies.faults.hold("before" if moment == "before" else "after", on=on, index="workflow-*")
            removing = asyncio.create_task(stays.replica.remove_lane("01", early=True))
            await held.reached()
            dies.faults.cut_off(times=1_000_000_000)
            peers.cut_off.add(f"http://127.0.0.1:{1 if dies is first else 2}")
            await asyncio.sleep(30)
            assert list(await states(stays)) == ["00"]
            assert "workflow-lane-01" not in cluster.indices
            await asyncio.gather(removing, return_exceptions=True)
            dies.faults.clear()
            held.release()
            await asyncio.sleep(10)
            assert "workflow-lane-01" not in cluster.indices
            assert list(await states(dies)) == ["00"]

    run_virtual(main("delete_index", "before"))
    run_virtual(main("delete_index", "after"))
