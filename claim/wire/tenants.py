"""What is told of a tenant's document over HTTP."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class TenantView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant's document as it stands; of tenant `*` the deployment's.

    `document` and `revision` are absent where there is none; `revision` changes with every write, whoever makes it.
    `updated_*` are of the last change through the API. `error`: why the document is not in force. `in_force`: what
    the replica that answers obeys at this moment, with defaults written out.
    """

    tenant: str
    document: dict[str, Any] | None = None
    revision: str | None = None
    updated_at_ms: int | None = None
    updated_by: str | None = None
    error: str | None = None
    in_force: dict[str, Any] | None = None


class TenantList(Struct, frozen=True, omit_defaults=True):
    """One page of the tenants that have a document, by name. `next`: ask for more, with `after`."""

    tenants: list[TenantView]
    next: str | None = None
