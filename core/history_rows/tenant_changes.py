"""The row of `workflow-audit` that says how a tenant's document was changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Raw, Struct, field

from .rows import ActionFields, SourceFields, UserFields

ChangeAction = Literal["change_tenant", "remove_tenant"]


class ChangeDetails(Struct, frozen=True, gc=False):
    """What stood in the document before and after, without bookkeeping; null: there was no document, or is none."""

    old: Raw | None
    new: Raw | None


class TenantChangeRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-audit`. Outcome `failure`: the document is not valid, and `event.reason` says why."""

    timestamp: datetime = field(name="@timestamp")
    event: ActionFields
    user: UserFields
    source: SourceFields | None = None
    tenant: str
    details: ChangeDetails


def tenant_change_row(
    tenant: str, *, old: str | None, new: str | None, by: str, address: str, at_ms: int, fault: str | None
) -> bytes:
    """`old` and `new` are JSON texts; its id is `tenant:<tenant>:<first change in ms>:<revision>`."""
    action: ChangeAction = "remove_tenant" if new is None else "change_tenant"
    row = TenantChangeRow(
        timestamp=datetime.fromtimestamp(at_ms / 1_000, UTC),
        event=ActionFields(action, "success" if fault is None else "failure", fault),
        user=UserFields(by),
        source=SourceFields(address) if address else None,
        tenant=tenant,
        details=ChangeDetails(_raw(old), _raw(new)),
    )
    return msgspec.json.encode(row)


def _raw(text: str | None) -> Raw | None:
    return None if text is None else Raw(text.encode())
