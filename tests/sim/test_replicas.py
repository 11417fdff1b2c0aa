"""Several replicas: they share the lanes out, hand over, and strike off the dead (`core.lanes.ownership.control`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack

import msgspec

from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import ONE_STEP, ROUND_TRIP_S, SETTINGS, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

FOUR_LANES = msgspec.structs.replace(SETTINGS, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=4))
FOREVER = 1_000_000_000


async def replicas(stack: AsyncExitStack, cluster: ModelElasticsearch, names: Iterable[str]) -> list[Scheduler]:
    return [
        await stack.enter_async_context(scheduler(cluster, settings=FOUR_LANES, replica_id=name, seed=n, owning=False))
        for n, name in enumerate(names)
    ]


async def owned(replica: Scheduler) -> set[str]:
    return {lane.lane for lane in await replica.replica.lanes() if lane.mine}


def test_lanes_are_shared_out_evenly_and_each_has_one_owner() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            first, second = await replicas(stack, new_cluster(lanes=4), "ab")
            await asyncio.sleep(10)
            shares = [await owned(first), await owned(second)]
            assert [len(share) for share in shares] == [2, 2]
            assert shares[0] | shares[1] == {"00", "01", "02", "03"}

    run_virtual(main())


def test_a_hand_over_answers_what_is_under_way_and_loses_nothing() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        async with AsyncExitStack() as stack:
            (first,) = await replicas(stack, cluster, "a")
            await asyncio.sleep(1)
            await first.define(ONE_STEP)
            started = [await first.start("one") for _ in range(40)]
            (second,) = await replicas(stack, cluster, "b")
            await asyncio.sleep(6)
            assert len(await owned(first)) == len(await owned(second)) == 2
            done: set[str] = set()
            for replica in (first, second):
                while steps := await replica.claim(max_steps=10):
                    for step in steps:
                        assert await replica.complete(step) == "succeeded"
                        done.add(step.workflow_id)
            assert done == {answer.instance_id for answer in started}

    run_virtual(main())


def test_a_replica_that_leaves_in_order_is_gone_from_the_members_and_its_lanes_are_taken_within_a_second() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        async with AsyncExitStack() as stack:
            (stays,) = await replicas(stack, cluster, "a")
            async with AsyncExitStack() as leaving:
                await replicas(leaving, cluster, "b")
                await asyncio.sleep(10)
                assert len(await owned(stays)) == 2
            await asyncio.sleep(1)
            assert len(await owned(stays)) == 4
            assert documents(cluster, "workflow-control")["replicas"]["replicas"] == ["a"]
            assert [view.replica for view in await stays.replica.replicas()] == ["a"]

    run_virtual(main())


def test_a_dead_replicas_lanes_are_taken_after_the_lease_and_it_is_struck_off() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        async with AsyncExitStack() as stack:
            stays, dies = await replicas(stack, cluster, "ab")
            await asyncio.sleep(10)
            dies.faults.cut_off(times=FOREVER)
            await asyncio.sleep(7)
            assert len(await owned(stays)) == 2
            await asyncio.sleep(4)
            assert len(await owned(stays)) == 4
            await asyncio.sleep(30)
            assert documents(cluster, "workflow-control")["replicas"]["replicas"] == ["a"]
            assert "replica-b" not in documents(cluster, "workflow-control")
            assert [view.replica for view in await stays.replica.replicas()] == ["a"]

    run_virtual(main())


def test_a_lease_document_that_is_gone_costs_its_lane_and_nothing_else() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        async with scheduler(cluster, settings=FOUR_LANES) as s:
            await asyncio.sleep(3)
            del cluster.indices["workflow-control"].documents["lane-02"]
            renewals = documents(cluster, "workflow-control")["replica-replica-a"]["renewals"]
            await asyncio.sleep(10)
            assert await owned(s) == {"00", "01", "03"}
            assert documents(cluster, "workflow-control")["replica-replica-a"]["renewals"] > renewals
            await s.define(ONE_STEP)
            await s.start("one")
            await s.run_all(1)

    run_virtual(main())


def test_replicas_that_start_at_the_same_moment_agree() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        async with AsyncExitStack() as stack:
            started = await asyncio.gather(*(replicas(stack, cluster, name) for name in "abc"))
            await asyncio.sleep(15)
            shares = [await owned(replica) for (replica,) in started]
            assert sorted(len(share) for share in shares) == [1, 1, 2]
            assert set.union(*shares) == {"00", "01", "02", "03"}

    run_virtual(main())


def test_an_idle_replica_asks_little_of_elasticsearch_and_searches_never() -> None:
    async def main() -> None:
        async with scheduler(new_cluster(lanes=4), settings=FOUR_LANES) as s:
            await s.define(ONE_STEP)
            # What changes of definitions leave is looked for once, a while after them.
            await asyncio.sleep(30)
            before = dict(s.store.requests)
            await asyncio.sleep(60)
            asked = {operation: count - before.get(operation, 0) for operation, count in s.store.requests.items()}
            assert asked["search"] == 0
            assert sum(asked.values()) <= 4 * 120

    run_virtual(main())


def test_a_lane_whose_take_over_fails_is_taken_again() -> None:
    async def main() -> None:
        store = ModelStore(new_cluster(), latency_s=lambda: ROUND_TRIP_S / 2)
        store.faults.refuse(503, on="checkpoint", index="workflow-lane-00")
        async with scheduler(store.cluster, store=store) as s:
            (lane,) = await s.replica.lanes()
            assert (lane.mine, lane.epoch) == (True, 2)

    run_virtual(main())


def _gives_back(operation: Operation) -> bool:
    return operation.id.startswith("lane-") and b'"owner":null' in (operation.source or b"")


def test_a_lane_whose_giving_back_fails_is_not_renewed_and_taken_when_its_lease_has_run_out() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            cluster = new_cluster(lanes=4)
            (first,) = await replicas(stack, cluster, "a")
            await asyncio.sleep(1)
            first.faults.fail_items(503, fits=_gives_back, times=2)
            (second,) = await replicas(stack, cluster, "b")
            await asyncio.sleep(20)
            assert first.faults.injected == {"fail_items": 2}
            assert len(await owned(first)) == len(await owned(second)) == 2

    run_virtual(main())


def test_a_lane_that_is_given_up_while_its_renewal_is_under_way_is_taken_again() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            engine = s.replica._engine
            renewal = s.faults.hold("before", on="bulk", index="workflow-control")
            await renewal.reached()
            engine.lane_lost(engine.lanes["00"], "its memory is in doubt")
            renewal.release()
            await asyncio.sleep(3)
            (lane,) = await s.replica.lanes()
            assert (lane.mine, lane.epoch, engine.lanes["00"].open) == (True, 2, True)

    run_virtual(main())
