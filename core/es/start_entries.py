"""The journal of starts of a lane, and which instances' starts stand in the audit trail.

Index: one lane, in a point in time; the trail, by its alias. Relies on a refresh of either that began after the last
write that it must see. Cost: one term's posting list, and what is found; a journal holds some hundred entries at most.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from ..ports import Store, StoredDocument

KEEP_ALIVE_MS = 60_000
IDS_A_SEARCH = 1_000


def entries_body(pit_id: str, *, after: tuple[Any, ...] | None, size: int) -> dict[str, Any]:
    """One page of the journal, with sources and versions; `after` is the last hit's `sort` of the page before."""
    body: dict[str, Any] = {
        "pit": {"id": pit_id, "keep_alive": f"{KEEP_ALIVE_MS}ms"},
        "query": {"bool": {"filter": [{"term": {"kind": "starts"}}]}},
        "sort": ["_shard_doc"],
        "size": size,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body


async def start_entries(store: Store, index: str, *, page_size: int = 100) -> AsyncIterator[list[StoredDocument]]:
    """Pages of the slots that stand in a lane, as of its last refresh. Raises: StoreError."""
    pit_id = await store.open_pit(index, keep_alive_ms=KEEP_ALIVE_MS)
    try:
        after: tuple[Any, ...] | None = None
        while True:
            page = await store.search(None, entries_body(pit_id, after=after, size=page_size))
            pit_id = page.pit_id or pit_id
            if page.hits:
                yield page.hits
            if len(page.hits) < page_size:
                return
            after = page.hits[-1].sort
    finally:
        await store.close_pit(pit_id)


def audited_starts_body(ids: Sequence[str]) -> dict[str, Any]:
    """The rows that tell of the starts of these instances, at most `IDS_A_SEARCH`; a row tells of one or more."""
    return {
        "query": {"bool": {"filter": [{"term": {"event.action": "start"}}, {"terms": {"workflow.id": list(ids)}}]}},
        "_source": ["workflow.id"],
        "size": 2 * IDS_A_SEARCH,
        "track_total_hits": False,
    }


def ended_among_body(ids: Sequence[str]) -> dict[str, Any]:
    """The rows of instances that have ended, of these at most `IDS_A_SEARCH`; one for each of their ends."""
    return {
        "query": {"bool": {"filter": [{"terms": {"workflow.id": list(ids)}}]}},
        "_source": ["workflow.id"],
        "size": 10 * IDS_A_SEARCH,
        "track_total_hits": False,
    }
