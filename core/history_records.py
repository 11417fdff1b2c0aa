"""What waits in an outbox for history beside attempts (`machine.events.AttemptRecord`), whole instances and logs."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..claim.wire import Call


class AuditRecord(Struct, frozen=True, omit_defaults=True, tag_field="of", tag="audit", gc=False):
    """Somebody told the instance to do something, and it did. `details` depend on the action.

    `address` is where the request came from; `before` and `after` are the instance's statuses.
    """

    action: str
    by: str
    at_ms: int
    roles: tuple[str, ...] = ()
    reason: str | None = None
    path: str | None = None
    details: Any = None
    address: str = ""
    before: str = ""
    after: str = ""


class CallsRecord(Struct, frozen=True, omit_defaults=True, tag_field="of", tag="calls", gc=False):
    """A lot of calls that a heartbeat brought, and the lease under which they were made."""

    path: str
    attempt: int
    token: int
    at_ms: int
    worker: str
    calls: tuple[Call, ...]
