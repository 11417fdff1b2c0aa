"""Usage adds up to the row, whatever happened to the work and to those who count."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from leasehold.core.settings import HistorySettings, LaneSettings, Settings

from tests.kit.schedulers import Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, VirtualClock, run_virtual
from tests.sim.usage.adding import check_same, of_history, of_usage
from tests.sim.usage.load import bring_back, define, start, work

TO_MIDNIGHT_MS = 86_400_000 - EPOCH_MS % 86_400_000
TWO_LANES = Settings(lanes=LaneSettings(lanes=2), history=HistorySettings(refresh_every_ms=500))


@pytest.mark.parametrize("seed", range(3))
def test_usage_documents_are_the_sums_of_the_rows_after_random_work_around_midnight(seed: int) -> None:
    async def main() -> None:
        random = Random(seed)
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster, settings=TWO_LANES, clock=VirtualClock(TO_MIDNIGHT_MS - 30_000)) as s:
            await define(s)
            ids: list[str] = []

            async def begin() -> None:
                for _ in range(30):
                    ids.append(await start(s, random) or "")
                    await asyncio.sleep(random.random() * 2)

            await asyncio.gather(begin(), work(s, random), work(s, random))
            await bring_back(s, ids, random)
            await work(s, random)
            await asyncio.sleep(30)

        rows = of_history(cluster)
        assert len({day for _, _, day in rows}) == 2
        assert sum(one["retries"] for one in rows.values()) > 5
        assert sum(one["attempts"] for one in rows.values()) > 150
        check_same(rows, of_usage(cluster))

    run_virtual(main())


@pytest.mark.parametrize("seed", range(3))
def test_usage_adds_up_though_the_replicas_that_count_die_one_after_the_other(seed: int) -> None:
    async def main() -> None:
        random = Random(seed)
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster, settings=TWO_LANES) as s:
            await define(s)
        for number in range(4):
            async with scheduler(cluster, settings=TWO_LANES, replica_id=f"r{number}", seed=seed * 10 + number) as s:
                await asyncio.gather(*(start(s, random) for _ in range(8)))
                working = asyncio.create_task(work(s, random))
                await asyncio.sleep(5 + random.random() * 20)
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
                _kill(s)
        async with scheduler(cluster, settings=TWO_LANES, replica_id="last", seed=seed) as s:
            await work(s, random)
            await asyncio.sleep(30)

        rows = of_history(cluster)
        assert sum(one["attempts"] for one in rows.values()) > 100
        check_same(rows, of_usage(cluster))

    run_virtual(main())


def _kill(s: Scheduler) -> None:
    """From here on nothing of it reaches Elasticsearch."""
    s.faults.cut_off(times=10**9)
