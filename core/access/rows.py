"""A refusal, and its row in `workflow-audit`. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from ..history_rows import ActionFields, AuditRow, PathFields, SourceFields, UserFields, WorkflowFields
from ..principal import EVERY_SPACE, Principal

_TEXT_CHARACTERS = 512


class Refusal(Struct, frozen=True):
    """Who was refused what. `tenant` and `space` are those of the thing; `kind` says what `id` is the id of.

    `action` is the operation, by its name in the route table; `reason` a sentence, or whose the thing is. Of an
    instance or a step, `id` is the instance's, and `workflow`, `version` and `path` are known too.
    """

    principal: Principal
    action: str
    reason: str
    kind: str
    id: str
    tenant: str
    space: str = EVERY_SPACE
    workflow: str | None = None
    version: int = 0
    path: str | None = None


class Seen(Struct):
    """How often a refusal was met, and when."""

    first_at_ms: int
    last_at_ms: int
    count: int = 1


def refusal_row(refusal: Refusal, seen: Seen) -> bytes:
    """The row as JSON. It is dated by the first of its repeats."""
    principal = refusal.principal
    details: dict[str, Any] = {"kind": refusal.kind, "id": refusal.id[:_TEXT_CHARACTERS], "count": seen.count}
    if seen.count > 1:
        details["last_at_ms"] = seen.last_at_ms
    row = AuditRow(
        timestamp=datetime.fromtimestamp(seen.first_at_ms / 1_000, UTC),
        event=ActionFields(refusal.action, "failure", refusal.reason[:_TEXT_CHARACTERS]),
        user=UserFields(principal.name, principal.roles, principal.tenant, principal.spaces),
        source=SourceFields(principal.address) if principal.address else None,
        workflow=WorkflowFields(refusal.id, refusal.workflow, refusal.version) if refusal.workflow else None,
        step=PathFields(refusal.path) if refusal.path else None,
        tenant=refusal.tenant,
        space=refusal.space,
        details=details,
    )
    return msgspec.json.encode(row)
