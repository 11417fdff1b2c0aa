"""Instances of a lane that a take-over has to see: those that an owner holds in memory, and those of a gap.

Index: one lane, in a point in time. Sort: `_shard_doc` for the held (the cheapest order there is), `_seq_no` for a
gap. Relies on a refresh that began after the last write that it must see. Cost: what it brings; all of 250,000
documents would be 1.7 s, so only what can't wait is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..ports import Store, StoredDocument

KEEP_ALIVE_MS = 60_000


def scan_body(pit_id: str, *, above_seq_no: int | None, after: tuple[Any, ...] | None, size: int) -> dict[str, Any]:
    """One page of held instances, or of all above a sequence number, with sources and versions.

    `after` is the last hit's `sort` of the page before.
    """
    chosen = {"term": {"held": True}} if above_seq_no is None else {"range": {"_seq_no": {"gt": above_seq_no}}}
    filters: list[dict[str, Any]] = [{"term": {"kind": "instance"}}, chosen]
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


async def held_documents(store: Store, index: str, *, page_size: int = 500) -> AsyncIterator[list[StoredDocument]]:
    """Pages of the instances that an owner has to hold, as of the lane's last refresh. Raises: StoreError."""
    async for page in _pages(store, index, None, page_size):
        yield page


async def documents_above(
    store: Store, index: str, seq_no: int, *, page_size: int = 500
) -> AsyncIterator[list[StoredDocument]]:
    """Pages of the instances written after a sequence number, as of the lane's last refresh. Raises: StoreError."""
    async for page in _pages(store, index, seq_no, page_size):
        yield page


async def _pages(
    store: Store, index: str, above_seq_no: int | None, page_size: int
) -> AsyncIterator[list[StoredDocument]]:
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
