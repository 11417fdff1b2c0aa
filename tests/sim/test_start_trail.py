"""Starts in the audit trail: each stands in one row, whoever dies when, and the lane keeps nothing of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from leasehold.claim.wire import StartBody, StartItem
from leasehold.core.errors import LeaseholdError, OutcomeUnknown
from leasehold.core.ports import BulkItem
from leasehold.core.principal import Principal
from leasehold.core.settings import LaneSettings, Settings

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import ANYBODY, LANE, ONE_STEP, Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

AUDIT = "workflow-audit"
FOREVER = 1_000_000_000


def start_rows(cluster: ModelElasticsearch) -> list[dict[str, Any]]:
    """One that stands in two indices is listed twice."""
    rows = [row for index in cluster.resolve(AUDIT) for row in documents(cluster, index.name).values()]
    return [row for row in rows if row["event"]["action"] == "start"]


def told(cluster: ModelElasticsearch) -> Counter[str]:
    """How many rows tell of the start of each instance."""
    return Counter(id for row in start_rows(cluster) for id in row["workflow"]["id"])


async def start_many(s: Scheduler, count: int, principal: Principal = ANYBODY) -> list[str]:
    results = await s.replica.start_many(principal, [StartItem(workflow="one") for _ in range(count)], traceparent=None)
    return [result.instance_id or "" for result in results]


def test_a_start_is_in_the_trail_with_who_what_when_and_where_from() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            caller = Principal("ada", "acme", ("soc",), ("analyst",), "10.0.0.7")
            answer, _ = await s.replica.start(caller, "one", StartBody(), idempotency_key="k", traceparent=None)
            await asyncio.sleep(5)
            (row,) = start_rows(cluster)
            assert row["workflow"] == {"id": [answer.instance_id], "name": "one", "version": 1}
            assert row["user"] == {"name": "ada", "roles": ["analyst"]}
            assert row["source"] == {"ip": "10.0.0.7"}
            assert (row["tenant"], row["space"]) == ("acme", "soc")
            assert row["event"] == {"action": "start", "outcome": "success"}
            again, created = await s.replica.start(caller, "one", StartBody(), idempotency_key="k", traceparent=None)
            assert (again.instance_id, created) == (answer.instance_id, False)
            await asyncio.sleep(5)
            assert told(cluster) == {answer.instance_id: 1}

    run_virtual(main())


def test_starts_of_one_group_write_are_one_document_and_one_row_for_each_who_started_them() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            written = cluster.indices[LANE].max_seq_no
            others = Principal("eve", "globex", roles=("operator",))
            await s.replica.put_definition(others, "one", ONE_STEP.encode())
            mine, theirs = await asyncio.gather(start_many(s, 50), start_many(s, 30, others))
            assert set(told(cluster)) <= {*mine, *theirs}
            await asyncio.sleep(0.9)
            assert {row["tenant"]: sorted(row["workflow"]["id"]) for row in start_rows(cluster)} == {
                "acme": sorted(mine),
                "globex": sorted(theirs),
            }
            # 80 creates, and an entry and a fence for each bulk: at most two.
            assert cluster.indices[LANE].max_seq_no - written <= 84

    run_virtual(main())


def test_a_lane_that_has_become_quiet_holds_nothing_of_its_journal() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            for _ in range(10):
                await start_many(s, 3)
                await asyncio.sleep(0.3)
            assert len(documents(cluster, LANE, "starts")) <= 4, "slots are used again"
            await asyncio.sleep(10)
            assert documents(cluster, LANE, "starts") == {}
            assert sum(told(cluster).values()) == 30

    run_virtual(main())


def test_entries_of_two_lanes_of_one_replica_are_rows_of_their_own() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster, settings=Settings(lanes=LaneSettings(lanes=2))) as s:
            await s.define(ONE_STEP)
            started = [(await s.start("one")).instance_id for _ in range(40)]
            assert {id.partition("-")[0] for id in started} == {"00", "01"}
            await asyncio.sleep(10)
            assert told(cluster) == dict.fromkeys(started, 1)

    run_virtual(main())


def test_a_start_is_not_answered_before_its_entry_stands() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            s.faults.fail_items(429, index=LANE, fits=lambda item: item.id.startswith("starts:"), times=3)
            starting = asyncio.create_task(s.start("one"))
            await asyncio.sleep(0.02)
            assert documents(cluster, LANE, "instance")
            assert not starting.done()
            answer = await starting
            assert documents(cluster, LANE, "starts")
            await asyncio.sleep(10)
            assert told(cluster) == {answer.instance_id: 1}

    run_virtual(main())


class Dying:
    """Lets a store's bulks through until the one of that number: that one lands or not, and nothing comes after."""

    def __init__(self, s: Scheduler, number: int, *, lands: bool) -> None:
        self._s = s
        self._bulk = s.store.bulk
        self._left = number
        self._lands = lands
        self.struck = False

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        self._left -= 1
        if self._left == 0:
            self.struck = True
            if self._lands:
                await self._bulk(lines, index=index, timeout_ms=timeout_ms)
            self._s.faults.cut_off(times=FOREVER)
            raise OutcomeUnknown("it died")
        return await self._bulk(lines, index=index, timeout_ms=timeout_ms)


