"""Units go where work is: one busy lane may use all of a quota, and where many want them they go round."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.ids import lane_of

from tests.kit.schedulers import NAMES, Scheduler
from tests.kit.virtual_time import run_virtual

from .ground import quota_documents, several, shares, watched


async def work(s: Scheduler, *, takes_s: float, ended: list[ClaimedStep]) -> None:
    """An executor at this replica, for ever."""
    while True:
        for step in await s.claim(wait_ms=10_000):
            await asyncio.sleep(takes_s)
            await s.complete(step)
            ended.append(step)


async def all_end(
    crowd: list[Scheduler], count: int, *, takes_s: float, within_s: float, each: int = 2
) -> list[ClaimedStep]:
    """Let executors work at all replicas until so many steps have ended. Raises: TimeoutError."""
    ended: list[ClaimedStep] = []
    tasks = [asyncio.create_task(work(s, takes_s=takes_s, ended=ended)) for s in crowd for _ in range(each)]
    try:
        async with asyncio.timeout(within_s):
            while len(ended) < count:
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return ended


def test_one_busy_lane_may_use_the_whole_quota() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=8)
        async with several(cluster) as (first, _second):
            for _ in range(20):
                await first.start("one")
            steps: list[ClaimedStep] = []
            async with asyncio.timeout(2):
                while len(steps) < 8:
                    steps += await first.claim(max_steps=20, wait_ms=50)
            assert len({lane_of(step.workflow_id) for step in steps}) == 1
            assert await first.claim(max_steps=20, wait_ms=1_000) == []
            assert cluster.most == cluster.leased == 8
            assert cluster.wrong == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("limit", "takes_s", "starts"), [(1, 0.0, 250), (1, 0.3, 30), (2, 0.05, 60), (3, 0.05, 60), (5, 0.2, 30)]
)
def test_with_fewer_units_than_lanes_they_go_round_and_nobody_starves(limit: int, takes_s: float, starts: int) -> None:
    async def main() -> None:
        cluster = watched(lanes=4)
        cluster.limit(max_running_steps=limit)
        async with several(cluster, replicas=3, lanes=4) as crowd:
            for _ in range(starts):
                for s in crowd:
                    await s.start("one")
            count = 3 * starts
            ended = await all_end(crowd, count, takes_s=takes_s, within_s=count * (takes_s + 0.03) / limit + 3, each=4)
            assert cluster.most == limit
            assert cluster.wrong == []
            last: dict[str, int] = {}
            for place, step in enumerate(ended):
                last[lane_of(step.workflow_id) or ""] = place
            # Nobody has to wait until the others are done: a turn takes some hundred milliseconds.
            assert len(last) >= 3
            assert min(last.values()) > count / 2

    run_virtual(main())


def test_units_that_nobody_uses_go_back_and_then_nothing_is_asked() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=8)
        async with several(cluster) as crowd:
            for s in crowd:
                for _ in range(3):
                    await s.start("one")
            await all_end(crowd, 6, takes_s=0.1, within_s=10)
            await asyncio.sleep(2)
            assert shares(cluster) == {}
            writes = cluster.quota_writes
            before = [sum(s.store.requests.get(kind, 0) for kind in ("get", "mget")) for s in crowd]
            await asyncio.sleep(60)
            assert cluster.quota_writes == writes
            after = [sum(s.store.requests.get(kind, 0) for kind in ("get", "mget")) for s in crowd]
            # The leases are kept up, and nothing else.
            assert max(b - a for a, b in zip(before, after, strict=True)) <= 130

    run_virtual(main())


def test_without_limits_nothing_is_written_or_asked() -> None:
    async def main() -> None:
        cluster = watched()
        async with several(cluster) as crowd:
            for s in crowd:
                await s.start("one")
            await all_end(crowd, 2, takes_s=0.1, within_s=5)
            assert cluster.quota_writes == 0
            assert quota_documents(cluster) == {}

    run_virtual(main())


def test_units_of_an_idle_owner_come_within_a_second_or_so() -> None:
    """The first lane has used all of the quota, and just now uses nothing."""

    async def main() -> None:
        cluster = watched()
        cluster.limit(max_running_steps=4)
        async with several(cluster) as (first, second):
            for _ in range(8):
                await first.start("one")
            await all_end([first], 8, takes_s=0.05, within_s=5, each=4)
            await second.start("one")
            async with asyncio.timeout(1):
                await second.claim_one()

    run_virtual(main())


def test_a_lane_that_is_refused_while_its_part_of_a_rate_is_being_given_away_gets_it_back() -> None:
    async def main() -> None:
        cluster = watched()
        cluster.limit(claim_rate={"per_s": 2, "burst": 1})
        async with several(cluster) as (first, second):
            await first.start("one")
            await first.complete(await first.claim_one())
            await asyncio.sleep(2)
            await second.start("one")
            giving = first.faults.hold("before", on="bulk", index=NAMES.control)
            others = asyncio.create_task(second.claim_one())
            await giving.reached()
            await first.start("one")
            own = asyncio.create_task(first.claim_one())
            await asyncio.sleep(0.01)
            giving.release()
            async with asyncio.timeout(10):
                await asyncio.gather(own, others)

    run_virtual(main())
