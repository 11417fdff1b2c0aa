"""The queued instances of a tenant's workflow that are in no concurrency group, oldest first.

Index: one lane. Sort: `created_at_ms`, then `_seq_no`, so that a page has an end. Relies on a refresh that began after
the last write of whatever left memory; what is in memory is better known there. Cost: what it brings, no sources.
"""

from __future__ import annotations

from typing import Any


def queued_instances_body(tenant: str, workflow: str, *, from_ms: int, size: int) -> dict[str, Any]:
    """One page of those that were created at that time or later; hits carry (`created_at_ms`, `_seq_no`) as `sort`."""
    return {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"queued": True}},
                    {"term": {"tenant": tenant}},
                    {"term": {"workflow": workflow}},
                    {"range": {"created_at_ms": {"gte": from_ms}}},
                ],
                "must_not": [{"exists": {"field": "group"}}],
            }
        },
        "sort": [{"created_at_ms": {"order": "asc"}}, "_seq_no"],
        "_source": False,
        "size": size,
        "track_total_hits": False,
    }
