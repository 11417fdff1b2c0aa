"""The instances of a workflow that have ended, newest first, whole: their recordings are made of these rows.

Index: history of instances, by alias. Sort: time of the end, then id, so a page ends at a place that the next one goes
on from. Relies on the refresh that each end waits for. Cost: two terms' posting lists; sources are read, with logs and
payloads in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..principal import Principal
from .visible import visible_to


def ended_instances_body(
    *, principal: Principal, workflow: str, after: Sequence[Any] | None, size: int
) -> dict[str, Any]:
    """Ends of a workflow's instances that the principal may see; `after` is the last hit's `sort`."""
    filters = [*visible_to(principal), {"term": {"workflow.name": workflow}}]
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters}},
        "sort": [{"@timestamp": {"order": "desc"}}, {"workflow.id": {"order": "desc"}}],
        "size": size,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body
