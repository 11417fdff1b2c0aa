"""Delivery of history and the end of finished documents (`core.lanes.history`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from leasehold.core.errors import QuotaExceeded
from leasehold.core.lanes.codec import OutboxEntry
from leasehold.core.lanes.memory.resident import Resident
from leasehold.core.lanes.records import Records
from leasehold.core.metrics import Metrics
from leasehold.core.settings import HistorySettings

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import ANYBODY, LANE, ONE_STEP, SETTINGS, TWO_STEPS, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

STEPS = "workflow-steps"
STEPS_1 = "workflow-steps-000001"
INSTANCES = "workflow-instances"

RETRYING = """
name: retrying
steps:
  - {name: only, executor: work, retry: {max: 400, backoff: constant, initial: 1s, jitter: none}}
"""


def rows(cluster: ModelElasticsearch, alias: str) -> list[str]:
    """The ids of all rows behind an alias: a row that stands twice is listed twice."""
    return sorted(document for one in cluster.resolve(alias) for document in one.documents)


def test_a_finished_instance_leaves_its_rows_in_history_and_nothing_in_the_lane() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            await s.run_all(2)
            await asyncio.sleep(2)
            assert rows(cluster, STEPS) == [f"{id}:first:1", f"{id}:second:1"]
            assert rows(cluster, INSTANCES) == [id]
            assert list(cluster.indices[LANE].documents) == ["fence"]
            row = documents(cluster, STEPS)[f"{id}:second:1"]
            assert row["step"]["input"] == '{"got":{"by":"first"}}'
            assert row["step"]["outcome"] == "succeeded"

    run_virtual(main())


def test_an_instance_can_be_read_by_id_at_every_moment() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await s.run_all(1)
            for _ in range(2_000):
                assert await s.status(id) == "succeeded"
                await asyncio.sleep(0.0013)

    run_virtual(main())


def test_a_record_is_written_only_after_the_document_that_names_it_and_its_index() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            step = await s.claim_one()
            commit = s.faults.hold("before", on="bulk", index=LANE)
            completion = asyncio.create_task(s.complete(step))
            await commit.reached()
            await asyncio.sleep(5)
            assert rows(cluster, STEPS) == []
            delivery = s.faults.hold("before", on="bulk", index=STEPS_1)
            commit.release()
            await completion
            await delivery.reached()
            ((kind, index, record),) = (entry[:3] for entry in live(cluster)[id]["outbox"])
            assert (kind, index, record["path"]) == ("step", STEPS_1, "first")
            delivery.release()

    run_virtual(main())


def test_a_repeat_across_a_rollover_does_not_write_a_record_twice() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            held = s.faults.hold("after", on="bulk", index=STEPS_1)
            await s.run_all(1)
            await held.reached()
            for alias in (STEPS, INSTANCES):
                cluster.roll_over(alias)
            s.faults.cut_off(times=1_000_000)
            held.release()
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(5)
            assert rows(cluster, STEPS) == [f"{id}:only:1"]
            assert rows(cluster, INSTANCES) == [id]
            assert live(cluster) == {}

    run_virtual(main())


def test_records_for_an_index_that_takes_no_more_writes_go_to_the_one_that_does_after_the_document_says_so() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            cluster.roll_over(STEPS)
            s.faults.fail_items(
                403, "cluster_block_exception", index=STEPS_1, fits=lambda item: item.index == STEPS_1, times=99
            )
            step = await s.claim_one()
            delivery = s.faults.hold("before", on="bulk", index=f"{STEPS}-000002")
            await s.complete(step)
            await delivery.reached()
            assert [entry[1] for entry in live(cluster)[id]["outbox"]] == [f"{STEPS}-000002"]
            delivery.release()
            await s.run_all(1)
            await asyncio.sleep(5)
            assert rows(cluster, STEPS) == [f"{id}:first:1", f"{id}:second:1"]
            assert list(cluster.indices[STEPS_1].documents) == []

    run_virtual(main())


def test_a_delivery_with_an_unknown_outcome_is_repeated_and_meets_itself() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            s.faults.lose_answer(on="bulk", index=STEPS_1, times=2)
            s.faults.refuse(429, on="bulk", index=f"{INSTANCES}-000001", times=1)
            await s.run_all(1)
            await asyncio.sleep(10)
            assert rows(cluster, STEPS) == [f"{id}:only:1"]
            assert rows(cluster, INSTANCES) == [id]
            assert live(cluster) == {}

    run_virtual(main())


def test_a_row_that_history_refuses_is_kept_without_its_payloads() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            s.faults.fail_items(
                400, "document_parsing_exception", index=STEPS_1, fits=lambda item: item.id == f"{id}:only:1"
            )
            await s.run_all(1)
            await asyncio.sleep(5)
            row = documents(cluster, STEPS)[f"{id}:only:1"]
            assert row["stripped"] is True
            assert "output" not in row["step"]
            assert live(cluster) == {}

    run_virtual(main())


def test_a_record_that_cannot_be_made_stays_in_its_outbox_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            broken = (await s.start("one")).instance_id
            fine = (await s.start("one")).instance_id
            made = Records.row

            def row(records: Records, resident: Resident, row_id: str, entry: OutboxEntry) -> bytes:
                if row_id == f"{broken}:only:1":
                    raise ZeroDivisionError
                return made(records, resident, row_id, entry)

            monkeypatch.setattr(Records, "row", row)
            await s.run_all(2)
            await asyncio.sleep(3)
            assert rows(cluster, STEPS) == [f"{fine}:only:1"]
            assert list(live(cluster)) == [broken]
            assert await s.status(broken) == "succeeded"

    run_virtual(main())


def test_admission_closes_while_history_lags_and_opens_when_it_has_caught_up() -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(SETTINGS, history=HistorySettings(lag_max_records=3))
        async with scheduler(new_cluster(), settings=settings) as s:
            await s.define(ONE_STEP)
            s.faults.refuse(429, on="bulk", index=STEPS_1, times=6)
            for _ in range(2):
                await s.start("one")
                await s.run_all(1)
            with pytest.raises(QuotaExceeded, match="history"):
                await s.start("one")
            await asyncio.sleep(60)
            await s.start("one")

    run_virtual(main())


def test_a_long_event_log_leaves_in_parts_and_the_document_stays_small() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(RETRYING)
            id = (await s.start("retrying")).instance_id
            for _ in range(300):
                step = await s.claim_one(wait_ms=600_000)
                await s.fail(step, "flaky", "x" * 200)
            await asyncio.sleep(1)
            assert len(cluster.indices[LANE].documents[id].source) < 60_000
            parts = documents(cluster, "workflow-events")
            assert len(parts) >= 2
            assert sorted(parts) == sorted(f"{id}:events:{n + 1}" for n in range(len(parts)))
            assert len(rows(cluster, STEPS)) == 300

    run_virtual(main())


def test_a_request_to_history_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            started = [await s.start("one", n="x" * 200_000) for _ in range(20)]
            steps = await s.claim(max_steps=20)
            sizes: list[int] = []
            bulk = s.store.bulk

            async def counted(lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000) -> Any:
                if index is None:
                    sizes.append(sum(map(len, lines)))
                return await bulk(lines, index=index, timeout_ms=timeout_ms)

            monkeypatch.setattr(s.store, "bulk", counted)
            await asyncio.gather(*(s.complete(step, "y") for step in steps))
            await asyncio.sleep(10)
            assert [await s.status(one.instance_id) for one in started] == ["succeeded"] * 20
            assert sum(sizes) > 10_000_000
            assert max(sizes) < 6_500_000

    run_virtual(main())


def test_new_records_are_named_for_the_index_that_the_alias_writes_to_by_now() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            ids = []
            for _ in range(4):
                ids.append((await s.start("one")).instance_id)
                await s.run_all(1)
                await asyncio.sleep(5)
                if len(ids) == 1:
                    for alias in (STEPS, INSTANCES):
                        cluster.roll_over(alias)
            assert rows(cluster, STEPS) == sorted(f"{id}:only:1" for id in ids)
            assert f"{ids[0]}:only:1" in cluster.indices[STEPS_1].documents
            assert f"{ids[3]}:only:1" in cluster.indices[f"{STEPS}-000002"].documents
            assert ids[3] in cluster.indices[f"{INSTANCES}-000002"].documents

    run_virtual(main())


@pytest.mark.parametrize("landed", [True, False])
def test_a_record_whose_index_has_gone_is_looked_for_behind_the_alias(landed: bool) -> None:
    """A rolled index may be shrunk or mounted under another name, or be deleted with what it held."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            (s.faults.lose_answer if landed else s.faults.lose_request)(on="bulk", index=STEPS_1)
            held = s.faults.hold("after" if landed else "before", on="bulk", index=STEPS_1)
            await s.run_all(1)
            await held.reached()
            cluster.roll_over(STEPS)
            shrunk = cluster.indices.pop(STEPS_1)
            shrunk.name = f"shrink-{STEPS_1}"
            cluster.indices[shrunk.name] = shrunk
            cluster._aliases[STEPS] = {shrunk.name: False, f"{STEPS}-000002": True}
            held.release()
            await asyncio.sleep(60)
            assert rows(cluster, STEPS) == [f"{id}:only:1"]
            assert (f"{id}:only:1" in shrunk.documents) == landed
            assert live(cluster) == {}

    run_virtual(main())