@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.parametrize("number", range(1, 13))
def test_no_start_is_missing_or_doubled_whenever_the_owner_dies(
    number: int, lands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        cluster = new_cluster()
        answered: list[str] = []
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            dying = Dying(s, number, lands=lands)
            monkeypatch.setattr(s.store, "bulk", dying.bulk)

            async def act() -> None:
                for _ in range(4):
                    with suppress(LeaseholdError):
                        answered.extend(await start_many(s, 3))
                    await asyncio.sleep(0.4)

            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await act()
            assert dying.struck, "there is such a bulk"
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            exist = set(documents(cluster, LANE, "instance"))
            assert set(filter(None, answered)) <= exist
            assert told(cluster) == dict.fromkeys(exist, 1)
            assert documents(cluster, LANE, "starts") == {}

    run_virtual(main())


def test_an_entry_is_found_where_the_trail_has_rolled_since() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            ids = await start_many(s, 2)
            held = s.faults.hold("after", on="bulk", index=f"{AUDIT}-000001")
            await held.reached()
            cluster.roll_over(AUDIT)
            s.faults.cut_off(times=FOREVER)
            held.release()
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            assert told(cluster) == dict.fromkeys(ids, 1)

    run_virtual(main())


def test_an_owner_that_stood_still_doubles_nothing_where_the_trail_has_rolled_since() -> None:
    """Its row arrives when the next owner has brought the start into the trail already."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(ONE_STEP)
            held = first.faults.hold("before", on="bulk", index=f"{AUDIT}-000001")
            ids = await start_many(first, 2)
            await held.reached()
            first.faults.cut_off(index="workflow-control", times=FOREVER)
            cluster.roll_over(AUDIT)
            async with scheduler(cluster, replica_id="replica-b"):
                await asyncio.sleep(30)
                assert told(cluster) == dict.fromkeys(ids, 1)
                held.release()
                await asyncio.sleep(30)
                assert told(cluster) == dict.fromkeys(ids, 1)

    run_virtual(main())


def test_starts_that_have_ended_before_the_trail_had_them_are_found_in_history() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            s.faults.refuse(429, on="bulk", index=f"{AUDIT}-000001", times=FOREVER)
            answer = await s.start("one")
            await s.run_all(1)
            await asyncio.sleep(20)
            assert documents(cluster, LANE, "instance") == {}
            assert told(cluster) == {}
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            assert told(cluster) == {answer.instance_id: 1}

    run_virtual(main())


def test_starts_that_stand_in_two_entries_are_told_of_once() -> None:
    """The answer to the bulk with the first entry was lost, so the instances were written again behind another."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            s.faults.refuse(429, on="bulk", index=f"{AUDIT}-000001", times=FOREVER)
            s.faults.lose_answer(on="bulk", index=LANE)
            ids = await start_many(s, 3)
            assert len(documents(cluster, LANE, "starts")) == 2
            s.faults.cut_off(times=FOREVER)
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            assert told(cluster) == dict.fromkeys(ids, 1)
            assert documents(cluster, LANE, "starts") == {}

    run_virtual(main())


def test_an_instance_that_never_came_to_be_is_not_told_of() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            s.faults.fail_items(503, index=LANE, fits=lambda item: b'"status"' in (item.source or b""), times=FOREVER)
            starting = asyncio.create_task(s.start("one"))
            await asyncio.sleep(1)
            assert documents(cluster, LANE, "starts")
            s.faults.cut_off(times=FOREVER)
            starting.cancel()
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            assert live(cluster) == {}
            assert start_rows(cluster) == []
            assert documents(cluster, LANE, "starts") == {}

    run_virtual(main())


@pytest.mark.parametrize("late_s", [0.1, 1.0, 4.0])
def test_a_start_whose_bulk_lands_behind_the_next_owner_is_told_of_all_the_same(late_s: float) -> None:
    """Its entry comes into a slot that the next owner has looked into already, and the start is answered by its key."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as old:
            await old.define(ONE_STEP)
            ids = await start_many(old, 1)
            await asyncio.sleep(1.2)
            assert told(cluster) == dict.fromkeys(ids, 1)
            assert documents(cluster, LANE, "starts"), "the slot stands, and is used again"
            held = old.faults.hold("before", on="bulk", index=LANE)
            starting = asyncio.create_task(old.start("one", key="k"))
            await held.reached()
            old.faults.cut_off(index="workflow-control", times=FOREVER)
            async with scheduler(cluster, replica_id="replica-b") as new:
                await asyncio.sleep(late_s)
                held.release()
                starting.cancel()
                await asyncio.sleep(0.5)
                late = set(documents(cluster, LANE, "instance")) - set(ids)
                assert len(late) == 1
                repeated = await new.start("one", key="k")
                assert {repeated.instance_id} == late
                await asyncio.sleep(20)
                assert told(cluster) == dict.fromkeys([*ids, repeated.instance_id], 1)
                assert documents(cluster, LANE, "starts") == {}
                old.faults.cut_off(times=FOREVER)

    run_virtual(main())


def test_what_is_no_entry_goes_with_the_slots() -> None:
    async def main() -> None:
        cluster = new_cluster()
        index = cluster.indices[LANE]
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
        await s.store.bulk([b'{"index":{"_id":"starts:0:1"}}', b'{"kind":"starts","groups":7}'], index=LANE)
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            assert list(index.documents) == ["fence"]

    run_virtual(main())
