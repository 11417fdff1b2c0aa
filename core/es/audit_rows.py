"""Rows of the audit trail: for people, the newest first; and all of them, chain by chain.

Index: audit, or a point in time over it. Sorted by time, and by writer and number where times are equal; or by writer
and number, rows without a chain last. Relies on the index's refresh interval, or on a refresh that the caller asks for.
Cost: the filters' posting lists, and a sort over what they leave; for all rows a sort over every row a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ..principal import EVERY_TENANT, Principal
from .visible import visible_to


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which rows; `None` leaves a field open. Times: `since_ms` included, `until_ms` not."""

    action: str | None = None
    user: str | None = None
    instance: str | None = None
    workflow: str | None = None
    tenant: str | None = None
    outcome: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


def audit_rows_body(
    principal: Principal, which: AuditFilter, *, size: int, after: Sequence[Any] | None
) -> dict[str, Any]:
    """One page of what the caller may see. Rows that belong to no tenant are the operators'."""
    named = {
        "event.action": which.action,
        "user.name": which.user,
        "workflow.id": which.instance,
        "workflow.name": which.workflow,
        "tenant": which.tenant,
        "event.outcome": which.outcome,
    }
    filters = visible_to(principal) + [{"term": {name: value}} for name, value in named.items() if value is not None]
    bounds = {"gte": which.since_ms, "lt": which.until_ms}
    if given := {bound: at for bound, at in bounds.items() if at is not None}:
        filters.append({"range": {"@timestamp": given}})
    query: dict[str, Any] = {"bool": {"filter": filters}}
    if not principal.operator:
        query["bool"]["must_not"] = [{"term": {"tenant": EVERY_TENANT}}]
    body: dict[str, Any] = {
        "query": query,
        "sort": [{"@timestamp": "desc"}, {"chain.writer": "desc"}, {"chain.seq": "desc"}],
        "size": size,
        "track_total_hits": False,
    }
    return body if after is None else body | {"search_after": list(after)}


def chained_rows_body(pit_id: str, after: Sequence[Any] | None, *, size: int, keep_alive_ms: int) -> dict[str, Any]:
    """One page of all rows, as `audit.verify` takes them."""
    body: dict[str, Any] = {
        "pit": {"id": pit_id, "keep_alive": f"{keep_alive_ms}ms"},
        "sort": [{"chain.writer": "asc"}, {"chain.seq": "asc"}],
        "size": size,
        "track_total_hits": False,
    }
    return body if after is None else body | {"search_after": list(after)}
