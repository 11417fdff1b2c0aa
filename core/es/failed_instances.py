"""Instances that ended `failed`, newest first: the dead letters, before those are left out that were brought back.

Index: history of instances, by alias. Sort: time of the end, then id, so a page ends at a place that the next one goes
on from. Relies on the refresh that each end waits for. Cost: the terms' posting lists; of the sources only the few
fields that a list shows are sent, never state or log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..principal import Principal
from .visible import visible_to

SHOWN = ["@timestamp", "workflow", "error", "labels", "redrives", "started_by", "created_at", "tenant", "space"]


def failed_instances_body(
    *,
    principal: Principal,
    workflow: str | None,
    since_ms: int | None,
    error_type: str | None,
    label: str | None,
    after: Sequence[Any] | None,
    size: int,
) -> dict[str, Any]:
    """One page of what the principal may see; `label` is `key=value`, `after` the last hit's `sort` of the page before.

    Children of sub-workflows are not in it: their parents are.
    """
    terms = {
        "status": "failed",
        "workflow.name": workflow,
        "error.type": error_type,
        "labels": label,
    }
    filters = visible_to(principal)
    filters += [{"term": {field: value}} for field, value in terms.items() if value is not None]
    if since_ms is not None:
        filters.append({"range": {"@timestamp": {"gte": since_ms}}})
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters, "must_not": [{"exists": {"field": "parent_id"}}]}},
        "sort": [{"@timestamp": {"order": "desc"}}, {"workflow.id": {"order": "desc"}}],
        "_source": SHOWN,
        "size": size,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body


def later_ends_body(ids: Sequence[str]) -> dict[str, Any]:
    """Of instances that were brought back: all their later ends, 10,000 at most."""
    return {
        "query": {"bool": {"filter": [{"terms": {"workflow.id": list(ids)}}, {"range": {"redrives": {"gte": 1}}}]}},
        "_source": ["workflow", "redrives"],
        "size": 10_000,
        "track_total_hits": False,
    }
