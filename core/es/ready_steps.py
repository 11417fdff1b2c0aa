"""The next instances of one tenant with a ready step of one capability: a refill of the ready queue.

Index: one lane, in a point in time. Sort: `rank`, then `_shard_doc` to break ties. Relies on a refresh that began
after the last write of whatever left memory. Cost: 8-11 ms for 500 of 250,000 (p50). It sees the last refresh, so hits
may have moved on: what the owner holds in memory, and the CAS, decide.
"""

from __future__ import annotations

from typing import Any


def ready_steps_body(
    pit_id: str, *, keep_alive_ms: int, tenant: str, capability: str, after: tuple[Any, ...] | None, size: int
) -> dict[str, Any]:
    """One page, with sources and versions; `after` is the last hit's `sort` of the page before."""
    body: dict[str, Any] = {
        "pit": {"id": pit_id, "keep_alive": f"{keep_alive_ms}ms"},
        "query": {"bool": {"filter": [{"term": {"tenant": tenant}}, {"term": {"ready": capability}}]}},
        "sort": [{"rank": {"order": "asc"}}, "_shard_doc"],
        "size": size,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body
