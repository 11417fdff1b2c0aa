"""What tenants have spent: of single rows by hours, of finished days by the usage documents.

Index: one concrete index of `workflow-steps`, since sequence numbers belong to one; `workflow-usage`. Composite
aggregations, no sort. Rely on a refresh that began after the last write that they must see. Cost: one pass over the doc
values of what matches: of rows only those with new sequence numbers, but for the first look at a day.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from .groups import by_hour, by_term, groups_body, sum_of

DAY_MS = 86_400_000


def spent_rows_body(
    tenants: Collection[str] | None, *, above: int, up_to: int, days: Sequence[int] | None = None
) -> dict[str, Any]:
    """Attempts of these tenants (None: of all) by tenant and hour, with sequence numbers in that range.

    `days`: of these days only, given by their starts.
    """
    filters: list[dict[str, Any]] = [{"range": {"_seq_no": {"gt": above, "lte": up_to}}}]
    if tenants is not None:
        filters.append({"terms": {"tenant": sorted(tenants)}})
    if days is not None:
        ranges = [{"range": {"@timestamp": {"gte": day, "lt": day + DAY_MS}}} for day in days]
        filters.append({"bool": {"should": ranges, "minimum_should_match": 1}})
    sums = {
        "executor_ms": sum_of("step.duration_ms"),
        "llm_calls": sum_of("usage.llm_calls"),
        "llm_tokens": sum_of("usage.llm_tokens"),
        "cost": sum_of("usage.cost"),
    }
    return groups_body(filters, {"tenant": by_term("tenant"), "at": by_hour("@timestamp")}, sums=sums)


def spent_days_body(tenants: Collection[str] | None, *, from_ms: int, to_ms: int, but: Sequence[int]) -> dict[str, Any]:
    """What the usage documents of these days hold, by tenant; `but` are the starts of days to leave out."""
    filters: list[dict[str, Any]] = [{"range": {"@timestamp": {"gte": from_ms, "lt": to_ms}}}]
    if tenants is not None:
        filters.append({"terms": {"tenant": sorted(tenants)}})
    left_out = [{"range": {"@timestamp": {"gte": day, "lt": day + DAY_MS}}} for day in but]
    sums = {name: sum_of(name) for name in ("executor_ms", "llm_calls", "llm_tokens", "cost")}
    return groups_body(filters, {"tenant": by_term("tenant")}, sums=sums, must_not=left_out)
