"""Usage documents of one tenant, or of all, in pages.

Index: `workflow-usage`. Sort: day, tenant, workflow, so a page ends at a place that the next one goes on from. Sees
what the last refresh saw: the index's interval is one second. Cost: one document a tenant, workflow and day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PAGE = 1_000


def usage_body(tenant: str | None, *, from_ms: int, to_ms: int, after: Sequence[Any] | None = None) -> dict[str, Any]:
    """A page of the documents of the days from one time to before another; `tenant` None: of all tenants."""
    filters: list[dict[str, Any]] = [{"range": {"@timestamp": {"gte": from_ms, "lt": to_ms}}}]
    if tenant is not None:
        filters.append({"term": {"tenant": tenant}})
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters}},
        "sort": [{"@timestamp": "asc"}, {"tenant": "asc"}, {"workflow": "asc"}],
        "size": PAGE,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body
