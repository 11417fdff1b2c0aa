"""Usage documents: one a tenant, workflow and UTC day. Their field names are API (docs/tenancy.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ..es.usage.groups import Group


class UsageDocument(Struct, frozen=True, kw_only=True):
    """`timestamp` is the start of the day. `starts` come from `workflow-instances`, the rest from `workflow-steps`."""

    timestamp: datetime = field(name="@timestamp")
    tenant: str
    workflow: str
    starts: int = 0
    attempts: int = 0
    retries: int = 0
    executor_ms: int = 0
    llm_calls: int = 0
    llm_tokens: int = 0
    cost: float = 0.0
    stored_bytes: int = 0


def usage_id(tenant: str, workflow: str, day_ms: int) -> str:
    """A document's id: its day, and a digest of tenant and workflow."""
    digest = sha256(msgspec.json.encode((tenant, workflow))).hexdigest()[:32]
    return f"{day_text(day_ms)}:{digest}"


def day_text(day_ms: int) -> str:
    """The day as ISO 8601 writes it."""
    return f"{datetime.fromtimestamp(day_ms / 1_000, UTC):%Y-%m-%d}"


def empty(tenant: str, workflow: str, day_ms: int) -> UsageDocument:
    day = datetime.fromtimestamp(day_ms / 1_000, UTC)
    return UsageDocument(timestamp=day, tenant=tenant, workflow=workflow)


def with_attempts(document: UsageDocument, found: Group) -> UsageDocument:
    """The document with these sums, if they were made of more rows than its own."""
    if found.doc_count <= document.attempts:
        return document
    return replace(
        document,
        attempts=found.doc_count,
        retries=found.retries.doc_count,
        executor_ms=round(found.executor_ms.value),
        llm_calls=round(found.llm_calls.value),
        llm_tokens=round(found.llm_tokens.value),
        cost=found.cost.value,
        stored_bytes=round(found.stored_bytes.value),
    )


def with_starts(document: UsageDocument, found: Group) -> UsageDocument:
    """The document with this number of instances, if it is higher than its own."""
    return document if found.doc_count <= document.starts else replace(document, starts=found.doc_count)
