"""Refusals on their way into the audit trail: counted, bounded, within a minute, and not lost at an orderly end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from leasehold.core.access.refusals import COLLECT_MS, DISTINCT_MAX, DISTINCT_OF_ONE_MAX
from leasehold.core.errors import NotFound
from leasehold.core.metrics import Metrics
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import ANYBODY, ONE_STEP, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

AUDIT = "workflow-audit"
CONCRETE = "workflow-audit-000001"
EVE = Principal("eve", "globex", roles=("reader",), address="10.0.0.7")
MINUTE_S = 60.0


def rows(cluster: ModelElasticsearch) -> list[dict[str, Any]]:
    return [row for id, row in sorted(documents(cluster, AUDIT).items()) if id.startswith("refused:")]


async def refused(s: Scheduler, id: str, principal: Principal = EVE) -> None:
    with pytest.raises(NotFound):
        await s.replica.instance(principal, id)


def dropped(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("leasehold_access_refusals_dropped_total") or 0.0


def test_a_row_says_who_asked_for_what_when_and_from_where_and_belongs_to_the_owner() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await refused(s, id)
            await asyncio.sleep(MINUTE_S)
            (row,) = rows(cluster)
            del row["@timestamp"], row["chain"]
            assert row == {
                "event": {"action": "get_instance", "outcome": "failure", "reason": "another tenant's"},
                "user": {"name": "eve", "roles": ["reader"], "tenant": "globex", "space": ["default"]},
                "source": {"ip": "10.0.0.7"},
                "workflow": {"id": id, "name": "one", "version": 1},
                "tenant": "acme",
                "space": "default",
                "details": {"kind": "instance", "id": id, "count": 1},
            }

    run_virtual(main())


def test_repeats_within_a_minute_are_one_row_that_counts_them() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            for _ in range(40):
                await refused(s, id)
                await asyncio.sleep(1)
            await asyncio.sleep(MINUTE_S)
            (row,) = rows(cluster)
            assert row["details"]["count"] == 40
            await refused(s, id)
            await asyncio.sleep(MINUTE_S)
            assert [row["details"]["count"] for row in rows(cluster)] == [40, 1]

    run_virtual(main())


def test_a_row_stands_within_a_minute_of_what_it_tells_and_nobody_waits_for_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            bulk = s.faults.hold("before", on="bulk", index=CONCRETE)
            await refused(s, id)
            assert rows(cluster) == []
            await asyncio.sleep(COLLECT_MS / 1_000 + 0.1)
            await bulk.reached()
            await refused(s, id)
            bulk.release()
            # With 5 s for the refresh that makes it visible.
            await asyncio.sleep(MINUTE_S - COLLECT_MS / 1_000 - 5)
            assert [row["details"]["count"] for row in rows(cluster)] == [1]
            await asyncio.sleep(MINUTE_S)
            assert [row["details"]["count"] for row in rows(cluster)] == [1, 1]

    run_virtual(main())


def test_a_flood_of_one_caller_leaves_few_rows_and_one_that_counts_the_rest() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            for n in range(50_000):
                s.replica.refused(EVE, "drain_lane", "lane", str(n), "no")
            for n in range(3):
                s.replica.refused(ANYBODY, "drain_lane", "lane", str(n), "no")
            await asyncio.sleep(MINUTE_S)
            counts = [row["details"]["count"] for row in rows(cluster) if row["user"]["name"] == "eve"]
            assert (len(counts), sum(counts)) == (DISTINCT_OF_ONE_MAX + 1, 50_000)
            (rest,) = (row for row in rows(cluster) if row["event"]["action"] == "several")
            assert rest["details"]["count"] == 50_000 - DISTINCT_OF_ONE_MAX
            assert sum(row["user"]["name"] == ANYBODY.name for row in rows(cluster)) == 3

    run_virtual(main())


def test_a_flood_of_many_callers_is_bounded_and_what_is_dropped_is_counted() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            for n in range(DISTINCT_MAX + 7):
                s.replica.refused(Principal("x", f"tenant-{n}"), "drain_lane", "lane", "00", "no")
            await asyncio.sleep(MINUTE_S)
            assert len(rows(cluster)) == DISTINCT_MAX
            assert dropped(metrics) == 7

    run_virtual(main())


def test_while_the_trail_can_not_be_written_refusals_wait_and_are_written_once() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            s.replica.refused(EVE, "drain_lane", "lane", "00", "no")
            s.faults.lose_answer(on="bulk", index=CONCRETE, times=2)
            await asyncio.sleep(2 * MINUTE_S)
            s.replica.refused(EVE, "drain_lane", "lane", "01", "no")
            await asyncio.sleep(3 * MINUTE_S)
            assert [row["details"]["id"] for row in rows(cluster)] == ["00", "01"]

    run_virtual(main())


def test_at_an_orderly_end_what_waits_is_written() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            s.replica.refused(EVE, "drain_lane", "lane", "00", "no")
        assert len(rows(cluster)) == 1
        assert dropped(metrics) == 0

    run_virtual(main())


def test_an_end_does_not_wait_for_a_store_that_is_gone() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        store = ModelStore(cluster)
        loop = asyncio.get_running_loop()
        async with scheduler(cluster, metrics=metrics, store=store) as s:
            s.replica.refused(EVE, "drain_lane", "lane", "00", "no")
            s.faults.hold("before", on="bulk", index=CONCRETE)
            await s.replica.leave()
            ending_s = loop.time()
        assert loop.time() - ending_s < 5
        assert rows(cluster) == []
        assert dropped(metrics) == 1

    run_virtual(main())
