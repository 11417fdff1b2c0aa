"""What happens to an instance, what follows from it, and what is refused.

Events are what the log keeps and what a replay applies, so each carries all that its transition needs from outside:
the time, and a random number where jitter wants one. They are encoded as arrays with a tag to keep the log small.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from ...claim.wire import Call, ErrorInfo, Usage
from .state import Child, Instance
from .times import Times

CONCURRENCY = "concurrency"
"""Who cancels an instance whose concurrency group has no place for it; its error has this type."""


class Event(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """Root of all events. `at_ms` is the wall time at which the owner accepted it: `now` for templates."""

    at_ms: int


class Started(Event, frozen=True, tag="started", gc=False):
    """The instance exists (its fields were set at creation): its first steps are activated, unless it is `queued`."""


class Admitted(Event, frozen=True, tag="admitted", gc=False):
    """It is the turn of a queued instance: it starts."""


class Claimed(Event, frozen=True, tag="claimed", gc=False):
    """An executor takes a ready step under a lease of `lease_ttl_ms`."""

    path: str
    lease_ttl_ms: int
    worker: str


class Heartbeat(Event, frozen=True, tag="heartbeat", gc=False):
    """An executor reports usage, a checkpoint or calls. A bare renewal of the lease changes no state and is no event.

    `usage` is cumulative for the attempt, here as in `Completed` and `Failed`: repeats count once.
    """

    path: str
    token: int
    checkpoint: Any = None
    usage: Usage | None = None
    calls: tuple[Call, ...] = ()


class Completed(Event, frozen=True, tag="completed", gc=False):
    """The executor delivers. `result` may be a `SideValue`. A repeat under the token that won changes nothing.

    In the log `attempt` stands in place of the result, which is in the row of that attempt.
    """

    path: str
    token: int
    result: Any = None
    usage: Usage | None = None
    calls: tuple[Call, ...] = ()
    attempt: int = 0


class Failed(Event, frozen=True, tag="failed", gc=False):
    """The executor gives the attempt up. `random` in [0, 1) spreads the backoff."""

    path: str
    token: int
    error: ErrorInfo
    retryable: bool = True
    usage: Usage | None = None
    calls: tuple[Call, ...] = ()
    random: float = 0.0


class Released(Event, frozen=True, tag="released", gc=False):
    """The lease is given back untouched: the step is ready again and the attempt does not count."""

    path: str
    token: int


class LeaseExpired(Event, frozen=True, tag="lease_expired", gc=False):
    """No heartbeat came in time: a new attempt, at most MAX_LOST_LEASES times in a row, then it counts as a failure.

    `random` in [0, 1) spreads the backoff that may follow then.
    """

    path: str
    token: int
    random: float = 0.0


class TimerFired(Event, frozen=True, tag="timer", gc=False):
    """Everything that is due at `at_ms` happens now: backoffs, waits, timeouts, approval timeouts, the deadline.

    `random` in [0, 1) spreads the backoffs that follow from timeouts.
    """

    random: float = 0.0


class Decided(Event, frozen=True, tag="decided", gc=False):
    """Somebody approves or rejects. `path` is empty when exactly one approval is open and was meant.

    `by` is a principal's name and `roles` its roles: where the step names approvers, one of them must be among these.
    """

    path: str
    approved: bool
    by: str
    comment: str | None = None
    form: dict[str, Any] | None = None
    roles: tuple[str, ...] = ()


class CancelRequested(Event, frozen=True, tag="cancel", gc=False):
    by: str
    reason: str | None = None


class TerminateRequested(Event, frozen=True, tag="terminate", gc=False):
    by: str
    reason: str | None = None


class PauseRequested(Event, frozen=True, tag="pause", gc=False):
    """Nothing is claimable until `ResumeRequested`; attempts in progress go on, and so do timers."""

    by: str
    reason: str | None = None


class ResumeRequested(Event, frozen=True, tag="resume", gc=False):
    by: str
    reason: str | None = None


class SkipRequested(Event, frozen=True, tag="skip", gc=False):
    """The step at a run path is not to be done: it counts as skipped, whatever of it is under way ends."""

    path: str
    by: str
    reason: str | None = None


class RetryRequested(Event, frozen=True, tag="retry", gc=False):
    """Do a step again, and all that comes after it; also brings back an instance that failed or was cancelled.

    `path` empty: the step that failed (each of them, where several did), or the first steps where `from_start`.
    `inputs`, already checked, replace those of the instance; `replaced` is what these were, for a replay. `queued`: an
    instance that is brought back waits until it is admitted, whether it has a concurrency group or not.
    """

    by: str
    path: str = ""
    from_start: bool = False
    inputs: Any = None
    reason: str | None = None
    replaced: Any = None
    queued: bool = False


class Signalled(Event, frozen=True, tag="signal", gc=False):
    """A signal for whichever step waits for its name; kept when none does."""

    name: str
    payload: Any
    by: str


class ChildReported(Event, frozen=True, tag="child_reported", gc=False):
    """What a child instance has used by now, its own children included. Cumulative, as all reports of usage."""

    path: str
    child: str
    usage: Usage | None = None
    attempts: int = 0


class ChildEnded(Event, frozen=True, tag="child_ended", gc=False):
    """A child instance has reached a final status. Also heard by a parent that has ended before it.

    `result`: a sub-workflow's outputs, or what a child of a foreach left (`StepState.parts`); may be a `SideValue`.
    `random` in [0, 1) spreads the backoff that may follow.
    """

    path: str
    child: str
    status: str
    result: Any = None
    error: ErrorInfo | None = None
    usage: Usage | None = None
    attempts: int = 0
    random: float = 0.0
    times: Times | None = None


class ChildRefused(Event, frozen=True, tag="child_refused", gc=False):
    """A child can't begin (no such workflow, params that its inputs refuse, too deep a recursion), or is gone."""

    path: str
    child: str
    error: ErrorInfo


