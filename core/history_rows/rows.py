"""One struct a kind of row."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Raw, Struct, field

from ...claim.wire import Call, ErrorInfo, Usage
from ..machine.state import InstanceStatus

EventOutcome = Literal["success", "failure", "unknown"]


class WorkflowFields(Struct, frozen=True, omit_defaults=True, gc=False):
    """`id` is the instance's id, as in a claim; `name` and `version` are the definition's."""

    id: str
    name: str
    version: int


class StepFields(Struct, frozen=True, omit_defaults=True, gc=False):
    """One finished attempt. `capability` is the definition's `executor:`; `started_at` is when it was claimed."""

    name: str
    path: str
    attempt: int
    capability: str
    outcome: str
    finished_at: datetime
    ready_at: datetime | None = None
    started_at: datetime | None = None
    duration_ms: int | None = None
    queue_ms: int | None = None
    human_wait_ms: int = 0
    input: str | None = None
    output: str | None = None
    input_lines: str | None = None
    output_lines: str | None = None


class EventFields(Struct, frozen=True, gc=False):
    outcome: EventOutcome


class TraceFields(Struct, frozen=True, gc=False):
    id: str


class StepRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-steps`. `worker` is the executor process that held the last lease of the attempt.

    `stored_bytes` are those of input and output, as UTF-8.
    """

    timestamp: datetime = field(name="@timestamp")
    workflow: WorkflowFields
    step: StepFields
    tenant: str
    space: str
    event: EventFields
    worker: str | None = None
    labels: list[str] = []
    correlation_id: str | None = None
    error: ErrorInfo | None = None
    usage: Usage | None = None
    trace: TraceFields | None = None
    calls: tuple[Call, ...] = ()
    stored_bytes: int = 0
    stripped: bool = False


class InstanceRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-instances`. `definition_tenant`: whose definition ran, `*` for everybody's. `instance` is the
    final `Instance`, `log` the part of its events not in `workflow-events`, where `log_parts` parts went before.
    `net_duration_ms` is what is left of `duration_ms` without `human_wait_ms`; for the other times see `machine.times`.
    """

    timestamp: datetime = field(name="@timestamp")
    workflow: WorkflowFields
    status: InstanceStatus
    created_at: datetime
    finished_at: datetime
    duration_ms: int
    net_duration_ms: int
    human_wait_ms: int
    wait_ms: int
    queue_ms: int
    run_ms: int
    tenant: str
    space: str
    definition_tenant: str
    event: EventFields
    inputs: str | None = None
    outputs: str | None = None
    inputs_lines: str | None = None
    outputs_lines: str | None = None
    labels: list[str] = []
    started_by: str = ""
    correlation_id: str | None = None
    parent_id: str | None = None
    redrives: int = 0
    error: ErrorInfo | None = None
    usage: Usage | None = None
    trace: TraceFields | None = None
    instance: Raw
    log_parts: int = 0
    log: Raw | None = None
    stripped: bool = False


class EventsRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-events`: part `part` (from 1) of an instance's event log, oldest first."""

    timestamp: datetime = field(name="@timestamp")
    workflow: WorkflowFields
    tenant: str
    space: str
    part: int
    log: list[Raw]


class ShareRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-events`: how a share of a foreach ended. `workflow.id` is the instance that it is a part of.

    `instance` is its final `Instance`, `log` the part of its events that did not leave before.
    """

    timestamp: datetime = field(name="@timestamp")
    workflow: WorkflowFields
    tenant: str
    space: str
    parent_id: str
    instance: Raw
    log_parts: int = 0
    log: list[Raw]
    stripped: bool = False


class CallsStepFields(Struct, frozen=True, gc=False):
    path: str
    attempt: int


class CallsRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-events`: lot `part` (from 1) of the calls that heartbeats of an attempt brought."""

    timestamp: datetime = field(name="@timestamp")
    workflow: WorkflowFields
    step: CallsStepFields
    tenant: str
    space: str
    part: int
    worker: str
    token: int
    calls: tuple[Call, ...] = ()
    stripped: bool = False


class ActionFields(Struct, frozen=True, omit_defaults=True, gc=False):
    action: str
    outcome: EventOutcome = "unknown"
    reason: str | None = None


class UserFields(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who. `tenant` and `space` (all of them) are the caller's, where the row may be another's."""

    name: str
    roles: tuple[str, ...] = ()
    tenant: str | None = None
    space: tuple[str, ...] = ()


class SourceFields(Struct, frozen=True, gc=False):
    ip: str


class PathFields(Struct, frozen=True, gc=False):
    path: str


class AuditRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A row of `workflow-audit`: somebody told an instance to do something, and it did; or was refused something.

    `tenant` and `space` are those of what it is about, which may be no instance.
    """

    timestamp: datetime = field(name="@timestamp")
    event: ActionFields
    user: UserFields
    source: SourceFields | None = None
    workflow: WorkflowFields | None = None
    step: PathFields | None = None
    tenant: str
    space: str
    trace: TraceFields | None = None
    details: Any = None
    stripped: bool = False
