"""The model breaks as told: each fault strikes the request it is meant for, once, and leaves the state it should."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from leasehold.core.errors import OutcomeUnknown, StoreError, StoreRejected, StoreUnavailable
from leasehold.core.es.lines import create_line, delete_line
from leasehold.ilm import IndexNames

from tests.kit.model_documents import ModelDoesNotKnow
from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.virtual_time import run_virtual

NAMES = IndexNames("w")
LANE = NAMES.lane("00")


@pytest.fixture
def store() -> ModelStore:
    cluster = ModelElasticsearch()
    cluster.bootstrap(NAMES, lanes=1)
    return ModelStore(cluster)


async def create(store: ModelStore, *ids: str) -> list[int]:
    lines = [line for id in ids for line in (create_line(id), b"{}")]
    return [item.status for item in await store.bulk(lines, index=LANE)]


async def failed(store: ModelStore) -> type[StoreError]:
    with pytest.raises(StoreError) as raised:
        await create(store, "a")
    return type(raised.value)


async def stands(store: ModelStore, id: str = "a") -> bool:
    return await store.get(LANE, id) is not None


async def test_a_refused_request_is_not_applied(store: ModelStore) -> None:
    store.faults.refuse(429)
    assert (await failed(store), await stands(store)) == (StoreUnavailable, False)
    store.faults.refuse(413, on="bulk")
    assert (await failed(store), await stands(store)) == (StoreRejected, False)
    assert await create(store, "a") == [201]


async def test_a_request_that_cannot_connect_is_not_applied(store: ModelStore) -> None:
    store.faults.cut_off(times=2)
    assert (await failed(store), await failed(store)) == (StoreUnavailable, StoreUnavailable)
    assert not await stands(store)


async def test_a_lost_request_is_not_applied_and_a_lost_answer_is(store: ModelStore) -> None:
    store.faults.lose_request(on="bulk")
    assert (await failed(store), await stands(store)) == (OutcomeUnknown, False)
    store.faults.lose_answer(on="bulk")
    assert (await failed(store), await stands(store)) == (OutcomeUnknown, True)
    assert store.faults.injected == {"lose_request": 1, "lose_answer": 1}


async def test_a_read_that_is_lost_changes_nothing(store: ModelStore) -> None:
    store.faults.lose_answer(on="get")
    with pytest.raises(StoreUnavailable):
        await store.get(LANE, "a")


def test_a_late_write_lands_after_its_client_has_given_up(store: ModelStore) -> None:
    async def course() -> list[bool]:
        store.faults.land_late(500, on="bulk")
        assert await failed(store) is OutcomeUnknown
        before = await stands(store)
        await asyncio.sleep(1)
        return [before, await stands(store)]

    assert run_virtual(course()) == [False, True]


def test_a_delayed_write_lands_late_and_answers(store: ModelStore) -> None:
    async def course() -> tuple[list[int], float]:
        store.faults.delay(300)
        return await create(store, "a"), asyncio.get_running_loop().time()

    assert run_virtual(course()) == ([201], 0.3)


async def test_a_held_request_stands_still_before_or_after_its_effect(store: ModelStore) -> None:
    for moment, id, stood in (("before", "a", False), ("after", "b", True)):
        held = store.faults.hold(moment, on="bulk")  # type: ignore[arg-type]
        request = asyncio.create_task(create(store, id))
        await held.reached()
        assert await stands(store, id) is stood
        held.release()
        assert await request == [201]


async def test_single_items_fail_with_or_without_effect(store: ModelStore) -> None:
    def is_b(operation: Operation) -> bool:
        return operation.id == "b"

    store.faults.fail_items(503, fits=is_b)
    assert await create(store, "a", "b", "c") == [201, 503, 201]
    assert not await stands(store, "b")
    store.faults.fail_items(500, fits=is_b, applied=True)
    assert await create(store, "b") == [500]
    assert await stands(store, "b")


async def test_a_fault_waits_for_the_index_it_names(store: ModelStore) -> None:
    store.faults.refuse(index="w-steps*")

    assert await create(store, "a") == [201]
    with pytest.raises(StoreUnavailable):
        await store.refresh(NAMES.steps)


async def test_faults_of_one_client_spare_the_others(store: ModelStore) -> None:
    other = ModelStore(store.cluster)
    store.faults.cut_off(times=10)

    assert await create(other, "a") == [201]
    assert await failed(store) is StoreUnavailable
    store.faults.clear()
    assert await stands(store)


def test_indices_refresh_by_themselves_at_their_interval(store: ModelStore) -> None:
    async def course() -> list[int]:
        found = []
        await create(store, "a")
        for pause_s in (15, 16, 1):
            await asyncio.sleep(pause_s)
            found.append(len((await store.search(LANE, {})).hits))
            await create(store, f"a{pause_s}")
        return found

    assert run_virtual(course()) == [0, 2, 2]


def test_points_in_time_run_out(store: ModelStore) -> None:
    async def course() -> None:
        pit_id = await store.open_pit(LANE, keep_alive_ms=1_000)
        await asyncio.sleep(0.9)
        await store.search(None, {"pit": {"id": pit_id, "keep_alive": "1000ms"}})
        await asyncio.sleep(0.9)
        await store.search(None, {"pit": {"id": pit_id, "keep_alive": "1000ms"}})
        assert store.cluster.open_pits == 1
        await asyncio.sleep(1)
        with pytest.raises(StoreRejected):
            await store.search(None, {"pit": {"id": pit_id, "keep_alive": "1000ms"}})
        assert store.cluster.open_pits == 0

    run_virtual(course())


async def test_a_change_of_primary_raises_the_term_of_later_writes(store: ModelStore) -> None:
    await create(store, "a")
    store.cluster.indices[LANE].change_primary()

    (item,) = await store.bulk([delete_line("a", 0, 1)], index=LANE)

    assert item.version is not None
    assert item.version.primary_term == 2


async def test_a_slow_copy_holds_the_checkpoint_back(store: ModelStore) -> None:
    await create(store, "a", "b")
    store.cluster.indices[LANE].held_checkpoint = 0

    found = await store.checkpoint(LANE)

    assert (found.global_checkpoint, found.max_seq_no) == (0, 1)


async def test_history_rolls_over(store: ModelStore) -> None:
    before = await store.resolve_write_index(NAMES.steps)

    store.cluster.roll_over(NAMES.steps)

    assert (before, await store.resolve_write_index(NAMES.steps)) == ("w-steps-000001", "w-steps-000002")


async def test_what_is_not_modelled_is_refused_loudly(store: ModelStore) -> None:
    bodies: list[dict[str, Any]] = [
        {"aggs": {"by": {"terms": {"field": "tenant"}}}},
        {"query": {"match": {"status": "x"}}},
        {"sort": [{"rank": {"missing": 1}}]},
    ]
    for body in bodies:
        with pytest.raises(ModelDoesNotKnow):
            await store.search(LANE, body)
    with pytest.raises(ModelDoesNotKnow):
        await store.bulk([b'{"update":{"_id":"a"}}', b"{}"], index=LANE)