class Rejected(Event, frozen=True, tag="rejected", gc=False):
    """Elasticsearch can't hold what the instance had become: it fails with this error, from its last stored state."""

    error: ErrorInfo


class Migrated(Event, frozen=True, tag="migrated", gc=False):
    """From here on the instance runs `version`. A replay under that version passes over it: the past was the same."""

    version: int
    by: str


AnyEvent = (
    Started
    | Claimed
    | Heartbeat
    | Completed
    | Failed
    | Released
    | LeaseExpired
    | TimerFired
    | Decided
    | CancelRequested
    | TerminateRequested
    | Rejected
    | Admitted
    | PauseRequested
    | ResumeRequested
    | SkipRequested
    | RetryRequested
    | Signalled
    | ChildReported
    | ChildEnded
    | ChildRefused
    | Migrated
)


AttemptOutcome = Literal["succeeded", "failed", "timed_out", "lease_lost", "cancelled"]


class AttemptRecord(Struct, frozen=True, omit_defaults=True, gc=False):
    """A finished attempt: one row of `workflow-steps` but for the payloads. Stored in the outbox until confirmed.

    `human_wait_ms`: for how long the decision was open that let this attempt begin; 0 where none did.
    """

    path: str
    step: str
    executor: str
    attempt: int
    token: int
    outcome: AttemptOutcome
    worker: str
    activated_at_ms: int
    ready_at_ms: int
    started_at_ms: int
    finished_at_ms: int
    error: ErrorInfo | None = None
    usage: Usage | None = None
    calls: tuple[Call, ...] = ()
    human_wait_ms: int = 0


class StepReady(Struct, frozen=True, gc=False):
    """The step may be claimed from `ready_at_ms` on. `input` is the rendered payload, the same for each attempt."""

    path: str
    capability: str
    ready_at_ms: int
    input: Any


class LeaseEnded(Struct, frozen=True, gc=False):
    """The machine took this lease away; an executor that still works under it is told (`reason`) at its next word.

    A lease that ends by its executor's own report (complete, fail, release) has no such effect.
    """

    path: str
    token: int
    reason: str


class ReadyEnded(Struct, frozen=True, gc=False):
    """A step that was ready no longer is, other than by a claim: it leaves the ready queue."""

    path: str


class AttemptEnded(Struct, frozen=True, gc=False):
    """An attempt finished and belongs into history. `output` is its result as it came, possibly a `SideValue`."""

    record: AttemptRecord
    output: Any = None


class InstanceEnded(Struct, frozen=True, gc=False):
    """The instance reached a final status: its record belongs into history, then its document goes."""


class CallsMade(Struct, frozen=True, gc=False):
    """A heartbeat brought calls of an attempt in progress: lot number `part` (from 1) belongs into history."""

    path: str
    attempt: int
    part: int
    calls: tuple[Call, ...]


class ChildWanted(Struct, frozen=True, gc=False):
    """A child instance is to begin once this transition stands: `items_child` or a sub-workflow's instance.

    `count` items from number `first` on for a child of a foreach, 0 for a sub-workflow.
    """

    path: str
    child: Child
    first: int = 0
    count: int = 0


class ChildSteered(Struct, frozen=True, gc=False):
    """A child instance is to be told."""

    child: str
    how: Literal["cancel", "terminate", "pause", "resume"]
    reason: str


Effect = CallsMade | ChildWanted | ChildSteered | StepReady | ReadyEnded | LeaseEnded | AttemptEnded | InstanceEnded


class Refused(Struct, frozen=True, gc=False):
    """The event does not apply, and nothing changed: a lost race or a request out of place.

    `stale_token`: another lease, or none, holds the step (`token_held`). `not_open`: the step or approval is not open.
    `finished`: the instance has ended. `ambiguous`: several approvals are open and none was named.
    `forbidden`: the approver is not among those that the definition names. `full`: no room for another signal.
    """

    reason: Literal["stale_token", "not_open", "unknown_step", "finished", "ambiguous", "forbidden", "full"]
    detail: str
    token_held: int = 0


class Transition(Struct, frozen=True, gc=False):
    """What `advance` returns: the new instance (the old one, unchanged, when refused) and what follows, in order."""

    instance: Instance
    effects: tuple[Effect, ...] = ()
    refused: Refused | None = None
