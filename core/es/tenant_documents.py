"""All that stands in the tenants index, or what of it is new, and how many documents it holds at that moment.

Index: tenants: one shard, in a point in time. Sort: `_seq_no`. Relies on a refresh that began after the checkpoint was
seen to advance. Cost: one search a page, and one without hits that counts; 20,000 documents are 20 pages.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..ports import Store, StoredDocument
from .sequence_gap import sequence_gap_body

PAGE_SIZE = 1_000
_KEEP_ALIVE_MS = 60_000


class Found(Struct, frozen=True):
    """`documents` stand above the number that was asked with; `total` counts those below it too."""

    documents: list[StoredDocument]
    total: int


def count_body(pit_id: str, *, keep_alive_ms: int) -> dict[str, Any]:
    """How many documents there are at the moment of a point in time. A deletion shows in nothing else."""
    return {
        "pit": {"id": pit_id, "keep_alive": f"{keep_alive_ms}ms"},
        "query": {"match_all": {}},
        "size": 0,
        "track_total_hits": True,
    }


async def tenant_documents(store: Store, index: str, *, above_seq_no: int, page_size: int = PAGE_SIZE) -> Found:
    """What stands above a sequence number (-1: everything), as of the last refresh. Raises: StoreError."""
    pit_id = await store.open_pit(index, keep_alive_ms=_KEEP_ALIVE_MS)
    try:
        counted = await store.search(None, count_body(pit_id, keep_alive_ms=_KEEP_ALIVE_MS))
        documents: list[StoredDocument] = []
        while True:
            body = sequence_gap_body(
                pit_id,
                keep_alive_ms=_KEEP_ALIVE_MS,
                above_seq_no=above_seq_no,
                not_writer=None,
                size=page_size,
            )
            page = await store.search(None, body)
            pit_id = page.pit_id or pit_id
            documents += page.hits
            if len(page.hits) < page_size:
                return Found(documents, counted.total or 0)
            last = page.hits[-1].version
            assert last is not None
            above_seq_no = last.seq_no
    finally:
        await store.close_pit(pit_id)
