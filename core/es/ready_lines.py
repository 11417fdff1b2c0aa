"""Which tenants have ready steps of which capabilities in a lane: what a take-over opens windows on.

Index: one lane. A composite aggregation, in pages. Relies on a refresh that began after the last write that it must
see. Cost: one pass over the ready documents' doc values; no source is read.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

_KEYS = ("tenant", "ready")


class _Bucket(Struct):
    key: dict[str, str]


class _Lines(Struct):
    buckets: list[_Bucket]
    after_key: dict[str, str] | None = None


class _Aggregations(Struct):
    lines: _Lines


_decoder = msgspec.json.Decoder(_Aggregations)


def ready_lines_body(*, after: dict[str, str] | None, size: int) -> dict[str, Any]:
    """One page of lines; `after` is what the page before answered."""
    composite: dict[str, Any] = {"size": size, "sources": [{key: {"terms": {"field": key}}} for key in _KEYS]}
    if after is not None:
        composite["after"] = after
    return {
        "query": {"bool": {"filter": [{"exists": {"field": "ready"}}]}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {"lines": {"composite": composite}},
    }


def lines_of(aggregations: bytes) -> tuple[list[tuple[str, str]], dict[str, str] | None]:
    """The page's (tenant, capability) pairs, and what to ask after for the next page; None after the last."""
    lines = _decoder.decode(aggregations).lines
    return [(bucket.key["tenant"], bucket.key["ready"]) for bucket in lines.buckets], lines.after_key
