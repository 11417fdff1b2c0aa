"""The live instances of one version of a workflow: what a migration looks through.

Index: one lane. Sort: `created_at_ms`, then `_seq_no`, so that a page goes on where the last one ended without a point
in time: what is written meanwhile moves to the end of its millisecond, and is met again rather than missed. Relies on a
refresh that began after the last write that it must see. Cost: one page of ids; no source is read.
"""

from __future__ import annotations

from typing import Any

from ..principal import Principal
from .visible import visible_to

_ENDED = ("succeeded", "failed", "cancelled", "terminated")


def running_instances_body(
    *, workflow: str, version: int, principal: Principal, after: tuple[int, int] | None, size: int
) -> dict[str, Any]:
    """One page of ids of what the principal may see, oldest instances first."""
    filters = [
        *visible_to(principal),
        {"term": {"kind": "instance"}},
        {"term": {"workflow": workflow}},
        {"term": {"version": version}},
    ]
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters, "must_not": [{"terms": {"status": list(_ENDED)}}]}},
        "sort": [{"created_at_ms": {"order": "asc"}}, "_seq_no"],
        "size": size,
        "_source": False,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body
