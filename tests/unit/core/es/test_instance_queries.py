"""The queries that count instances and find queued ones, as they go over the wire."""

from __future__ import annotations

from leasehold.core.es.instance_counts import instance_counts_body
from leasehold.core.es.queued_instances import queued_instances_body


def test_counts_are_a_composite_over_live_instances_that_are_nobodys_children() -> None:
    assert instance_counts_body("pit", "running", after={"tenant": "a", "workflow": "b"}, size=7, ids=["x"]) == {
        "pit": {"id": "pit", "keep_alive": "60000ms"},
        "query": {
            "bool": {
                "filter": [{"term": {"kind": "instance"}}, {"ids": {"values": ["x"]}}],
                "must_not": [
                    {"exists": {"field": "parent_id"}},
                    {"terms": {"status": ["succeeded", "failed", "cancelled", "terminated"]}},
                    {"term": {"queued": True}},
                ],
            }
        },
        "size": 0,
        "track_total_hits": False,
        "aggs": {
            "pairs": {
                "composite": {
                    "size": 7,
                    "sources": [
                        {"tenant": {"terms": {"field": "tenant"}}},
                        {"workflow": {"terms": {"field": "workflow"}}},
                    ],
                    "after": {"tenant": "a", "workflow": "b"},
                }
            }
        },
    }


def test_queued_instances_are_asked_for_by_the_time_of_their_creation() -> None:
    assert queued_instances_body("acme", "one", from_ms=5, size=10) == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"queued": True}},
                    {"term": {"tenant": "acme"}},
                    {"term": {"workflow": "one"}},
                    {"range": {"created_at_ms": {"gte": 5}}},
                ],
                "must_not": [{"exists": {"field": "group"}}],
            }
        },
        "sort": [{"created_at_ms": {"order": "asc"}}, "_seq_no"],
        "_source": False,
        "size": 10,
        "track_total_hits": False,
    }
