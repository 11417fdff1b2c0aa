"""The audit trail, as it is listed."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class AuditEntry(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who did what, when, from where. `at` is ISO 8601 in UTC; `details` hold what was before and after.

    `instances`: the ids that it is about; a row of starts has several. `user_tenant`: whose the user is, where that may
    be another than whose the row is.
    """

    id: str
    at: str
    action: str
    outcome: str
    reason: str | None = None
    user: str
    roles: tuple[str, ...] = ()
    user_tenant: str | None = None
    address: str | None = None
    tenant: str
    space: str | None = None
    workflow: str | None = None
    version: int | None = None
    instances: tuple[str, ...] = ()
    step: str | None = None
    details: Any = None


class AuditPage(Struct, frozen=True, omit_defaults=True):
    """The newest first. `next`: ask for more with it."""

    rows: tuple[AuditEntry, ...]
    next: str | None = None
