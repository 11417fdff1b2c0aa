"""Rows of history for a replay: by their ids, and the last instances of a workflow that have ended.

Index: history, by alias (an id is looked for in every index behind it). Relies on the refresh that each end waits for;
what is younger may need one. Cost: a term lookup an id and segment; sources are read, with logs and payloads in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def rows_body(ids: Sequence[str]) -> dict[str, Any]:
    """These rows; one that stands in two indices is two hits."""
    return {"query": {"ids": {"values": list(ids)}}, "size": min(2 * len(ids), 10_000), "track_total_hits": False}


def ended_instances_body(
    *, tenant: str | None, workflow: str, after: Sequence[Any] | None, size: int
) -> dict[str, Any]:
    """Ends of a workflow's instances, newest first; `tenant` None looks at all, `after` is the last hit's `sort`."""
    filters: list[dict[str, Any]] = [{"term": {"workflow.name": workflow}}]
    if tenant is not None:
        filters.append({"term": {"tenant": tenant}})
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters}},
        "sort": [{"@timestamp": {"order": "desc"}}, {"workflow.id": {"order": "desc"}}],
        "size": size,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body
