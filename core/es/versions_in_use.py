"""Which versions of which workflows live instances of a lane run, and how many of them.

Index: one lane. A composite aggregation in pages, no hits. Relies on the lane's own refreshes. Cost: one pass over the
doc values of its instances.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

Key = dict[str, str | int]


class _Bucket(Struct):
    key: Key
    doc_count: int


class _Versions(Struct):
    buckets: list[_Bucket]
    after_key: Key | None = None


class _Aggregations(Struct):
    versions: _Versions


_decoder = msgspec.json.Decoder(_Aggregations)


def versions_in_use_body(*, after: Key | None, size: int) -> dict[str, Any]:
    """One page, by tenant, workflow and version; `after` is what the page before answered."""
    sources = [{field: {"terms": {"field": field}}} for field in ("tenant", "workflow", "version")]
    composite: dict[str, Any] = {"size": size, "sources": sources}
    if after is not None:
        composite["after"] = after
    return {
        "query": {"bool": {"filter": [{"term": {"kind": "instance"}}]}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {"versions": {"composite": composite}},
    }


def versions_of(aggregations: bytes) -> tuple[list[tuple[Key, int]], Key | None]:
    """The page's versions with how many instances run each, and what to ask after for the next page."""
    versions = _decoder.decode(aggregations).versions
    return [(bucket.key, bucket.doc_count) for bucket in versions.buckets], versions.after_key
