"""The queries of `leasehold.core.es` find in a lane what their builders promise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from leasehold.core.errors import StoreRejected
from leasehold.core.es.due_timers import due_timers_body, next_wake_body
from leasehold.core.es.finished import finished_body, finished_instance_body
from leasehold.core.es.held_instances import held_documents
from leasehold.core.es.lines import create_line, fence_lines
from leasehold.core.es.ready_lines import lines_of, ready_lines_body
from leasehold.core.es.ready_steps import ready_steps_body
from leasehold.core.es.sequence_gap import sequence_gap_body
from leasehold.core.ports import Store, StoredDocument

from .ground import LANE_FIELDS, Ground

KEEP_ALIVE_MS = 60_000

LANE: dict[str, dict[str, Any]] = {
    "a": {"kind": "instance", "tenant": "acme", "ready": ["render"], "rank": 30, "writer": "me", "held": True},
    "b": {"kind": "instance", "tenant": "acme", "ready": ["es-query", "render"], "rank": 10, "writer": "me"},
    "c": {"kind": "instance", "tenant": "other", "ready": ["render"], "rank": 5, "writer": "them", "held": True},
    "d": {"kind": "instance", "tenant": "acme", "wake_at_ms": 2_000, "writer": "them"},
    "e": {"kind": "instance", "tenant": "acme", "wake_at_ms": 1_000, "ready": ["render"], "rank": 10, "writer": "me"},
    "e:result": {"kind": "side", "side_of": "e", "value": {"rank": 1}},
}


@pytest.fixture
async def lane(ground: Ground) -> str:
    """A refreshed lane: five instances, a side document and the fence."""
    index = await ground.make_index(LANE_FIELDS)
    lines = [line for id, fields in LANE.items() for line in (create_line(id), msgspec.json.encode(fields))]
    await ground.store.bulk([*lines, *fence_lines(1, "me")], index=index)
    await ground.store.refresh(index)
    return index


def ids(hits: list[StoredDocument]) -> list[str]:
    return [hit.id for hit in hits]


async def test_a_scan_brings_every_held_instance_once_with_its_version(store: Store, lane: str) -> None:
    pages = [page async for page in held_documents(store, lane, page_size=1)]

    found = [document for page in pages for document in page]
    assert sorted(ids(found)) == ["a", "c"]
    assert [len(page) for page in pages] == [1, 1]
    assert [await store.get(lane, document.id) for document in found] == [
        msgspec.structs.replace(document, sort=()) for document in found
    ]


async def test_a_scan_of_an_empty_lane_brings_nothing(ground: Ground) -> None:
    index = await ground.make_index(LANE_FIELDS)

    assert [page async for page in held_documents(ground.store, index)] == []


async def test_ready_steps_come_by_rank_for_one_tenant_and_capability(store: Store, lane: str) -> None:
    def body(after: tuple[int, int], size: int) -> dict[str, Any]:
        return ready_steps_body(tenants=["acme"], capability="render", after=after, size=size)

    first = (await store.search(lane, body((-(2**62), -1), 2))).hits
    rest = (await store.search(lane, body(first[-1].sort, 2))).hits

    both = ready_steps_body(tenants=["acme", "other"], capability="render", after=(-1, -1), size=2)
    assert (ids(first), ids(rest)) == (["b", "e"], ["a"])
    assert ids((await store.search(lane, both)).hits) == ["c", "b"]
    assert [hit.sort for hit in first] == [(10, 1), (10, 4)]
    assert first[0].version is not None


async def test_lines_are_the_pairs_of_tenant_and_capability_that_have_ready_steps(store: Store, lane: str) -> None:
    found: list[tuple[str, str]] = []
    after = None
    for _ in range(3):
        page = await store.search(lane, ready_lines_body(after=after, size=2))
        assert page.aggregations is not None
        lines, after = lines_of(page.aggregations)
        found += lines

    assert found == [("acme", "es-query"), ("acme", "render"), ("other", "render")]
    assert after is None


async def test_many_searches_of_one_request_are_answered_in_order(store: Store, lane: str) -> None:
    bodies = [
        ready_steps_body(tenants=[tenant], capability="render", after=(-1, -1), size=1)
        for tenant in ("other", "acme", "x")
    ]

    assert [ids(page.hits) for page in await store.search_many(lane, bodies)] == [["c"], ["b"], []]
    assert await store.search_many(lane, []) == []


async def test_one_search_of_many_that_is_refused_raises_for_all(store: Store, lane: str) -> None:
    good, bad = next_wake_body(beyond_ms=0), {**next_wake_body(beyond_ms=0), "size": 10_001}

    with pytest.raises(StoreRejected) as refused:
        await store.search_many(lane, [good, bad])
    assert refused.value.status == 400


async def test_a_gap_brings_what_others_wrote_above_a_sequence_number(store: Store, lane: str) -> None:
    pit_id = await store.open_pit(lane, keep_alive_ms=KEEP_ALIVE_MS)

    async def gap(above: int, not_writer: str | None) -> list[str]:
        body = sequence_gap_body(
            pit_id, keep_alive_ms=KEEP_ALIVE_MS, above_seq_no=above, not_writer=not_writer, size=10
        )
        return ids((await store.search(None, body)).hits)

    found = [await gap(-1, "me"), await gap(2, "me"), await gap(3, None), await gap(99, None)]

    await store.close_pit(pit_id)
    assert found == [["c", "d", "e:result"], ["d", "e:result"], ["e", "e:result", "fence"], []]


async def test_due_timers_come_soonest_first_and_the_next_one_bounds_the_sleep(store: Store, lane: str) -> None:
    due = await store.search(lane, due_timers_body(above_ms=0, until_ms=2_000, after=None, size=1))
    more = await store.search(lane, due_timers_body(above_ms=0, until_ms=2_000, after=due.hits[-1].sort, size=5))
    above = await store.search(lane, due_timers_body(above_ms=1_000, until_ms=2_000, after=None, size=5))
    beyond = await store.search(lane, next_wake_body(beyond_ms=1_000))
    nothing = await store.search(lane, next_wake_body(beyond_ms=2_000))

    assert (ids(due.hits), ids(more.hits), ids(above.hits)) == (["e"], ["d"], ["d"])
    assert (ids(beyond.hits), beyond.hits[0].sort[0]) == (["d"], 2_000)
    assert nothing.hits == []


async def test_finished_instances_are_found_behind_an_alias_as_they_ended_last(
    ground: Ground, index_prefix: str
) -> None:
    alias = f"{index_prefix}-alias"
    fields = {
        "@timestamp": {"type": "date"},
        "redrives": {"type": "integer"},
        "workflow": {"properties": {"id": {"type": "keyword"}}},
    }
    older = await ground.make_index(fields, alias=alias)
    newer = await ground.make_index(fields, alias=alias)

    def row(id: str, day: int, more: str = "") -> bytes:
        return f'{{"@timestamp":"2026-01-0{day}T00:00:00Z","workflow":{{"id":"{id}"}}{more}}}'.encode()

    await ground.store.bulk([create_line("a"), row("a", 1), create_line("b"), row("b", 1)], index=older)
    await ground.store.bulk([create_line("a:r1"), row("a", 1, ',"redrives":1')], index=older)
    await ground.store.bulk([create_line("b"), row("b", 2), create_line("a"), row("a", 2)], index=newer)
    await ground.store.refresh(alias)

    found = await ground.store.search(alias, finished_body(["a", "b", "c"]))
    doubled = await ground.store.search(alias, finished_instance_body("b"))
    brought_back = await ground.store.search(alias, finished_instance_body("a"))

    assert sorted(ids(found.hits)) == ["a", "a", "b", "b"]
    assert all(hit.source == b"" for hit in found.hits)
    assert [(hit.index, hit.source) for hit in doubled.hits] == [(newer, row("b", 2))]
    assert ids(brought_back.hits) == ["a:r1"]
