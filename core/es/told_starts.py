"""Which instances' starts stand in the audit trail, and which of these instances have ended.

Index: the trail and the ends, each by its alias. Relies on a refresh that began after the last write that it must see.
Cost: a term lookup an id and segment; of the sources only the ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

IDS_A_SEARCH = 1_000


def audited_starts_body(ids: Sequence[str]) -> dict[str, Any]:
    """The rows that tell of the starts of these instances, at most `IDS_A_SEARCH`; a row tells of one or more."""
    return {
        "query": {"bool": {"filter": [{"term": {"event.action": "start"}}, {"terms": {"workflow.id": list(ids)}}]}},
        "_source": ["workflow.id"],
        "size": 2 * IDS_A_SEARCH,
        "track_total_hits": False,
    }


def ended_among_body(ids: Sequence[str]) -> dict[str, Any]:
    """The rows of instances that have ended, of these at most `IDS_A_SEARCH`; one for each of their ends."""
    return {
        "query": {"bool": {"filter": [{"terms": {"workflow.id": list(ids)}}]}},
        "_source": ["workflow.id"],
        "size": 10 * IDS_A_SEARCH,
        "track_total_hits": False,
    }
