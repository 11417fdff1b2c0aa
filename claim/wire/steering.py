"""What people tell instances, and the failed ones that may be brought back."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from .problems import Problem
from .values import ErrorInfo, Reason


class DecisionBody(Struct, frozen=True, omit_defaults=True):
    """The body of `_approve` and `_reject`; both fields are optional."""

    comment: Annotated[str, Meta(max_length=8192)] | None = None
    form: dict[str, Any] | None = None


class ReasonBody(Struct, frozen=True, omit_defaults=True):
    reason: Reason | None = None


class SignalBody(Struct, frozen=True, omit_defaults=True):
    """The body of `_signal/{name}`: `payload` is what `wait_for_signal` gives as its result."""

    payload: Any = None
    reason: Reason | None = None


class RetryBody(Struct, frozen=True, omit_defaults=True):
    """The body of `_retry`. `step` is a run path; without it the steps that failed are done again.

    `from_start`: everything is done again. `params` change single params of the instance; the others stay.
    """

    step: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    from_start: bool = False
    params: dict[str, Any] | None = None
    reason: Reason | None = None


class FailedInstance(Struct, frozen=True, omit_defaults=True):
    """An instance that ended `failed`. `redrives`: how often it had been brought back before."""

    instance_id: str
    workflow: str
    version: int
    tenant: str
    space: str
    created_at_ms: int
    failed_at_ms: int
    error: ErrorInfo | None = None
    labels: list[str] = field(default_factory=list)
    started_by: str | None = None
    redrives: int = 0


class FailedList(Struct, frozen=True, omit_defaults=True):
    """One page, newest first. `next`: what to ask `after` for the next page; absent on the last."""

    instances: list[FailedInstance]
    next: str | None = None


class RetryResult(Struct, frozen=True, omit_defaults=True):
    """One instance of `_failed/_retry`. `code`: what its own `_retry` would have answered."""

    instance_id: str
    code: int
    status: str | None = None
    problem: Problem | None = None


class RetryResults(Struct, frozen=True):
    results: list[RetryResult]
