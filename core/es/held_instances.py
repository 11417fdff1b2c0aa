"""The instances of a lane that an owner has to hold in memory, for a take-over.

Index: one lane, in a point in time. Sort: `_shard_doc`, the cheapest order there is. Relies on a refresh that began
after the last write that it must see. Cost: what it brings; all of 250,000 documents would be 1.7 s, so only what can't
wait is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..ports import Store, StoredDocument

KEEP_ALIVE_MS = 60_000


def held_body(pit_id: str, *, after: tuple[Any, ...] | None, size: int) -> dict[str, Any]:
    """One page of held instances, with sources and versions; `after` is the last hit's `sort` of the page before."""
    body: dict[str, Any] = {
        "pit": {"id": pit_id, "keep_alive": f"{KEEP_ALIVE_MS}ms"},
        "query": {"bool": {"filter": [{"term": {"kind": "instance"}}, {"term": {"held": True}}]}},
        "sort": ["_shard_doc"],
        "size": size,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body


async def held_documents(store: Store, index: str, *, page_size: int = 500) -> AsyncIterator[list[StoredDocument]]:
    """Pages of the instances that an owner has to hold, as of the lane's last refresh. Raises: StoreError."""
    pit_id = await store.open_pit(index, keep_alive_ms=KEEP_ALIVE_MS)
    try:
        after: tuple[Any, ...] | None = None
        while True:
            page = await store.search(None, held_body(pit_id, after=after, size=page_size))
            pit_id = page.pit_id or pit_id
            if page.hits:
                yield page.hits
            if len(page.hits) < page_size:
                return
            after = page.hits[-1].sort
    finally:
        await store.close_pit(pit_id)
