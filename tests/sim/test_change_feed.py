"""Woken by changes: when a replica looks, how soon it knows, and that it searches only for what others wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from leasehold.core.change_feed import SharedLooks, StatsFeed
from leasehold.core.es.lines import fence_lines
from leasehold.core.ports import BulkItem, SearchPage
from leasehold.core.settings import LaneSettings, Settings

from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import LANE, NAMES, ONE_STEP, ROUND_TRIP_S, TWO_STEPS, Scheduler, live, new_cluster
from tests.kit.schedulers import scheduler as plain_scheduler
from tests.kit.virtual_time import run_virtual

FOUR_LANES = Settings(lanes=LaneSettings(lanes=4))
LANES = [f"workflow-lane-{n:02}" for n in range(4)]
FOREVER = 1_000_000_000
BOTH = pytest.mark.parametrize("pushes", [False, True], ids=["stats", "fleet"])


class Watched(ModelStore):
    """A client that notes its gap searches."""

    def __init__(self, cluster: ModelElasticsearch, *, pushes: bool = False) -> None:
        super().__init__(cluster, latency_s=lambda: ROUND_TRIP_S / 2, pushes=pushes)
        self.gaps: list[Mapping[str, Any]] = []
        self.conflicts = 0

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        items = await super().bulk(lines, index=index, timeout_ms=timeout_ms)
        self.conflicts += sum(item.status == 409 and item.index in LANES for item in items)
        return items

    async def search(self, index: str | None, body: Mapping[str, Any]) -> SearchPage:
        if "_seq_no" in str(body["query"]) and "writer" in str(body["query"]):
            self.gaps.append(body)
        return await super().search(index, body)

    def total(self) -> int:
        return sum(self.requests.values())


def scheduler(store: Watched, name: str = "replica-a", settings: Settings = FOUR_LANES, seed: int = 1) -> Any:
    return plain_scheduler(store.cluster, store=store, replica_id=name, settings=settings, seed=seed, owning=False)


async def owned(s: Scheduler) -> set[str]:
    return {lane.lane for lane in await s.replica.lanes() if lane.mine}


async def busy(s: Scheduler, rounds: int, *, pause_s: float = 0.25) -> None:
    """Work in all lanes: starts in bulks, claims, heartbeats by retries, completions, history, deletions."""
    await s.define(ONE_STEP, TWO_STEPS)
    for n in range(rounds):
        await asyncio.gather(*(s.start("one" if n % 2 else "two") for _ in range(5)))
        while steps := await s.claim(max_steps=10):
            await asyncio.gather(*(s.complete(step, {"n": n}) for step in steps))
        await asyncio.sleep(pause_s)


async def until_owned(s: Scheduler, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await owned(s)) < count:
            await asyncio.sleep(0.001)


@BOTH
def test_a_busy_and_an_idle_stretch_without_foreign_writes_lead_to_no_search(pushes: bool) -> None:
    async def main() -> None:
        store = Watched(new_cluster(lanes=4), pushes=pushes)
        async with scheduler(store) as s:
            await asyncio.sleep(5)
            await busy(s, 120)
            await asyncio.sleep(600)
            assert store.gaps == []
            moved = [store.cluster.indices[lane].max_seq_no for lane in LANES]
            assert min(moved) > 100

    run_virtual(main())


def write_as_another(cluster: ModelElasticsearch, lane: str, id: str, **fields: Any) -> None:
    """What a late bulk of an earlier owner does: the document as it stands, with another writer and other fields."""
    document = cluster.indices[lane].documents[id]
    source = {**msgspec.json.decode(document.source), "writer": "replica-z", "write_id": "z.0.1", **fields}
    item = cluster.apply(Operation("index", lane, id, msgspec.json.encode(source)))
    assert item.status == 200


def test_a_foreign_write_leads_to_exactly_one_search_and_the_instance_is_taken_from_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = Watched(cluster)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await busy(s, 20)
            started = await s.start("one")
            await asyncio.sleep(5)
            write_as_another(cluster, LANE, started.instance_id, space="elsewhere")
            await asyncio.sleep(5)
            assert len(store.gaps) == 1
            (range_, not_mine) = store.gaps[0]["query"]["bool"]["filter"], store.gaps[0]["query"]["bool"]["must_not"]
            assert range_ == [{"range": {"_seq_no": {"gt": cluster.indices[LANE].max_seq_no - 1}}}]
            assert not_mine == [{"term": {"writer": "replica-a"}}]
            await s.run_all(1)
            assert documents_space(cluster, started.instance_id) == "elsewhere"
            # Memory had it before the first write that would have met it.
            assert store.conflicts == 0
            await busy(s, 20)
            await asyncio.sleep(60)
            assert len(store.gaps) == 1
            assert cluster.open_pits == 0

    run_virtual(main())


def documents_space(cluster: ModelElasticsearch, id: str) -> str:
    return str(live(cluster)[id]["space"])


def test_a_checkpoint_ahead_of_the_answers_of_bulks_in_flight_is_not_foreign() -> None:
    async def main() -> None:
        store = Watched(new_cluster())
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await s.define(ONE_STEP)
            held = store.faults.hold("after", on="bulk", index=LANE)
            starting = asyncio.ensure_future(s.start("one"))
            await held.reached()
            await asyncio.sleep(10)
            held.release()
            await starting
            await asyncio.sleep(10)
            assert store.gaps == []

    run_virtual(main())


def test_a_foreign_write_behind_a_bulk_in_flight_is_found_once_that_has_answered() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = Watched(cluster)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await s.define(ONE_STEP)
            first = await s.start("one")
            held = store.faults.hold("after", on="bulk", index=LANE)
            starting = asyncio.ensure_future(s.start("one"))
            await held.reached()
            write_as_another(cluster, LANE, first.instance_id)
            await asyncio.sleep(10)
            assert store.gaps == []
            held.release()
            await starting
            await asyncio.sleep(1)
            assert len(store.gaps) == 1

    run_virtual(main())


def test_an_own_write_whose_answer_was_lost_is_looked_for_once_and_changes_nothing() -> None:
    async def main() -> None:
        store = Watched(new_cluster())
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await s.define(ONE_STEP)
            store.faults.lose_answer(on="bulk", index=LANE)
            started = await s.start("one")
            await asyncio.sleep(30)
            assert len(store.gaps) == 1
            await s.run_all(1)
            assert await s.status(started.instance_id) == "succeeded"

    run_virtual(main())


def test_a_higher_fence_that_is_found_takes_the_lane_away() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = Watched(cluster)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await asyncio.sleep(3)
            (before,) = await s.replica.lanes()
            other = ModelStore(cluster)
            await other.bulk(list(fence_lines(before.epoch + 1, "replica-z")), index=LANE)
            await asyncio.sleep(3)
            (after,) = await s.replica.lanes()
            assert (after.mine, after.epoch) == (True, before.epoch + 1)
            assert len(store.gaps) == 1

    run_virtual(main())


@pytest.mark.parametrize("trouble", ["fallen", "made again"])
def test_a_lane_whose_checkpoint_falls_or_whose_index_is_another_one_is_read_anew(trouble: str) -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = Watched(cluster)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await busy(s, 3)
            started = await s.start("one")
            await asyncio.sleep(5)
            index = cluster.indices[LANE]
            (before,) = await s.replica.lanes()
            if trouble == "fallen":
                index.held_checkpoint = index.max_seq_no - 2
                await asyncio.sleep(2)
                index.held_checkpoint = None
            else:
                index.uuid = "another"
            await asyncio.sleep(2)
            (after,) = await s.replica.lanes()
            assert (after.mine, after.epoch) == (True, before.epoch + 1)
            assert store.gaps == []
            await s.run_all(1)
            assert await s.status(started.instance_id) == "succeeded"

    run_virtual(main())


def test_what_cannot_be_read_is_left_alone_and_not_searched_for_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = Watched(cluster)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await s.define(ONE_STEP)
            broken, whole = await s.start("one"), await s.start("one")
            await asyncio.sleep(5)
            write_as_another(cluster, LANE, broken.instance_id, steps="none")
            write_as_another(cluster, LANE, whole.instance_id, space="elsewhere")
            cluster.apply(Operation("index", LANE, "stray", b'{"kind":"instance","writer":"replica-z"}'))
            await asyncio.sleep(60)
            assert len(store.gaps) == 1
            # The other instance's write was looked at all the same, and a claim of the broken one is answered.
            async with asyncio.timeout(60):
                claims = [steps for _ in range(2) for steps in await asyncio.gather(s.claim(), return_exceptions=True)]
            (step,) = [step for steps in claims if isinstance(steps, list) for step in steps]
            assert step.workflow_id == whole.instance_id
            await s.complete(step)
            assert documents_space(cluster, whole.instance_id) == "elsewhere"

    run_virtual(main())


def test_a_failed_gap_search_is_made_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = Watched(cluster)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            await s.define(ONE_STEP)
            started = await s.start("one")
            await asyncio.sleep(5)
            store.faults.refuse(503, on="refresh", index=LANE)
            write_as_another(cluster, LANE, started.instance_id, space="elsewhere")
            await asyncio.sleep(10)
            assert len(store.gaps) == 1
            await s.run_all(1)
            assert documents_space(cluster, started.instance_id) == "elsewhere"

    run_virtual(main())


@BOTH
def test_an_idle_replica_of_four_lanes_makes_few_light_requests_and_no_search(pushes: bool) -> None:
    async def main() -> None:
        store = Watched(new_cluster(lanes=4), pushes=pushes)
        async with scheduler(store) as s:
            await until_owned(s, 4)
            await busy(s, 4)
            # What changes of definitions leave is looked for once, a while after them.
            await asyncio.sleep(30)
            before = dict(store.requests)
            await asyncio.sleep(600)
            asked = {name: count - before.get(name, 0) for name, count in store.requests.items()}
            made = {name: count for name, count in asked.items() if count}
            # Of these, requests are what the ageing of history looks at.
            assert made.keys() <= {"checkpoints", "mget", "bulk", "wait_past", "request"}
            assert made["request"] <= 20
            assert sum(made.values()) / 10 / 4 <= (30 if pushes else 50)

    run_virtual(main())


@BOTH
def test_idle_replicas_of_one_lane_each_cost_no_more_the_more_they_are_where_the_cluster_pushes(pushes: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        stores = [Watched(cluster, pushes=pushes) for _ in range(4)]
        async with AsyncExitStack() as stack:
            for n, store in enumerate(stores):
                last = await stack.enter_async_context(scheduler(store, "abcd"[n], seed=n))
                # They renew at times of their own.
                await asyncio.sleep(0.737)
            await asyncio.sleep(30)
            assert len(await owned(last)) == 1
            before = [store.total() for store in stores]
            await asyncio.sleep(600)
            a_minute = [(store.total() - was) / 10 for store, was in zip(stores, before, strict=True)]
            assert max(a_minute) <= (120 if pushes else 270)

    run_virtual(main())


@pytest.mark.parametrize(("pushes", "within_s"), [(True, 0.06), (False, 0.6)], ids=["fleet", "stats"])
def test_a_lane_that_is_given_back_is_taken_at_once_where_the_cluster_pushes(pushes: bool, within_s: float) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        stays, leaves = Watched(cluster, pushes=pushes), Watched(cluster, pushes=pushes)
        async with scheduler(stays, "a") as s:
            async with scheduler(leaves, "b"):
                await asyncio.sleep(31.3)
                assert len(await owned(s)) == 2
            left_at_s = asyncio.get_running_loop().time()
            await until_owned(s, 4)
            assert asyncio.get_running_loop().time() - left_at_s < within_s

    run_virtual(main())


@BOTH
def test_a_dead_replicas_lanes_are_taken_after_the_lease_time_and_not_before(pushes: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        stays, dies = Watched(cluster, pushes=pushes), Watched(cluster, pushes=pushes)
        async with scheduler(stays, "a") as s, scheduler(dies, "b"):
            await asyncio.sleep(31.3)
            dies.faults.cut_off(times=FOREVER)
            await asyncio.sleep(7)
            assert len(await owned(s)) == 2
            await asyncio.sleep(4)
            assert len(await owned(s)) == 4

    run_virtual(main())


@BOTH
def test_a_replica_whose_feed_fails_looks_for_itself(pushes: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        stays, leaves = Watched(cluster, pushes=pushes), Watched(cluster, pushes=pushes)
        async with scheduler(stays, "a") as s:
            async with scheduler(leaves, "b"):
                await asyncio.sleep(30)
                stays.faults.refuse(403, on="checkpoints", times=FOREVER)
                stays.faults.refuse(403, on="wait_past", times=FOREVER)
                await asyncio.sleep(30)
                assert len(await owned(s)) == 2
            await asyncio.sleep(1)
            assert len(await owned(s)) == 4

    run_virtual(main())


@BOTH
def test_nobody_is_taken_for_dead_because_a_feed_says_nothing(pushes: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        hears, lives = Watched(cluster, pushes=pushes), Watched(cluster, pushes=pushes)
        async with scheduler(hears, "a") as s, scheduler(lives, "b") as other:
            await asyncio.sleep(31.3)
            epochs = {lane.lane: lane.epoch for lane in await other.replica.lanes()}
            silent = hears.faults.hold("before", on="wait_past" if pushes else "checkpoints")
            await silent.reached()
            await asyncio.sleep(120)
            assert [view.replica for view in await s.replica.replicas()] == ["a", "b"]
            assert {lane.lane: lane.epoch for lane in await other.replica.lanes()} == epochs
            assert len(await owned(other)) == 2
            silent.release()

    run_virtual(main())


@pytest.mark.parametrize(("pushes", "within_s"), [(True, 0.06), (False, 0.6)], ids=["fleet", "stats"])
def test_a_version_stored_through_another_replica_is_used_soon(pushes: bool, within_s: float) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        stores = [Watched(cluster, pushes=pushes) for _ in range(2)]
        async with scheduler(stores[0], "a") as first, scheduler(stores[1], "b") as second:
            await asyncio.sleep(10)
            await first.define("name: flow\nversion: 1\nsteps: [{name: only, executor: work}]\n")
            assert (await second.start("flow")).version == 1
            await asyncio.sleep(10)
            await first.define("name: flow\nversion: 2\nsteps: [{name: only, executor: work}]\n")
            await asyncio.sleep(within_s)
            assert (await second.start("flow")).version == 2

    run_virtual(main())


def test_the_interval_is_short_after_a_change_and_long_while_nothing_happens() -> None:
    async def main() -> None:
        store = Watched(new_cluster())
        feed = StatsFeed(SharedLooks(store), NAMES.definitions, shortest_ms=50, longest_ms=500)
        await feed.next_change()
        waiting = asyncio.ensure_future(feed.next_change())
        await asyncio.sleep(60)
        assert 118 <= store.requests["checkpoints"] - 1 <= 120
        other = ModelStore(store.cluster)
        await other.bulk([b'{"index":{"_id":"x"}}', b"{}"], index=NAMES.definitions)
        await waiting
        looks = store.requests["checkpoints"]
        waiting = asyncio.ensure_future(feed.next_change())
        await asyncio.sleep(0.9)
        assert store.requests["checkpoints"] - looks == 4
        assert feed.interval_ms == 500
        waiting.cancel()

    run_virtual(main())


def test_what_is_looked_at_in_one_moment_is_one_request() -> None:
    async def main() -> None:
        store = Watched(new_cluster(lanes=4))
        looks = SharedLooks(store)
        found = await asyncio.gather(*(looks.look(index) for index in (*LANES, NAMES.control)), looks.look_at(LANES))
        assert len(found) == 6
        assert store.requests == {"checkpoints": 1}

    run_virtual(main())


def test_which_feed_is_in_use_stands_in_the_metrics() -> None:
    async def main() -> None:
        store = Watched(new_cluster(), pushes=True)
        async with scheduler(store, settings=Settings(lanes=LaneSettings(lanes=1))) as s:
            await until_owned(s, 1)
            text = s.replica._engine.metrics.exposition().decode()
            assert 'leasehold_change_feed_in_use{feed="fleet",index="workflow-control"} 1.0' in text

    run_virtual(main())
