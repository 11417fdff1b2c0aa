"""What is looked through as a whole, by retention and by whoever takes a lane over: one kind, oldest write first.

Index: one with a single shard (keys, control, usage, a lane), since sequence numbers order one shard only. Sort:
`_seq_no`, so a page goes on above the last hit of the one before, without a point in time: what is written meanwhile
moves behind the end. Relies on no refresh: what it does not show yet is young. Cost: what it brings; of the sources
only the fields that are named.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from ..ports import Store, StoredDocument


def swept_body(
    filters: Sequence[dict[str, Any]], *, fields: Sequence[str] | None, above_seq_no: int, size: int
) -> dict[str, Any]:
    """One page with versions; `fields` of None: whole sources."""
    body: dict[str, Any] = {
        "query": {"bool": {"filter": [*filters, {"range": {"_seq_no": {"gt": above_seq_no}}}]}},
        "sort": ["_seq_no"],
        "size": size,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if fields is not None:
        body["_source"] = list(fields)
    return body


async def sweep(
    store: Store, index: str, filters: Sequence[dict[str, Any]], *, fields: Sequence[str] | None, page_size: int
) -> AsyncIterator[list[StoredDocument]]:
    """Page after page of what fits the filters, as of the last refresh. Raises: StoreError."""
    above_seq_no = -1
    while True:
        body = swept_body(filters, fields=fields, above_seq_no=above_seq_no, size=page_size)
        hits = (await store.search(index, body)).hits
        if hits:
            yield hits
        if len(hits) < page_size:
            return
        last = hits[-1].version
        assert last is not None
        above_seq_no = last.seq_no


def of_kind(kind: str) -> dict[str, Any]:
    """The filter for documents of one kind."""
    return {"term": {"kind": kind}}


def before(field: str, at_ms: int) -> dict[str, Any]:
    """The filter for documents of before a time."""
    return {"range": {field: {"lt": at_ms}}}


def named_body(ids: Sequence[str]) -> dict[str, Any]:
    """Which of these ids stand in an index: hits without sources, 10,000 at most."""
    return {"query": {"ids": {"values": list(ids)}}, "_source": False, "size": len(ids), "track_total_hits": False}


def keys_naming_body(instance_ids: Sequence[str]) -> dict[str, Any]:
    """The idempotency keys that stand for these instances, one for each as a rule; 10,000 at most."""
    return {
        "query": {"bool": {"filter": [of_kind("start"), {"terms": {"instance_id": list(instance_ids)}}]}},
        "_source": ["instance_id"],
        "size": 10_000,
        "track_total_hits": False,
    }
