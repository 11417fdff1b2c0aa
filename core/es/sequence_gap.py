"""What others have written into a single-shard index since a known sequence number.

Index: a lane, control, tenants, definitions: one shard, in a point in time. Sort: `_seq_no`. Relies on a refresh that
began after the checkpoint was seen to advance. Cost: 2 ms on a lane of 250,000. Empty gaps are normal, since deletions
and no-ops consume numbers too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..ports import Store, StoredDocument

_KEEP_ALIVE_MS = 60_000


def sequence_gap_body(
    pit_id: str, *, keep_alive_ms: int, above_seq_no: int, not_writer: str | None, size: int
) -> dict[str, Any]:
    """One page, with sources and versions. The next page asks above the last hit's sequence number.

    `not_writer` leaves out what that replica wrote itself.
    """
    conditions: dict[str, Any] = {"filter": [{"range": {"_seq_no": {"gt": above_seq_no}}}]}
    if not_writer is not None:
        conditions["must_not"] = [{"term": {"writer": not_writer}}]
    return {
        "pit": {"id": pit_id, "keep_alive": f"{keep_alive_ms}ms"},
        "query": {"bool": conditions},
        "sort": ["_seq_no"],
        "size": size,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }


async def documents_in_gap(
    store: Store, index: str, *, above_seq_no: int, not_writer: str | None, page_size: int = 500
) -> AsyncIterator[list[StoredDocument]]:
    """Pages of what stands above a sequence number, as of the last refresh; one search where a page holds it all.

    Raises: StoreError.
    """
    pit_id = await store.open_pit(index, keep_alive_ms=_KEEP_ALIVE_MS)
    try:
        while True:
            body = sequence_gap_body(
                pit_id,
                keep_alive_ms=_KEEP_ALIVE_MS,
                above_seq_no=above_seq_no,
                not_writer=not_writer,
                size=page_size,
            )
            page = await store.search(None, body)
            pit_id = page.pit_id or pit_id
            yield page.hits
            if len(page.hits) < page_size:
                return
            last = page.hits[-1].version
            assert last is not None
            above_seq_no = last.seq_no
    finally:
        await store.close_pit(pit_id)
