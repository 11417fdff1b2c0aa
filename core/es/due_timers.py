"""The instances whose next timer is due by a time: what an owner loads as its horizon moves.

Index: one lane. Sort: `wake_at_ms`, then `_seq_no`. Relies on a refresh that began after the last write of whatever
left memory. Cost: 4 ms on a lane of 250,000. One hit above the horizon gives the bound until which no search is needed.
"""

from __future__ import annotations

from typing import Any


def due_timers_body(*, above_ms: int, until_ms: int, after: tuple[Any, ...] | None, size: int) -> dict[str, Any]:
    """One page of instances that wake after `above_ms` and up to `until_ms`, soonest first, with versions."""
    body = _soonest_first({"gt": above_ms, "lte": until_ms}, size)
    body["seq_no_primary_term"] = True
    if after is not None:
        body["search_after"] = list(after)
    return body


def next_wake_body(*, beyond_ms: int) -> dict[str, Any]:
    """The one instance that wakes first after `beyond_ms`; its `sort` starts with that time."""
    return {**_soonest_first({"gt": beyond_ms}, 1), "_source": False}


def _soonest_first(bound: dict[str, int], size: int) -> dict[str, Any]:
    return {
        "query": {"bool": {"filter": [{"range": {"wake_at_ms": bound}}]}},
        "sort": [{"wake_at_ms": {"order": "asc"}}, "_seq_no"],
        "size": size,
        "track_total_hits": False,
    }
