"""Admission narrows when Elasticsearch is slow or pushes back, and widens again: the replica on the model."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from leasehold.claim.wire import HeartbeatBody, StartItem, StartResult
from leasehold.core.errors import QuotaExceeded, Unavailable
from leasehold.core.metrics import Metrics
from leasehold.core.settings import CommitSettings

from tests.kit.schedulers import ANYBODY, LANE, ONE_STEP, SETTINGS, Scheduler, live, new_cluster, scheduler
from tests.kit.slow_server import SlowServer
from tests.kit.virtual_time import run_virtual

HEALTHY_PER_S = 2_000.0
SLOW_PER_S = 40.0
BATCH = 50
BATCHES_PER_S = 5


class Load:
    """Batches of starts at a fixed rate, whatever becomes of those before."""

    def __init__(self, s: Scheduler, metrics: Metrics) -> None:
        self._s = s
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self.acknowledged: list[str] = []
        self.refused = 0
        self.waiting = 0
        self.most_waiting = 0

    async def run(self, seconds: float) -> None:
        for _ in range(int(seconds * BATCHES_PER_S)):
            task = asyncio.create_task(self._batch())
            self._tasks.add(task)
            await asyncio.sleep(1 / BATCHES_PER_S)
            self.waiting = int(reading(self._metrics, "leasehold_starts_under_way"))
            self.most_waiting = max(self.most_waiting, self.waiting)

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _batch(self) -> None:
        try:
            results = await start_many(self._s, BATCH)
        except QuotaExceeded:
            self.refused += BATCH
            return
        self.acknowledged += [result.instance_id or "" for result in results if result.code == 201]
        self.refused += sum(result.code == 429 for result in results)


async def start_many(s: Scheduler, count: int) -> list[StartResult]:
    return await s.replica.start_many(ANYBODY, [StartItem(workflow="one") for _ in range(count)], traceparent=None)


def reading(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_a_server_that_becomes_slow_has_few_starts_waiting_and_soon_refuses_none_when_it_is_well_again() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        store = SlowServer(cluster, index=LANE, per_s=HEALTHY_PER_S)
        async with scheduler(cluster, store=store, metrics=metrics) as s:
            await s.define(ONE_STEP)
            load = Load(s, metrics)
            await load.run(4)
            assert load.refused == 0
            store.per_s = SLOW_PER_S
            await load.run(15)
            assert load.most_waiting < 2_000
            load.most_waiting = 0
            await load.run(15)
            # Some seconds' worth of what the server takes now, and not a start more however long it lasts.
            assert load.most_waiting < 1_000
            assert load.refused > 15 * BATCH
            store.per_s = HEALTHY_PER_S
            await load.run(8)
            refused = load.refused
            await load.run(5)
            assert load.refused == refused
            await load.end()
            assert set(load.acknowledged) <= set(live(cluster))
            assert len(load.acknowledged) + load.refused == 47 * BATCHES_PER_S * BATCH
            assert reading(metrics, "leasehold_starts_refused_total", quota="store") == load.refused
            assert reading(metrics, "leasehold_starts_under_way") == 0

    run_virtual(main())


def test_callers_at_full_speed_are_never_refused_by_a_healthy_server() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        store = SlowServer(cluster, index=LANE, per_s=HEALTHY_PER_S)
        async with scheduler(cluster, store=store, metrics=metrics) as s:
            await s.define(ONE_STEP)
            until_s = asyncio.get_running_loop().time() + 2

            async def caller(size: int) -> int:
                taken = 0
                while asyncio.get_running_loop().time() < until_s:
                    results = await start_many(s, size)
                    assert all(result.code == 201 for result in results)
                    taken += size
                return taken

            taken = await asyncio.gather(*(caller(100) for _ in range(8)), caller(1_000), caller(1))
            assert sum(taken) > HEALTHY_PER_S
            assert reading(metrics, "leasehold_starts_limit") == SETTINGS.commit.unacknowledged_max_starts

    run_virtual(main())


def test_while_elasticsearch_pushes_back_work_goes_on_and_afterwards_starts_come_in_again_within_seconds() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            await s.define(ONE_STEP)
            load = Load(s, metrics)
            await load.run(5)
            step = await s.claim_one()
            s.faults.refuse(429, on="bulk", index=LANE, times=1_000_000)
            await load.run(10)
            waiting = load.waiting
            assert waiting <= BATCH
            beat = await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())
            assert beat.lease_ttl_ms > 0
            done = asyncio.create_task(s.complete(step))
            await asyncio.sleep(0.1)
            assert not done.done()
            s.faults.clear()
            assert await done == "succeeded"
            await load.run(6)
            refused = load.refused
            await load.run(5)
            assert load.refused == refused
            await load.end()
            assert {*load.acknowledged} - {step.workflow_id} <= set(live(cluster))

    run_virtual(main())


def test_a_bulk_of_starts_is_taken_as_far_as_there_is_room() -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(SETTINGS, commit=CommitSettings(unacknowledged_max_starts=150))
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, settings=settings, metrics=metrics) as s:
            await s.define(ONE_STEP)
            first = asyncio.create_task(start_many(s, 100))
            second = asyncio.create_task(start_many(s, 100))
            third = asyncio.create_task(start_many(s, 100))
            assert [result.code for result in await first] == [201] * 100
            results = await second
            assert [result.code for result in results] == [201] * 50 + [429] * 50
            problem = results[-1].problem
            assert problem is not None
            assert (problem.quota, problem.retry_after_s) == ("store", 1.0)
            with pytest.raises(QuotaExceeded, match="150 starts wait"):
                await third
            assert len(live(cluster)) == 150
            assert [result.code for result in await start_many(s, 100)] == [201] * 100

    run_virtual(main())


def test_a_start_whose_caller_has_left_counts_until_it_is_acknowledged() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            await s.define(ONE_STEP)
            held = s.faults.hold("before", on="bulk", index=LANE)
            start = asyncio.create_task(s.start("one"))
            await held.reached()
            start.cancel()
            await asyncio.sleep(1)
            assert reading(metrics, "leasehold_starts_under_way") == 1
            held.release()
            await asyncio.sleep(1)
            assert reading(metrics, "leasehold_starts_under_way") == 0
            assert len(live(cluster)) == 1

    run_virtual(main())


def test_starts_that_fail_or_repeat_or_lose_their_lane_are_no_longer_under_way() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            await s.define(ONE_STEP)
            results = await s.replica.start_many(
                ANYBODY, [StartItem(workflow="none"), StartItem(workflow="one")], traceparent=None
            )
            assert [result.code for result in results] == [404, 201]
            await s.start("one", key="k")
            await s.start("one", key="k")
            s.faults.refuse(403, on="bulk", index=LANE, times=1_000_000)
            start = asyncio.create_task(s.start("one"))
            await asyncio.sleep(1)
            assert reading(metrics, "leasehold_starts_under_way") == 1
        (outcome,) = await asyncio.gather(start, return_exceptions=True)
        assert isinstance(outcome, Unavailable)
        del start, outcome
        assert reading(metrics, "leasehold_starts_under_way") == 0

    run_virtual(main())
