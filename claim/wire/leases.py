"""Claims, and what executors report of the leases that they hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from .problems import Problem
from .values import Call, ErrorInfo, ShortText, Usage


class ClaimedStep(Struct, frozen=True, rename={"with_": "with"}, gc=False):
    """A leased attempt, as handed to an executor.

    Every field is always there. `step_id` names this one lease and ends with its `token`; `token` is the fencing
    token, which only grows within an instance. `payload` is the step's rendered `input`; `with` holds the definition's
    further keys (`model`, ...).
    """

    step_id: str
    workflow_id: str
    workflow_name: str
    workflow_version: int
    step_name: str
    run_path: str
    capability: str
    attempt: int
    token: int
    lease_ttl_ms: int
    tenant: str
    space: str
    payload: Any = None
    with_: dict[str, Any] = field(default_factory=dict)
    permissions: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    timeout_ms: int | None = None
    checkpoint: Any = None
    correlation_id: str | None = None
    traceparent: str | None = None


class ClaimedSteps(Struct, frozen=True):
    """The answer to a claim with `max`: possibly fewer steps than asked for, never more."""

    steps: list[ClaimedStep]


class CompleteBody(Struct, frozen=True, omit_defaults=True, gc=False):
    result: Any = None
    usage: Usage | None = None
    calls: list[Call] = field(default_factory=list)


class FailBody(Struct, frozen=True, omit_defaults=True, gc=False):
    """`retryable: false` ends the step whatever its retry policy says."""

    error: ErrorInfo
    retryable: bool = True
    usage: Usage | None = None
    calls: list[Call] = field(default_factory=list)


class HeartbeatBody(Struct, frozen=True, omit_defaults=True, gc=False):
    """Renews the lease. `progress` is a percentage; `checkpoint` is kept and given to the next attempt.

    `calls` are those made since the last report: each lot goes into history by itself and is not to be sent again.
    """

    progress: Annotated[float, Meta(ge=0, le=100)] | None = None
    message: ShortText | None = None
    checkpoint: Any = None
    usage: Usage | None = None
    calls: list[Call] = field(default_factory=list)


class HeartbeatAnswer(Struct, frozen=True, gc=False):
    """`cancel` asks the executor to stop; `reason` says why. Every field is always there."""

    lease_ttl_ms: int
    cancel: bool = False
    reason: str | None = None


class StepReport(Struct, frozen=True, omit_defaults=True, gc=False):
    """One item of `_steps/_bulk`: which lease, what happened, and that action's body (only its own field is read)."""

    step_id: str
    action: Literal["complete", "fail", "heartbeat", "release"]
    complete: CompleteBody | None = None
    fail: FailBody | None = None
    heartbeat: HeartbeatBody | None = None


class StepReports(Struct, frozen=True):
    reports: Annotated[list[StepReport], Meta(max_length=10_000)]


class Acknowledged(Struct, frozen=True, omit_defaults=True, gc=False):
    """The effect stands in Elasticsearch. `status` is the step's status after it."""

    step_id: str
    status: str


class StepReportResult(Struct, frozen=True, omit_defaults=True, gc=False):
    """One answer of `_steps/_bulk`, in the order of the request. `code`: what the single call would give."""

    step_id: str
    code: int
    status: str | None = None
    heartbeat: HeartbeatAnswer | None = None
    problem: Problem | None = None


class StepReportResults(Struct, frozen=True):
    results: list[StepReportResult]
