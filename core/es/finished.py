"""Which of these documents stand in an index, by their ids alone.

Index: history, by alias for finished instances (an id is looked for in every index behind it), or one concrete index.
No sort. Relies on a refresh that began after the writes it must see. Cost: one term lookup an id and segment; no
source is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def finished_body(ids: Sequence[str]) -> dict[str, Any]:
    """The ids that exist, as hits without sources, 10,000 at most. An id that stands in two indices is two hits."""
    return {
        "query": {"ids": {"values": list(ids)}},
        "_source": False,
        "size": min(2 * len(ids), 10_000),
        "track_total_hits": False,
    }


def finished_share_body(share_id: str) -> dict[str, Any]:
    """The row of one share of a foreach that has ended, among the parts of event logs."""
    return {"query": {"ids": {"values": [share_id]}}, "size": 1, "track_total_hits": False}


def finished_instance_body(instance_id: str) -> dict[str, Any]:
    """One finished instance's row, wherever behind the alias it stands: its last end, the newest where that is doubled.

    An instance that was brought back has a row for each of its ends.
    """
    return {
        "query": {"term": {"workflow.id": instance_id}},
        "sort": [{"redrives": {"order": "desc"}}, {"@timestamp": {"order": "desc"}}],
        "size": 1,
        "track_total_hits": False,
    }
