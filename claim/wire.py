"""What travels between executors and replicas: one struct a body, and the source of the OpenAPI document.

Field names are API. Times are integer milliseconds since the epoch and end in `_at_ms`; spans are integer
milliseconds and end in `_ms`. A field that is absent in JSON has its default.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, field

# Bounded, so that sums over many attempts still fit an Elasticsearch `long`, and JSON numbers stay exact everywhere.
NonNegative = Annotated[int, Meta(ge=0, le=2**53 - 1)]
NonNegativeFloat = Annotated[float, Meta(ge=0, le=1e15)]
ShortText = Annotated[str, Meta(max_length=1024)]
Labels = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=128)], ShortText], Meta(max_length=64)]


class Usage(Struct, frozen=True, omit_defaults=True, gc=False):
    """What an attempt consumed; summed into the instance's budgets. `cost` is in the tenant's own currency unit.

    A report is cumulative for its attempt, in heartbeats and at the end alike: the largest figures reported stand, so
    repeats count once.
    """

    llm_calls: NonNegative = 0
    llm_tokens: NonNegative = 0
    cost: NonNegativeFloat = 0.0


class Call(Struct, frozen=True, omit_defaults=True, gc=False):
    """One tool or model call that an executor made during an attempt.

    `number` counts the calls made under one lease, from 1: reported twice, a call of that number is shown once.
    """

    name: ShortText
    input: Any = None
    output: Any = None
    duration_ms: NonNegative = 0
    usage: Usage | None = None
    number: NonNegative = 0


class ErrorInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an attempt, a step or an instance failed. `type` is what `retry.on` matches, such as `http.503`."""

    type: Annotated[str, Meta(min_length=1, max_length=256)]
    message: str = ""


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


class DecisionBody(Struct, frozen=True, omit_defaults=True):
    """The body of `_approve` and `_reject`; both fields are optional."""

    comment: Annotated[str, Meta(max_length=8192)] | None = None
    form: dict[str, Any] | None = None


Reason = Annotated[str, Meta(max_length=8192)]


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
    each name. `queued`: it waits for a slot of its concurrency group. `redrives`: how often it was brought back after
    an end. A child instance names its parent and the step there.
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


class RecordingView(Struct, frozen=True, omit_defaults=True):
    """What an instance began with, all its events with what they brought, and what it was last. To be replayed.

    The form of `recording` is that of this release; `leasehold workflows check` reads it.
    """

    instance_id: str
    workflow: str
    version: int
    status: str
    recording: Raw


class RecordingList(Struct, frozen=True, omit_defaults=True):
    """One page, newest first. `next`: what to ask `after` for the next page; absent on the last."""

    recordings: list[RecordingView]
    next: str | None = None


class ReplayDifference(Struct, frozen=True, omit_defaults=True):
    """Where a replay first went another way: after event number `event` (from 1) of `instance_id`, or at the `end`.

    `path` is the step's run path, empty for the instance; `field` says what differs, `message` all of it in words.
    """

    instance_id: str
    event: int
    happened: str
    at_ms: int
    path: str
    field: str
    message: str
    recorded: Any = None
    replayed: Any = None


class ReplayView(Struct, frozen=True, omit_defaults=True):
    """How a replay went. `same`: the past is the same under `replayed_version`, the definition that was looked at.

    `events` counts those that went alike. `missing` names what history no longer has; nothing was replayed then.
    """

    instance_id: str
    workflow: str
    version: int
    replayed_version: int
    same: bool
    events: int
    difference: ReplayDifference | None = None
    missing: list[str] = field(default_factory=list)


class RetryResult(Struct, frozen=True, omit_defaults=True):
    """One instance of `_failed/_retry`. `code`: what its own `_retry` would have answered."""

    instance_id: str
    code: int
    status: str | None = None
    problem: Problem | None = None


class RetryResults(Struct, frozen=True):
    results: list[RetryResult]


class DefinitionView(Struct, frozen=True, omit_defaults=True):
    """A stored definition version. `active` says whether starts without a version get this one."""

    name: str
    version: int
    active: bool
    source: str
    tenant: str
    created_at_ms: int
    created_by: str
    labels: dict[str, str] = field(default_factory=dict)
    description: str | None = None


class DefinitionStored(Struct, frozen=True, omit_defaults=True):
    """`created` is false when this very version was stored before with the same content."""

    name: str
    version: int
    created: bool
    active: bool


class DefinitionSummary(Struct, frozen=True, omit_defaults=True):
    name: str
    active_version: int
    versions: list[int]
    description: str | None = None


class DefinitionList(Struct, frozen=True):
    definitions: list[DefinitionSummary]


class Violation(Struct, frozen=True, omit_defaults=True, gc=False):
    """One thing wrong with a request or a definition: where, what was found, what is allowed."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None


class Problem(Struct, frozen=True, omit_defaults=True, gc=False):
    """An RFC 9457 problem document. `type` is stable and ends in a word that code may match on."""

    type: str
    title: str
    status: int
    detail: str = ""
    violations: list[Violation] = field(default_factory=list)
    token_held: int | None = None
    retry_after_s: float | None = None
    quota: str | None = None
    active_version: int | None = None
