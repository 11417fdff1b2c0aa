"""The queries for concurrency groups, as they go over the wire."""

from __future__ import annotations

import json

from leasehold.core.es.group_members import group_members_body, queued_groups_body
from leasehold.core.es.lines import newest_line_in


def test_members_come_oldest_first_with_the_few_fields_that_are_wanted() -> None:
    assert group_members_body("g", after=(7, 3), size=500) == {
        "query": {"bool": {"filter": [{"term": {"group": "g"}}]}},
        "sort": [{"created_at_ms": {"order": "asc"}}, "_seq_no"],
        "_source": [
            *("group", "queued", "status", "created_at_ms", "queued_at_ms"),
            *("definition_tenant", "workflow", "version"),
        ],
        "size": 500,
        "track_total_hits": False,
        "search_after": [7, 3],
    }


def test_members_of_all_groups_are_those_with_a_group() -> None:
    assert group_members_body(None, after=None, size=1)["query"] == {
        "bool": {"filter": [{"exists": {"field": "group"}}]}
    }


def test_groups_with_waiting_members_are_a_composite_in_pages() -> None:
    assert queued_groups_body(after={"group": "g"}, size=100) == {
        "query": {"bool": {"filter": [{"term": {"queued": True}}]}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {
            "groups": {
                "composite": {
                    "size": 100,
                    "sources": [{"group": {"terms": {"field": "group"}}}],
                    "after": {"group": "g"},
                }
            }
        },
    }


def test_what_is_remembered_is_written_under_a_version_of_its_own() -> None:
    assert json.loads(newest_line_in("keys", "memory-1", 9)) == {
        "index": {"_index": "keys", "_id": "memory-1", "version": 9, "version_type": "external_gte"}
    }
