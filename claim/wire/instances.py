"""What is shown of instances and of their steps, and why they wait."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from .values import Call, ErrorInfo, Usage


class ApprovalView(Struct, frozen=True, omit_defaults=True):
    """A decision that was asked for, and, once given, who gave it.

    `fields` are those of the form as the definition declares them, `form` what the decision gave for them.
    """

    decision: Literal["pending", "approved", "rejected", "timed_out"]
    decided_by: str | None = None
    decided_at_ms: int | None = None
    comment: str | None = None
    form: dict[str, Any] | None = None
    approvers: list[str] = field(default_factory=list)
    timeout_at_ms: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class PartsView(Struct, frozen=True, omit_defaults=True):
    """The items of a foreach, by how far they are."""

    total: int
    ended: int = 0
    failed: int = 0


class StepView(Struct, frozen=True, omit_defaults=True):
    """A step of an instance.

    `kind` says what a step does that no executor runs: `foreach`, `parallel`, `switch`, `while`, `workflow`, `wait`,
    `wait_for_signal`, `set`, `remember`, `fail` or `succeed`. `handled`: it has failed, and the instance goes on as
    its `on_failure` says. `undone`: how its compensation ended (`succeeded`, `failed`, `skipped`). `chosen` is the case
    of a switch, `iteration` that of a while which is under way (from 0), `parts` are the items of a foreach,
    `children` the child instances under way, `signal` what it waits for.
    """

    name: str
    run_path: str
    status: str
    executor: str
    attempt: int = 0
    result: Any = None
    error: ErrorInfo | None = None
    ready_at_ms: int | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    wake_at_ms: int | None = None
    worker: str | None = None
    progress: float | None = None
    message: str | None = None
    approval: ApprovalView | None = None
    kind: str | None = None
    handled: bool = False
    undone: str | None = None
    chosen: str | None = None
    iteration: int | None = None
    parts: PartsView | None = None
    children: list[str] = field(default_factory=list)
    signal: str | None = None


class KeptSignal(Struct, frozen=True, omit_defaults=True):
    """A signal that came before anything waited for it."""

    name: str
    at_ms: int
    by: str
    payload: Any = None


class InstanceView(Struct, frozen=True, omit_defaults=True):
    """An instance as the store holds it: live, or finished and read from history.

    `ending`: what it will be once its compensations and its `on_failure` or `on_cancel` steps are done; `undone` says
    how the compensations went. `kept_signals` wait for a step that waits for them, `signals` holds the last payload of
    each name. `queued`: it waits for a slot of its concurrency group, or for its tenant to run less. `redrives`: how
    often it was brought back after an end. A child instance names its parent and the step there.
    """

    instance_id: str
    workflow: str
    version: int
    status: str
    tenant: str
    space: str
    created_at_ms: int
    steps: list[StepView]
    finished_at_ms: int | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    trigger: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None
    error: ErrorInfo | None = None
    labels: dict[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    started_by: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    ending: str | None = None
    undone: str | None = None
    paused_by: str | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    kept_signals: list[KeptSignal] = field(default_factory=list)
    queued: bool = False
    redrives: int = 0
    attempts: int = 0
    parent_id: str | None = None
    parent_step: str | None = None


class Cause(Struct, frozen=True, omit_defaults=True):
    """One thing that an instance waits for: what it is, and what to do about it.

    `cause` is a stable word: `no-executor`, `queue`, `lease`, `backoff`, `approval`, `timer`, `signal`, `children`,
    `inside`, `paused`, `concurrency`, `quota`, `lane`, `history`. `step` is a run path, absent where the cause is the
    whole instance's. `until_ms`: when it is over by itself. `ahead`: so many steps are to be claimed before, or more
    where `or_more`. `holders`: who has what it waits for. `children` explain themselves, one level down.
    """

    cause: str
    text: str
    advice: str
    step: str | None = None
    until_ms: int | None = None
    ahead: int | None = None
    or_more: bool = False
    holders: list[str] = field(default_factory=list)
    progress: float | None = None
    message: str | None = None
    error: ErrorInfo | None = None
    children: list[Explanation] = field(default_factory=list)


class Explanation(Struct, frozen=True, omit_defaults=True):
    """Why an instance waits. `summary` is one sentence; `causes` are empty where nothing holds it up."""

    instance_id: str
    workflow: str
    status: str
    summary: str
    causes: list[Cause] = field(default_factory=list)


class AttemptCalls(Struct, frozen=True, omit_defaults=True):
    """The calls that were reported of one attempt, in order. `outcome` stands once the attempt has finished."""

    run_path: str
    attempt: int
    calls: list[Call]
    outcome: str | None = None
    worker: str | None = None


class CallsView(Struct, frozen=True, omit_defaults=True):
    """The attempts of an instance of which calls were reported."""

    instance_id: str
    attempts: list[AttemptCalls]
