"""Every live instance of a lane, for a take-over: all, or those written after a known point.

Index: one lane, in a point in time. Sort: `_shard_doc` for all (the cheapest order there is; 250,000 documents in
1.7 s), `_seq_no` for a gap. Relies on a refresh that began after the last write that it must see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..ports import Store, StoredDocument

KEEP_ALIVE_MS = 60_000


def scan_body(pit_id: str, *, above_seq_no: int | None, after: tuple[Any, ...] | None, size: int) -> dict[str, Any]:
    """One page of instances, with sources and versions; `after` is the last hit's `sort` of the page before."""
    filters: list[dict[str, Any]] = [{"term": {"kind": "instance"}}]
    if above_seq_no is not None:
        filters.append({"range": {"_seq_no": {"gt": above_seq_no}}})
    body: dict[str, Any] = {
        "pit": {"id": pit_id, "keep_alive": f"{KEEP_ALIVE_MS}ms"},
        "query": {"bool": {"filter": filters}},
        "sort": ["_shard_doc" if above_seq_no is None else "_seq_no"],
        "size": size,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body


async def documents_after(
    store: Store, index: str, *, above_seq_no: int | None = None, page_size: int = 500
) -> AsyncIterator[list[StoredDocument]]:
    """Pages of a lane's instances as of its last refresh. Raises: StoreError."""
    pit_id = await store.open_pit(index, keep_alive_ms=KEEP_ALIVE_MS)
    try:
        after: tuple[Any, ...] | None = None
        while True:
            body = scan_body(pit_id, above_seq_no=above_seq_no, after=after, size=page_size)
            page = await store.search(None, body)
            pit_id = page.pit_id or pit_id
            if page.hits:
                yield page.hits
            if len(page.hits) < page_size:
                return
            after = page.hits[-1].sort
    finally:
        await store.close_pit(pit_id)