def test_many_records_for_a_closed_index_are_looked_for_together() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            for _ in range(250):
                await s.start("one")
            cluster.roll_over(STEPS)
            s.faults.fail_items(
                403, "cluster_block_exception", index=STEPS_1, fits=lambda item: item.index == STEPS_1, times=99
            )
            asked = 0
            mget = s.store.mget

            async def counted(index: str, ids: Sequence[str]) -> Any:
                nonlocal asked
                asked += index == STEPS_1
                return await mget(index, ids)

            s.store.mget = counted  # type: ignore[method-assign]
            for step in await s.claim(max_steps=250):
                await s.complete(step)
            await asyncio.sleep(30)
            assert len(rows(cluster, STEPS)) == 250
            assert live(cluster) == {}
            assert asked < 25

    run_virtual(main())


def test_admission_closes_when_one_record_has_waited_too_long_and_metrics_and_explanations_say_so() -> None:
    async def main() -> None:
        metrics = Metrics()
        async with scheduler(new_cluster(), metrics=metrics) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            s.faults.refuse(429, on="bulk", index=STEPS_1, times=1_000)
            await s.run_all(1)
            await asyncio.sleep(50)
            await s.start("one")
            await asyncio.sleep(15)
            with pytest.raises(QuotaExceeded, match=r"history is 2 records and 6\d s behind"):
                await s.start("one")
            lag_s = metrics.registry.get_sample_value("leasehold_history_lag_seconds")
            assert lag_s is not None
            assert 55 < lag_s < 70
            (cause,) = (await s.replica.explain(ANYBODY, id)).causes
            assert cause.cause == "history"
            assert "the oldest since 6" in cause.text
            s.faults.clear()
            await asyncio.sleep(10)
            await s.start("one")
            assert metrics.registry.get_sample_value("leasehold_history_lag_seconds") == 0

    run_virtual(main())


def test_a_record_that_cannot_be_made_closes_no_admission(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            made = Records.row

            def row(records: Records, resident: Resident, row_id: str, entry: OutboxEntry) -> bytes:
                if entry.kind == "step":
                    raise ZeroDivisionError
                return made(records, resident, row_id, entry)

            await s.start("one")
            monkeypatch.setattr(Records, "row", row)
            await s.run_all(1)
            monkeypatch.setattr(Records, "row", made)
            await asyncio.sleep(300)
            await s.start("one")

    run_virtual(main())
