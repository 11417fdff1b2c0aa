"""How many top-level instances of a lane run, wait to begin or are queued, by tenant and workflow.

Index: one lane, in a point in time, so that all counts are of one moment. Composite aggregations, in pages. Relies on a
refresh that began after the last write that must be seen. Cost: one pass over the matching documents' doc values for
each kind of count; no source is read. With `ids` only those documents are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..ports import Store

Counted = Literal["running", "waiting", "queued", "queued_alone"]
ByWorkflow = Counter[tuple[str, str]]

KEEP_ALIVE_MS = 60_000
_PAGE = 5_000
_KEYS = ("tenant", "workflow")
_FINAL = ["succeeded", "failed", "cancelled", "terminated"]
_QUEUED: dict[str, Any] = {"term": {"queued": True}}


class _Bucket(Struct):
    key: dict[str, str]
    doc_count: int


class _Pairs(Struct):
    buckets: list[_Bucket]
    after_key: dict[str, str] | None = None


class _Aggregations(Struct):
    pairs: _Pairs


_decoder = msgspec.json.Decoder(_Aggregations)


def instance_counts_body(
    pit_id: str, counted: Counted, *, after: dict[str, str] | None, size: int, ids: Sequence[str] | None = None
) -> dict[str, Any]:
    """One page; `after` is what the page before answered. `queued_alone`: in no concurrency group."""
    wanted: list[dict[str, Any]] = [{"term": {"kind": "instance"}}]
    unwanted: list[dict[str, Any]] = [{"exists": {"field": "parent_id"}}, {"terms": {"status": _FINAL}}]
    if counted == "running":
        unwanted.append(_QUEUED)
    elif counted == "waiting":
        # Documents of earlier releases say `queued` alone.
        wanted.append({"bool": {"should": [_QUEUED, {"term": {"backlogged": True}}], "minimum_should_match": 1}})
    else:
        wanted.append(_QUEUED)
    if counted == "queued_alone":
        unwanted.append({"exists": {"field": "group"}})
    if ids is not None:
        wanted.append({"ids": {"values": list(ids)}})
    composite: dict[str, Any] = {"size": size, "sources": [{key: {"terms": {"field": key}}} for key in _KEYS]}
    if after is not None:
        composite["after"] = after
    return {
        "pit": {"id": pit_id, "keep_alive": f"{KEEP_ALIVE_MS}ms"},
        "query": {"bool": {"filter": wanted, "must_not": unwanted}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {"pairs": {"composite": composite}},
    }


async def instance_counts(
    store: Store, pit_id: str, counted: Counted, *, ids: Sequence[str] | None = None
) -> ByWorkflow:
    """All of them, as of the point in time, by (tenant, workflow). Raises: StoreError."""
    found: ByWorkflow = Counter()
    after: dict[str, str] | None = None
    while True:
        body = instance_counts_body(pit_id, counted, after=after, size=_PAGE, ids=ids)
        page = await store.search(None, body)
        assert page.aggregations is not None
        pairs = _decoder.decode(page.aggregations).pairs
        for bucket in pairs.buckets:
            found[bucket.key["tenant"], bucket.key["workflow"]] += bucket.doc_count
        after = pairs.after_key
        if len(pairs.buckets) < _PAGE:
            return found
