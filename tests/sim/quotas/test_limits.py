"""A limit that is raised, lowered, set or lifted is obeyed within two seconds; lanes come, go and are handed over."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import LeaseholdError

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import Scheduler
from tests.kit.virtual_time import run_virtual

from .ground import STEPS, Watched, member, quota_documents, several, shares, watched
from .test_accidents import all_end, work

OBEYED_S = 2.0


async def claim_all(crowd: list[Scheduler], for_s: float) -> list[ClaimedStep]:
    """What executors at all replicas are given meanwhile."""
    steps: list[ClaimedStep] = []

    async def claim(s: Scheduler) -> None:
        while True:
            steps.extend(await s.claim(max_steps=20, wait_ms=200))

    tasks = [asyncio.create_task(claim(s)) for s in crowd]
    await asyncio.sleep(for_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return steps


async def started(cluster: Watched, crowd: list[Scheduler], each: int) -> list[str]:
    return [(await s.start("one")).instance_id for s in crowd for _ in range(each)]


def test_a_raised_limit_lets_more_begin() -> None:
    async def main() -> None:
        cluster = watched(lanes=4)
        cluster.limit(max_running_steps=2)
        async with several(cluster, lanes=4) as crowd:
            await started(cluster, crowd, 10)
            await claim_all(crowd, 2)
            assert cluster.leased == cluster.most == 2
            cluster.limit(max_running_steps=9)
            await claim_all(crowd, OBEYED_S)
            assert cluster.leased == cluster.most == 9
            assert cluster.wrong == []

    run_virtual(main())


def test_below_a_lowered_limit_nothing_begins_until_enough_has_ended() -> None:
    async def main() -> None:
        cluster = watched(lanes=4)
        cluster.limit(max_running_steps=10)
        async with several(cluster, lanes=4) as crowd:
            await started(cluster, crowd, 15)
            running = await claim_all(crowd, 2)
            assert cluster.leased == len(running) == 10
            cluster.limit(max_running_steps=3)
            await asyncio.sleep(OBEYED_S)
            cluster.most = 0
            for step in running[:7]:
                await crowd[0].complete(step)
                assert await claim_all(crowd, 0.3) == []
            assert cluster.leased == 3
            await crowd[0].complete(running[7])
            assert len(await claim_all(crowd, 3)) == 1
            assert cluster.leased == 3
            assert cluster.wrong == []

    run_virtual(main())


def test_a_new_limit_counts_what_runs_already() -> None:
    async def main() -> None:
        cluster = watched(lanes=2)
        async with several(cluster) as (first, second):
            await started(cluster, [first, second], 10)
            running = [*await first.claim(max_steps=4, wait_ms=100), *await second.claim(max_steps=2, wait_ms=100)]
            cluster.limit(max_running_steps=5)
            await asyncio.sleep(OBEYED_S)
            assert await claim_all([first, second], 1) == []
            for step in running[:2]:
                await first.complete(step)
            assert len(await claim_all([first, second], 3)) == 1
            assert cluster.leased == 5
            assert cluster.most == 6

    run_virtual(main())


def test_a_limit_that_is_lifted_leaves_no_document() -> None:
    async def main() -> None:
        cluster = watched(lanes=2)
        cluster.limit(max_running_steps=2)
        async with several(cluster) as crowd:
            await started(cluster, crowd, 10)
            await claim_all(crowd, 1)
            assert sum(shares(cluster).values()) == 2
            cluster.limit()
            await claim_all(crowd, OBEYED_S)
            assert cluster.leased == 20
            assert quota_documents(cluster) == {}

    run_virtual(main())


def test_a_limit_of_none_lets_nothing_begin() -> None:
    async def main() -> None:
        cluster = watched(lanes=2)
        cluster.limit(max_running_steps=0)
        async with several(cluster) as crowd:
            await started(cluster, crowd, 3)
            assert await claim_all(crowd, 3) == []
            writes = cluster.quota_writes
            cluster.limit(max_running_steps=1)
            await claim_all(crowd, OBEYED_S)
            assert cluster.leased == 1
            assert writes <= 2

    run_virtual(main())


@pytest.mark.parametrize("seconds", [2, 5])
def test_a_rate_is_never_exceeded_and_one_busy_lane_may_use_all_of_it(seconds: int) -> None:
    async def main() -> None:
        cluster = watched(lanes=2)
        cluster.limit(claim_rate={"per_s": 10, "burst": 4})
        async with several(cluster) as (first, second):
            await started(cluster, [first], 70)
            assert len(await claim_all([first], 0.1)) in (4, 5)
            got = len(await claim_all([first], seconds))
            assert 10 * seconds - 3 <= got <= 10 * seconds + 1
            await started(cluster, [second], 70)
            both = len(await claim_all([first, second], seconds))
            assert 10 * seconds * 0.8 - 4 <= both <= 10 * seconds + 1

    run_virtual(main())


def test_the_unit_of_a_rate_with_a_burst_of_one_goes_round() -> None:
    async def main() -> None:
        cluster = watched(lanes=4)
        cluster.limit(claim_rate={"per_s": 20, "burst": 1})
        async with several(cluster, lanes=4) as crowd:
            await started(cluster, crowd, 60)
            steps = await claim_all(crowd, 5)
            assert 60 <= len(steps) <= 101
            by_lane = [sum(step.workflow_id.startswith(lane) for step in steps) for lane in ("00", "01", "02", "03")]
            assert min(by_lane) >= 5

    run_virtual(main())


def test_lanes_are_added_drained_and_removed_under_a_limit() -> None:
    async def main() -> None:
        cluster = watched(lanes=2)
        cluster.limit(max_running_steps=2)
        peers = ModelPeers()
        async with several(cluster, peers=peers) as (first, second):
            tasks = [asyncio.create_task(work(s)) for s in (first, second)]
            ids = await started(cluster, [first, second], 10)
            await first.replica.add_lanes(2)
            await asyncio.sleep(3)
            ids += await started(cluster, [first, second], 10)
            await first.replica.drain_lane("00")
            async with member(cluster, peers, 7, lanes=2) as third:
                await asyncio.sleep(12)
                ids += await started(cluster, [first, second, third], 5)
                with suppress(LeaseholdError):
                    await first.replica.remove_lane("00", early=True)
                await all_end(first, ids, 90)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(3)
            assert cluster.most == 2
            assert cluster.wrong == []
            assert "00" not in shares(cluster, STEPS)

    run_virtual(main())
