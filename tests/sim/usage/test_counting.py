"""Counting (`core.usage.counting`): interrupted anywhere, by several at once, late rows, rows that are gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
from leasehold.core.errors import StoreError
from leasehold.core.es.lines import create_line
from leasehold.core.metrics import Metrics
from leasehold.core.settings import UsageSettings
from leasehold.core.usage.counting import Counting
from leasehold.core.usage.documents import usage_id
from leasehold.ilm import CURRENT

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, documents, new_cluster
from tests.kit.virtual_time import EPOCH_MS, VirtualClock, run_virtual
from tests.sim.usage.adding import Sums, check_same, of_history, of_usage

DAY_MS = 86_400_000


def counting(store: ModelStore) -> Counting:
    return Counting(
        store=store,
        names=NAMES,
        clock=VirtualClock(),
        settings=UsageSettings(),
        metrics=Metrics(),
        due=lambda: True,
    )


class History:
    """Rows put straight into history."""

    def __init__(self, cluster: ModelElasticsearch, seed: int = 1) -> None:
        self._store = ModelStore(cluster)
        self._random = Random(seed)
        self._made = 0

    async def add(self, count: int, *, at_ms: int = EPOCH_MS, workflows: int = 3) -> None:
        """Attempts, and for every third the end of an instance."""
        for _ in range(count):
            self._made += 1
            random, at = self._random, datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()
            workflow = {"id": f"00-{self._made}", "name": f"flow-{random.randrange(workflows)}"}
            row: dict[str, Any] = {"tenant": random.choice(("acme", "globex")), "workflow": workflow, "@timestamp": at}
            step = {"attempt": 1 + random.randrange(3), "duration_ms": random.randrange(100), "input": "12"}
            usage = {"llm_calls": 1, "llm_tokens": 7, "cost": random.randrange(1_000) / 1_000}
            await self._put(NAMES.steps, {**row, "step": step, "usage": usage, "stored_bytes": 2})
            if self._made % 3 == 0:
                await self._put(NAMES.instances, {**row, "created_at": at})

    async def _put(self, index: str, row: dict[str, Any]) -> None:
        (item,) = await self._store.bulk([create_line(f"{self._made}"), msgspec.json.encode(row)], index=index)
        assert item.status == 201


class Dying(ModelStore):
    """A store of which, after so many requests, one goes wrong and no other gets through."""

    def __init__(self, cluster: ModelElasticsearch, fault: str, after: int) -> None:
        super().__init__(cluster)
        self._fault = fault
        self._left = after

    async def _request(self, *asked: Any, **more: Any) -> Any:
        self._left -= 1
        if self._left == -1:
            getattr(self.faults, self._fault)()
        elif self._left < -1:
            self.faults.cut_off()
        return await super()._request(*asked, **more)


def same(cluster: ModelElasticsearch) -> bool:
    try:
        check_same(of_history(cluster), of_usage(cluster))
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("fault", ["lose_request", "lose_answer"])
def test_whoever_dies_at_any_request_leaves_what_another_brings_to_its_end(fault: str) -> None:
    async def main() -> None:
        died = 0
        for after in range(40):
            cluster = new_cluster()
            history = History(cluster)
            await history.add(20)
            await counting(ModelStore(cluster)).pass_once()
            await history.add(20, at_ms=EPOCH_MS - DAY_MS)
            await history.add(20)
            dies = counting(Dying(cluster, fault, after))
            try:
                await dies.pass_once()
            except StoreError:
                died += 1
            await counting(ModelStore(cluster)).pass_once()
            check_same(of_history(cluster), of_usage(cluster))
        # A pass makes fewer requests than were tried, so the last ones went through.
        assert 10 < died < 40

    run_virtual(main())


@pytest.mark.parametrize("seed", range(8))
def test_several_may_count_at_once(seed: int) -> None:
    async def main() -> None:
        cluster, random = new_cluster(), Random(seed)
        history = History(cluster, seed)
        stores = [ModelStore(cluster, latency_s=lambda: random.random() / 50) for _ in range(3)]
        counters = [counting(store) for store in stores]

        async def count(one: Counting) -> None:
            for _ in range(8):
                await asyncio.sleep(random.random() / 5)
                try:
                    await one.pass_once()
                except StoreError:
                    continue

        async def add() -> None:
            for _ in range(30):
                await history.add(3, at_ms=EPOCH_MS - random.randrange(2) * DAY_MS)
                await asyncio.sleep(random.random() / 20)

        await asyncio.gather(add(), *map(count, counters))
        await counters[0].pass_once()
        check_same(of_history(cluster), of_usage(cluster))

    run_virtual(main())


def test_who_was_held_up_before_its_write_does_not_undo_what_another_has_counted_since() -> None:
    async def main() -> None:
        cluster = new_cluster()
        history = History(cluster)
        await history.add(9)
        await counting(ModelStore(cluster)).pass_once()
        await history.add(9)
        slow = ModelStore(cluster)
        held = slow.faults.hold("before", on="bulk", index=NAMES.usage)
        late = asyncio.create_task(counting(slow).pass_once())
        await held.reached()
        await history.add(9)
        await counting(ModelStore(cluster)).pass_once()
        held.release()
        await late
        check_same(of_history(cluster), of_usage(cluster))

    run_virtual(main())


def test_nothing_new_costs_no_search_and_no_write() -> None:
    async def main() -> None:
        cluster = new_cluster()
        await History(cluster).add(10)
        store = ModelStore(cluster)
        one = counting(store)
        assert await one.pass_once() > 0
        before = dict(store.requests)
        assert await one.pass_once() == 0
        asked = {name: count - before.get(name, 0) for name, count in store.requests.items()}
        assert {name: count for name, count in asked.items() if count} == {"checkpoints": 2}

    run_virtual(main())


def test_only_days_with_new_rows_are_counted_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        history = History(cluster)
        for day in range(5):
            await history.add(6, at_ms=EPOCH_MS - day * DAY_MS, workflows=1)
        store = ModelStore(cluster)
        await counting(store).pass_once()
        before = dict(store.requests)
        await history.add(1, at_ms=EPOCH_MS - 4 * DAY_MS, workflows=1)

        # Another one goes on where the first came to, by the position that stands.
        other = counting(store)
        assert await other.pass_once() == 1
        assert store.requests["search"] - before["search"] == 2
        check_same(of_history(cluster), of_usage(cluster))

    run_virtual(main())


def test_late_rows_raise_a_day_that_is_over() -> None:
    async def main() -> None:
        cluster = new_cluster()
        history = History(cluster)
        one = counting(ModelStore(cluster))
        await history.add(9, at_ms=EPOCH_MS - 3 * DAY_MS)
        await one.pass_once()
        await history.add(9)
        await one.pass_once()
        await history.add(5, at_ms=EPOCH_MS - 3 * DAY_MS)
        assert not same(cluster)
        await one.pass_once()
        assert same(cluster)

    run_virtual(main())


@pytest.mark.parametrize("alias", [NAMES.steps, NAMES.instances])
def test_rows_that_history_has_dropped_never_lower_usage(alias: str) -> None:
    async def main() -> None:
        cluster = new_cluster()
        history = History(cluster)
        await history.add(90)
        await counting(ModelStore(cluster)).pass_once()
        before = of_usage(cluster)

        # An old index goes, and with it most rows of the day; what comes later goes into a new one.
        old = cluster.write_index(alias).name
        cluster.roll_over(alias)
        cluster.delete_index(old)
        await history.add(6)
        await counting(ModelStore(cluster)).pass_once()

        # The halves of a document are counted apart: what is not dropped goes up all the same.
        after = of_usage(cluster)
        if alias == NAMES.steps:
            assert _without_starts(after) == _without_starts(before)
            assert (total(before, "starts"), total(after, "starts")) == (30, 32)
        else:
            assert (total(before, "attempts"), total(after, "attempts")) == (90, 96)
            assert (total(before, "starts"), total(after, "starts")) == (30, 30)

    run_virtual(main())


def test_an_index_that_was_made_again_is_counted_from_its_beginning() -> None:
    async def main() -> None:
        cluster = new_cluster()
        history = History(cluster)
        one = counting(ModelStore(cluster))
        await history.add(2, at_ms=EPOCH_MS - DAY_MS)
        await one.pass_once()
        name = cluster.write_index(NAMES.steps).name
        cluster.delete_index(name)
        family = next(family for family in CURRENT.families if family.name == "steps")
        cluster.create_index(name, CURRENT.mapping(family), alias=NAMES.steps)
        await history.add(2)
        await one.pass_once()
        assert sum(day["attempts"] for day in of_usage(cluster).values()) == 4

    run_virtual(main())


def test_a_document_that_others_change_all_the_time_is_left_for_the_next_pass() -> None:
    async def main() -> None:
        cluster = new_cluster()
        history = History(cluster)
        store = ModelStore(cluster)
        one = counting(store)
        await history.add(3, workflows=1)
        store.faults.fail_items(409, index=NAMES.usage, times=10)
        with pytest.raises(StoreError, match="written by others"):
            await one.pass_once()
        store.faults.clear()
        await one.pass_once()
        assert same(cluster)

    run_virtual(main())


def test_ids_tell_tenants_workflows_and_days_apart() -> None:
    ids = {
        usage_id(tenant, workflow, day * DAY_MS)
        for tenant in ("a", "a-b", "b" * 128)
        for workflow in ("c", "b-c", "w" * 128)
        for day in (20_000, 20_001)
    }
    assert len(ids) == 18
    assert max(len(id) for id in ids) <= 64


def total(sums: Sums, name: str) -> int:
    return sum(one[name] for one in sums.values())


def _without_starts(sums: Sums) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "starts"} for one in sums.values()]


def test_the_position_stands_in_the_control_index() -> None:
    async def main() -> None:
        cluster = new_cluster()
        await History(cluster).add(4)
        await counting(ModelStore(cluster)).pass_once()
        (position,) = documents(cluster, NAMES.control, "usage").values()
        assert position["indices"][cluster.write_index(NAMES.steps).name]["seq_no"] == 3

    run_virtual(main())
