"""What usage is counted from: which days have new rows, and the sums of one day.

Index: `workflow-steps` and `workflow-instances`; for `days_body` one concrete index of theirs, since sequence numbers
belong to one. Composite aggregations, no sort. Rely on a refresh that began after the last row that they must see was
confirmed. Cost: one pass over the doc values of the rows that match; no source is read.
"""

from __future__ import annotations

from typing import Any

from .groups import by_day, by_term, groups_body, sum_of

DAY_MS = 86_400_000
# An attempt counts for the day of its end, an instance for the day of its start.
ATTEMPT_DAY = "@timestamp"
START_DAY = "created_at"

_KEYS = {"tenant": by_term("tenant"), "workflow": by_term("workflow.name")}


def days_body(field: str, *, above: int, from_ms: int | None = None) -> dict[str, Any]:
    """The days of the rows with a sequence number above this one, from a time on."""
    filters: list[dict[str, Any]] = [{"range": {"_seq_no": {"gt": above}}}]
    if from_ms is not None:
        filters.append({"range": {field: {"gte": from_ms}}})
    return groups_body(filters, {"at": by_day(field)})


def attempts_body(day_ms: int) -> dict[str, Any]:
    """The attempts that ended on that day, by tenant and workflow."""
    sums = {
        "executor_ms": sum_of("step.duration_ms"),
        "llm_calls": sum_of("usage.llm_calls"),
        "llm_tokens": sum_of("usage.llm_tokens"),
        "cost": sum_of("usage.cost"),
        "stored_bytes": sum_of("stored_bytes"),
        "retries": {"filter": {"range": {"step.attempt": {"gt": 1}}}},
    }
    return groups_body([_within(ATTEMPT_DAY, day_ms)], _KEYS, sums=sums)


def starts_body(day_ms: int) -> dict[str, Any]:
    """The instances that were started on that day and have ended, by tenant and workflow.

    One that was brought back has a row for each of its ends; the first counts.
    """
    return groups_body([_within(START_DAY, day_ms)], _KEYS, must_not=[{"exists": {"field": "redrives"}}])


def _within(field: str, day_ms: int) -> dict[str, Any]:
    return {"range": {field: {"gte": day_ms, "lt": day_ms + DAY_MS}}}
