"""Instances as a list, live and finished ones."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from .values import ErrorInfo

ENDED = ("succeeded", "failed", "cancelled", "terminated")
STATUSES = ("running", "waiting", "paused", "cancelling", *ENDED)


class FoundInstance(Struct, frozen=True, omit_defaults=True):
    """One instance, as its latest life stands. `finished_at_ms` and `duration_ms` are there once it has ended.

    `labels` are `key=value`. `redrives`: how often it was brought back.
    """

    instance_id: str
    workflow: str
    version: int
    tenant: str
    space: str
    status: str
    created_at_ms: int
    finished_at_ms: int | None = None
    duration_ms: int | None = None
    error: ErrorInfo | None = None
    labels: list[str] = field(default_factory=list)
    started_by: str | None = None
    correlation_id: str | None = None
    parent_id: str | None = None
    redrives: int = 0


class FoundTotal(Struct, frozen=True):
    """How many instances the whole list has: `eq` exactly `value`, `gte` at least so many."""

    value: int
    relation: Literal["eq", "gte"]


class InstanceList(Struct, frozen=True, omit_defaults=True):
    """One page. `next` is there while there may be more. `incomplete` says what was not looked into."""

    instances: list[FoundInstance]
    total: FoundTotal
    next: str | None = None
    incomplete: list[str] = field(default_factory=list)
