"""The row of `workflow-audit` that says who started which instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, field

from .rows import ActionFields, SourceFields, UserFields


class StartedFields(Struct, frozen=True, gc=False):
    """`id` is a list: a search for one of them finds the row."""

    id: Sequence[str]
    name: str
    version: int


class StartsRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-audit`: one principal started these instances, in one group write of a lane."""

    timestamp: datetime = field(name="@timestamp")
    event: ActionFields
    user: UserFields
    source: SourceFields | None = None
    workflow: StartedFields
    tenant: str
    space: str
    details: dict[str, int]


def starts_row(
    ids: Sequence[str],
    *,
    by: str,
    roles: tuple[str, ...],
    address: str,
    workflow: str,
    version: int,
    tenant: str,
    space: str,
    at_ms: int,
) -> bytes:
    """Its id is that of the entry in the lane's journal, with the first of the instances."""
    row = StartsRow(
        timestamp=datetime.fromtimestamp(at_ms / 1_000, UTC),
        event=ActionFields("start", "success"),
        user=UserFields(by, roles),
        source=SourceFields(address) if address else None,
        workflow=StartedFields(ids, workflow, version),
        tenant=tenant,
        space=space,
        details={"count": len(ids)},
    )
    return msgspec.json.encode(row)
