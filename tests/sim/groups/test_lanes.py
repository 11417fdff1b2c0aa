"""A group lives in one lane: whoever is asked, whatever becomes of lanes (`core.lanes.groups.places`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from leasehold.claim.wire import StartAnswer, StartBody, StartItem
from leasehold.core.errors import Conflict, Unavailable
from leasehold.core.ids import lane_of
from leasehold.core.peers import Relayed

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, NAMES, Scheduler, documents
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER, Watched, grouped, member, queued, watched

KEPT_MS = 60_000


@asynccontextmanager
async def pair(peers: ModelPeers | None = None) -> AsyncIterator[tuple[Watched, Scheduler, Scheduler]]:
    """Two replicas, each of which owns one of two lanes."""
    cluster, peers = watched(lanes=2), peers or ModelPeers()
    async with (
        member(cluster, peers, "a", 1, kept_drained_ms=KEPT_MS) as first,
        member(cluster, peers, "b", 2, kept_drained_ms=KEPT_MS) as second,
    ):
        await asyncio.sleep(10)
        await first.define(grouped())
        yield cluster, first, second


async def owned(s: Scheduler) -> list[str]:
    return [view.lane for view in await s.replica.lanes() if view.mine]


async def state(s: Scheduler, lane: str) -> str | None:
    return next((view.state for view in await s.replica.lanes() if view.lane == lane), None)


async def until(s: Scheduler, lane: str, wanted: str | None) -> None:
    async with asyncio.timeout(60):
        while await state(s, lane) != wanted:
            await asyncio.sleep(0.1)


def group_documents(cluster: ModelElasticsearch) -> list[dict[str, object]]:
    return list(documents(cluster, NAMES.keys, "group").values())


def test_starts_at_any_replica_count_against_one_limit() -> None:
    async def main() -> None:
        async with pair() as (cluster, first, second):
            assert len(await owned(first)) == len(await owned(second)) == 1
            answers = await asyncio.gather(
                *(s.start("one", k=k) for _ in range(4) for s in (first, second) for k in "xyz")
            )
            assert sorted(answer.status for answer in answers) == ["running"] * 3 + ["waiting"] * 21
            for k in range(3):
                assert len({lane_of(answer.instance_id) for answer in answers[k::3]}) == 1
            for _ in range(24):
                step = await first.claim_one(wait_ms=5_000)
                await second.complete(step)
            await asyncio.sleep(3)
            assert queued(cluster) == []
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


def test_a_bulk_of_starts_finds_each_groups_owner() -> None:
    async def main() -> None:
        async with pair() as (cluster, first, second):
            items = [StartItem(workflow="one", params={"k": f"{n % 10}"}) for n in range(30)]
            for s in (first, second):
                results = await s.replica.start_many(ANYBODY, items, traceparent=None)
                assert [result.code for result in results] == [201] * 30
            assert len(queued(cluster)) == 50
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


def test_while_the_lane_has_no_owner_its_groups_starts_get_503_and_others_go_on() -> None:
    async def main() -> None:
        peers = ModelPeers()
        async with pair(peers) as (cluster, first, second):
            started = await second.start("one", k="x")
            (lane,) = [one for one in (first, second) if lane_of(started.instance_id) in await owned(one)]
            other = second if lane is first else first
            lane.faults.cut_off(times=FOREVER)
            peers.cut_off.add("http://127.0.0.1:1" if lane is first else "http://127.0.0.1:2")
            with pytest.raises((Unavailable, Relayed)):
                await other.start("one", k="x")
            assert (await other.start("one", k="fresh")).status == "running"
            await asyncio.sleep(20)
            assert (await other.start("one", k="x")).status == "waiting"
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


def test_a_draining_lane_keeps_a_group_with_members_and_gives_it_away_when_it_is_empty() -> None:
    async def main() -> None:
        async with pair() as (cluster, first, second):
            started = await first.start("one", k="x")
            lane = str(lane_of(started.instance_id))
            await first.replica.drain_lane(lane)
            await asyncio.sleep(1)
            beside = await second.start("one", k="x")
            assert (lane_of(beside.instance_id), beside.status) == (lane, "waiting")
            await first.run_all(2)
            moved = await insist(second, k="x")
            assert (lane_of(moved.instance_id) != lane, moved.status) == (True, "running")
            assert [found["lane"] for found in group_documents(cluster)] == [lane_of(moved.instance_id)]
            await until(first, lane, "drained")
            assert (await first.start("one", k="x")).status == "waiting"
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


def test_a_group_whose_lane_is_gone_lives_on_elsewhere() -> None:
    async def main() -> None:
        async with pair() as (cluster, first, second):
            lane = str(lane_of((await first.start("one", k="x")).instance_id))
            await first.run_all(1)
            await first.replica.drain_lane(lane)
            await until(first, lane, "drained")
            await first.replica.remove_lane(lane, early=True)
            answers = [await insist(s, k="x") for s in (first, second)]
            assert [answer.status for answer in answers] == ["running", "waiting"]
            assert lane not in {lane_of(answer.instance_id) for answer in answers}
            assert set(cluster.most.values()) == {1}

    run_virtual(main())


async def insist(s: Scheduler, **params: str) -> StartAnswer:
    """As clients do: a request that comes just as a group moves to a third place gets 503, and is sent again."""
    try:
        return await s.start("one", **params)
    except (Unavailable, Relayed):
        return await s.start("one", **params)


async def keyed(s: Scheduler, key: str, **params: str) -> tuple[StartAnswer, bool]:
    return await s.replica.start(ANYBODY, "one", StartBody(params=params), idempotency_key=key, traceparent=None)


def test_a_key_names_one_member_in_its_groups_lane() -> None:
    async def main() -> None:
        async with pair() as (cluster, first, second):
            lane = lane_of((await first.start("one", k="x")).instance_id)
            answers = await asyncio.gather(*(keyed(s, "key", k="x") for _ in range(4) for s in (first, second)))
            assert len({answer.instance_id for answer, _ in answers}) == 1
            assert [created for _, created in answers].count(True) <= 1
            assert lane_of(answers[0][0].instance_id) == lane
            assert queued(cluster) == [answers[0][0].instance_id]
            with pytest.raises((Conflict, Relayed), match="was used for another request"):
                await keyed(first, "key", k="y")

    run_virtual(main())


def test_a_key_whose_instance_never_came_to_be_follows_its_group() -> None:
    async def main() -> None:
        async with pair() as (cluster, first, second):
            lane = str(lane_of((await first.start("one", k="x")).instance_id))
            holder = first if lane in await owned(first) else second
            await first.run_all(1)
            held = holder.faults.hold("after", on="bulk", index=NAMES.keys)
            starting = asyncio.create_task(keyed(holder, "key", k="x"))
            await held.reached()
            # The key stands, and its owner goes away before the instance does.
            starting.cancel()
            held.release()
            await asyncio.wait([starting])
            assert [found["instance_id"][:2] for found in documents(cluster, NAMES.keys, "start").values()] == [lane]
            await first.replica.drain_lane(lane)
            await until(first, lane, "drained")
            assert lane_of((await insist(first, k="x")).instance_id) != lane
            holder.faults.clear()
            other = second if holder is first else first
            answer, created = await keyed(other, "key", k="x")
            assert (created, answer.status, lane_of(answer.instance_id) != lane) == (True, "waiting", True)
            assert (await keyed(holder, "key", k="x"))[0].instance_id == answer.instance_id
            assert set(cluster.most.values()) == {1}

    run_virtual(main())
