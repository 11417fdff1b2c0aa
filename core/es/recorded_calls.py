"""What history holds of the calls of one instance's attempts: the lots of heartbeats, and those of the attempts' ends.

Index: `workflow-events` and `workflow-steps`, by alias. Sort: run path, attempt, then lot. Relies on a refresh that
began after the rows were confirmed. Cost: one instance's rows; inputs and outputs of attempts are not sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def call_lots_body(instance_id: str, *, path: str | None, after: Sequence[Any] | None, size: int) -> dict[str, Any]:
    """A page of the lots that heartbeats brought; `path` None: of all steps."""
    sort = [{"step.path": "asc"}, {"step.attempt": "asc"}, {"part": "asc"}]
    body = _body(instance_id, path, sort, after, size)
    body["_source"] = ["step", "part", "worker", "calls"]
    body["query"]["bool"]["filter"].append({"exists": {"field": "step.path"}})
    return body


def attempt_calls_body(instance_id: str, *, path: str | None, after: Sequence[Any] | None, size: int) -> dict[str, Any]:
    """A page of finished attempts with the calls that their ends brought."""
    body = _body(instance_id, path, [{"step.path": "asc"}, {"step.attempt": "asc"}], after, size)
    body["_source"] = ["step.path", "step.attempt", "step.outcome", "worker", "calls"]
    return body


def _body(
    instance_id: str, path: str | None, sort: list[dict[str, str]], after: Sequence[Any] | None, size: int
) -> dict[str, Any]:
    filters: list[dict[str, Any]] = [{"term": {"workflow.id": instance_id}}]
    if path is not None:
        filters.append({"term": {"step.path": path}})
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters}},
        "sort": sort,
        "size": size,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body
