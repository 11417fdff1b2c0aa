"""A point in time holds what it saw, until it is closed."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.errors import StoreRejected
from leasehold.core.es.lines import create_line, delete_line
from leasehold.core.ports import Store


@pytest.fixture
async def filled(store: Store, index: str) -> str:
    lines = [line for n in range(5) for line in (create_line(f"d{n}"), b'{"count":%d}' % (n % 2))]
    await store.bulk(lines, index=index)
    await store.refresh(index)
    return index


def page_of(pit_id: str, **more: Any) -> dict[str, Any]:
    return {"pit": {"id": pit_id, "keep_alive": "60000ms"}, **more}


async def test_a_point_in_time_holds_what_the_last_refresh_had_made_visible(store: Store, filled: str) -> None:
    await store.bulk([create_line("late"), b"{}"], index=filled)
    pit_id = await store.open_pit(filled, keep_alive_ms=60_000)
    await store.bulk([delete_line("d0")], index=filled)
    await store.refresh(filled)

    page = await store.search(None, page_of(pit_id))
    now = await store.search(filled, {})

    assert {hit.id for hit in page.hits} == {"d0", "d1", "d2", "d3", "d4"}
    assert {hit.id for hit in now.hits} == {"d1", "d2", "d3", "d4", "late"}
    await store.close_pit(page.pit_id or pit_id)


async def test_pages_of_a_point_in_time_need_no_tiebreaker_of_their_own(store: Store, filled: str) -> None:
    pit_id = await store.open_pit(filled, keep_alive_ms=60_000)
    sorts: list[list[Any]] = [["_shard_doc"], ["_seq_no"], ["count"], [{"count": "desc"}]]
    for sort in sorts:
        seen: list[str] = []
        body = page_of(pit_id, sort=sort, size=2)
        while (page := await store.search(None, body)).hits:
            assert page.pit_id is not None
            body["pit"]["id"] = pit_id = page.pit_id
            body["search_after"] = list(page.hits[-1].sort)
            seen += [hit.id for hit in page.hits]

        assert sorted(seen) == ["d0", "d1", "d2", "d3", "d4"]
    await store.close_pit(pit_id)


async def test_a_closed_point_in_time_is_gone_and_closing_it_again_is_no_error(store: Store, filled: str) -> None:
    pit_id = await store.open_pit(filled, keep_alive_ms=60_000)
    await store.close_pit(pit_id)
    await store.close_pit(pit_id)

    with pytest.raises(StoreRejected) as rejected:
        await store.search(None, page_of(pit_id))

    assert (rejected.value.status, rejected.value.error_type) == (404, "search_context_missing_exception")
