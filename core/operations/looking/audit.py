"""The audit trail, as people read it and as it is exported."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from ....claim.wire.audit import AuditEntry, AuditPage
from ....ilm.policies import retention_ms
from ...audit.exporting import Export
from ...engine import Engine
from ...errors import Conflict, InvalidRequest
from ...es.audit_rows import AuditFilter, audit_rows_body
from ...ports import StoredDocument
from ...principal import Principal


class _Event(Struct, frozen=True):
    action: str = ""
    outcome: str = ""
    reason: str | None = None


class _User(Struct, frozen=True):
    name: str = ""
    roles: tuple[str, ...] = ()
    tenant: str | None = None


class _Source(Struct, frozen=True):
    ip: str | None = None


class _Workflow(Struct, frozen=True):
    id: str | tuple[str, ...] = ()
    name: str | None = None
    version: int | None = None


class _Step(Struct, frozen=True):
    path: str | None = None


class _Row(Struct):
    """A row, as far as it is listed."""

    timestamp: datetime = field(name="@timestamp")
    event: _Event
    user: _User
    tenant: str
    source: _Source = _Source()
    workflow: _Workflow = _Workflow()
    step: _Step = _Step()
    space: str | None = None
    details: Any = None


class Audit:
    """Any replica answers: all of it is in Elasticsearch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._export = Export(engine.store, engine.names, engine.clock)

    async def page(self, principal: Principal, which: AuditFilter, *, size: int, next: str | None) -> AuditPage:
        """What the caller may see of the trail, the newest first. It lags by the index's refresh.

        Raises: InvalidRequest where `next` is no token; StoreError.
        """
        after = None if next is None else _places(next)
        body = audit_rows_body(principal, which, size=size + 1, after=after)
        page = await self._engine.store.search(self._engine.names.audit, body)
        hits = page.hits[:size]
        following = _token(hits[-1].sort) if len(page.hits) > size else None
        return AuditPage(tuple(entry_of(hit) for hit in hits), following)

    async def export(self, principal: Principal, next: str | None) -> bytes:
        """One page of the whole trail, as lines. Raises: Forbidden; InvalidRequest; Conflict; StoreError."""
        principal.check_all_tenants("exporting the audit trail")
        if next is not None:
            lines = await self._export.following(next)
        else:
            found = await self._engine.ageing.policies.of("audit")
            if found.policy is None:
                raise Conflict(f"the policy of the audit trail is not valid: {found.fault}")
            lines = await self._export.first(retention_ms(found.policy))
        return b"".join(line + b"\n" for line in lines)


def entry_of(hit: StoredDocument) -> AuditEntry:
    """A row that somebody wrote by other means is listed as far as it can be read."""
    try:
        row = msgspec.json.decode(hit.source, type=_Row)
    except msgspec.MsgspecError:
        return AuditEntry(id=hit.id, at="", action="unreadable", outcome="unknown", user="", tenant="")
    ids = row.workflow.id
    return AuditEntry(
        id=hit.id,
        at=row.timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        action=row.event.action,
        outcome=row.event.outcome,
        reason=row.event.reason,
        user=row.user.name,
        roles=row.user.roles,
        user_tenant=row.user.tenant,
        address=row.source.ip,
        tenant=row.tenant,
        space=row.space,
        workflow=row.workflow.name,
        version=row.workflow.version,
        instances=(ids,) if isinstance(ids, str) else ids,
        step=row.step.path,
        details=row.details,
    )


def _token(sort: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(sort)).decode()


def _places(token: str) -> tuple[Any, ...]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=tuple[int, str | None, int | None])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise InvalidRequest("`next` is no token of this list; begin anew without it") from None
