"""Starts of instances."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from .problems import Problem
from .values import Labels, ShortText


class StartBody(Struct, frozen=True, omit_defaults=True, gc=False):
    """`params` are checked against the definition's `inputs`; `trigger` is what caused the start and is not checked."""

    trigger: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    correlation_id: ShortText | None = None
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class StartAnswer(Struct, frozen=True, omit_defaults=True, gc=False):
    instance_id: str
    version: int
    status: str


class StartItem(StartBody, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One item of a bulk start."""

    workflow: str
    idempotency_key: ShortText | None = None


class StartItems(Struct, frozen=True):
    starts: Annotated[list[StartItem], Meta(max_length=10_000)]


class StartResult(Struct, frozen=True, omit_defaults=True, gc=False):
    """One answer of a bulk start, in the order of the request: 201, 200 (a repeated key) or a problem's status."""

    code: int
    instance_id: str | None = None
    version: int | None = None
    status: str | None = None
    problem: Problem | None = None


class StartResults(Struct, frozen=True):
    results: list[StartResult]
