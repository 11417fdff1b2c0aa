"""What the audit trail is told of a definition: every change of a head has its rows, written with it. Pure.

The rows wait in the head itself until they stand in `workflow-audit` (`deliveries`), so whoever dies after the change
loses none of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ..history_rows.rows import ActionFields, SourceFields, UserFields
from ..principal import EVERY_SPACE, Principal
from .documents import Action, HeadDocument, VersionDocument, WaitingRow

RowAction = Literal[
    "store_version", "activate", "rollback", "delete_definition", "begin_canary", "end_canary", "rollback_canary"
]

_ACTIONS: dict[Action, RowAction] = {
    "activated": "activate",
    "rolled_back": "rollback",
    "retired": "delete_definition",
    "canary_began": "begin_canary",
    "canary_ended": "end_canary",
    "canary_rolled_back": "rollback_canary",
}

Contents = Mapping[int, VersionDocument]
"""The versions that a change is about, by number, as far as they are stored."""


class _Definition(Struct, frozen=True):
    name: str
    version: int


class DefinitionRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A row of `workflow-audit`: a definition was changed. It is in all spaces of its tenant."""

    timestamp: datetime = field(name="@timestamp")
    event: ActionFields
    user: UserFields
    source: SourceFields | None = None
    workflow: _Definition
    tenant: str
    space: str
    details: dict[str, Any]


def versions_concerned(before: HeadDocument | None, after: HeadDocument) -> set[int]:
    """Whose contents `recorded` wants to know."""
    found = set(after.versions) - set(before.versions if before else ())
    for head in (before, after):
        if head is not None:
            found |= {head.active, head.canary.version if head.canary else 0}
    return found - {0}


def recorded(
    before: HeadDocument | None,
    after: HeadDocument,
    *,
    by: Principal,
    contents: Contents,
    index: str,
    now_ms: int,
) -> HeadDocument:
    """The head after a change, with its rows. `index`: where they are to go."""
    rows = [
        _row("store_version", version, None, _content(contents, version), None, after, by, now_ms)
        for version in sorted(set(after.versions) - set(before.versions if before else ()))
    ]
    was, now = _standing(before, contents), _standing(after, contents)
    known = before.activations if before else []
    rows += [
        _row(_ACTIONS[one.action], one.version, was, now, one.reason, after, by, one.at_ms)
        for one in after.activations
        if one not in known
    ]
    waiting = [
        WaitingRow(f"definition:{after.tenant}/{after.name}:{now_ms}:{after.changes + n}", index, row.decode())
        for n, row in enumerate(rows, 1)
    ]
    return replace(
        after,
        outbox=[*after.outbox, *waiting],
        changes=after.changes + len(rows),
        unaudited_since_ms=after.unaudited_since_ms or (now_ms if waiting else None),
    )


def delivered(head: HeadDocument, left: list[WaitingRow]) -> HeadDocument:
    """The head with so much left to be delivered."""
    return replace(head, outbox=left, unaudited_since_ms=head.unaudited_since_ms if left else None)


def _row(
    action: RowAction, version: int, before: Any, after: Any, reason: str | None, head: HeadDocument, by: Principal,
    at_ms: int,
) -> bytes:  # fmt: skip
    row = DefinitionRow(
        timestamp=datetime.fromtimestamp(at_ms / 1_000, UTC),
        event=ActionFields(action, "success", reason),
        user=UserFields(by.name, by.roles, by.tenant, by.spaces),
        source=SourceFields(by.address) if by.address else None,
        workflow=_Definition(head.name, version),
        tenant=head.tenant,
        space=EVERY_SPACE,
        details={"before": before, "after": after},
    )
    return msgspec.json.encode(row)


def _standing(head: HeadDocument | None, contents: Contents) -> dict[str, Any] | None:
    """What starts get."""
    if head is None:
        return None
    standing: dict[str, Any] = {"active": _content(contents, head.active) if head.active else None}
    if head.canary is not None:
        standing["canary"] = _content(contents, head.canary.version) | {
            "percent": head.canary.percent,
            "labels": head.canary.labels,
        }
    return standing


def _content(contents: Contents, version: int) -> dict[str, Any]:
    document = contents.get(version)
    if document is None:
        return {"version": version}
    source = hashlib.sha256(document.source.encode("utf-8", "surrogatepass")).hexdigest()
    return {"version": version, "content_hash": document.content_hash, "source_sha256": source}
