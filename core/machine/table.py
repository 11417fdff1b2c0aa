"""Every move that a step or an instance can make. Nothing changes a status but by one of these.

A move names what causes it, from which statuses it may start and where it ends. The machine applies moves through
`Turn.move`, which refuses one that is not in the table; `docs/reference/state-machine.md` is drawn from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from .state import InstanceStatus, StepStatus

I = InstanceStatus  # noqa: E741  the table reads as a table
S = StepStatus


@dataclass(frozen=True, slots=True)
class StepMove:
    """One cause, the statuses it applies to, the status it leads to. `when` says it in words, for the reference."""

    cause: str
    sources: frozenset[StepStatus]
    target: StepStatus
    when: str


@dataclass(frozen=True, slots=True)
class InstanceMove:
    """The same for an instance."""

    cause: str
    sources: frozenset[InstanceStatus]
    target: InstanceStatus
    when: str


def _step(cause: str, sources: tuple[StepStatus, ...], target: StepStatus, when: str) -> StepMove:
    return StepMove(cause, frozenset(sources), target, when)


def _instance(cause: str, target: InstanceStatus, when: str, *sources: InstanceStatus) -> InstanceMove:
    return InstanceMove(cause, frozenset(sources), target, when)


OPEN = (S.PENDING, S.READY, S.CLAIMED, S.BACKING_OFF, S.WAITING)

ACTIVATE = _step(
    "activate", (S.PENDING, S.WAITING), S.READY, "all dependencies are done, `if` holds, the input renders"
)
SKIP = _step("skip", (S.PENDING,), S.SKIPPED, "`if` is false")
ASK = _step("ask", (S.PENDING,), S.WAITING, "`requires_approval`: the approval is asked for")
REJECT = _step("reject", (S.WAITING,), S.FAILED, "an approver rejects: `rejected`")
LATE = _step("approval late", (S.WAITING,), S.FAILED, "`approval_timeout` with `on_timeout: fail`: `approval_timeout`")
LATE_SKIP = _step("approval late, skip", (S.WAITING,), S.SKIPPED, "`approval_timeout` with `on_timeout: skip`")
CLAIM = _step("claim", (S.READY,), S.CLAIMED, "an executor takes the step under a lease; a new attempt begins")
QUEUE_LATE = _step("queue late", (S.READY,), S.FAILED, "nobody claimed it within `queue_timeout`: `queue_timeout`")
RELEASE = _step("release", (S.CLAIMED,), S.READY, "the executor gives the lease back; the attempt does not count")
LOSE = _step("lose", (S.CLAIMED,), S.READY, "the lease expired; a new attempt without using a retry")
BACK_OFF = _step(
    "back off",
    (S.CLAIMED, S.WAITING),
    S.BACKING_OFF,
    "the attempt, or a sub-workflow, failed, ran out of time or lost one lease too many; a retry is left",
)
RETRY = _step("retry", (S.BACKING_OFF,), S.READY, "the backoff is over")
COMPLETE = _step("complete", (S.CLAIMED,), S.SUCCEEDED, "the executor delivers under the token that holds")
FAIL = _step(
    "fail", (S.CLAIMED,), S.FAILED, "the attempt failed, ran out of time or lost one lease too many; no retry is left"
)
TEMPLATE = _step(
    "template", (S.PENDING, S.WAITING, S.CLAIMED, S.BACKING_OFF), S.FAILED, "a template of the step fails: `template`"
)
CANCEL = _step("cancel", OPEN, S.CANCELLED, "the instance, or the step that it stands in, ended before the step did")
BEGIN = _step("begin", (S.PENDING, S.WAITING, S.BACKING_OFF), S.WAITING, "a step without an executor has begun")
DONE = _step("done", (S.PENDING, S.WAITING), S.SUCCEEDED, "a step without an executor is done")
FAIL_INSIDE = _step(
    "fail inside", (S.PENDING, S.WAITING), S.FAILED, "a step without an executor has failed, or one inside it"
)
SIGNAL_LATE = _step("signal late, skip", (S.WAITING,), S.SKIPPED, "no signal came, with `on_timeout: continue`")
HANDLE = _step("handle", OPEN, S.WAITING, "the step has failed for good, and its `on_failure` steps run")
HANDLED = _step("handled", (S.WAITING,), S.FAILED, "its `on_failure` steps are done; the instance goes on")
SKIP_IT = _step("skip it", OPEN, S.SKIPPED, "somebody skips the step")
HOLD = _step(
    "hold", (S.PENDING, S.WAITING, S.BACKING_OFF), S.PENDING, "due while the instance is paused; begins when it goes on"
)
RESET = _step("reset", tuple(S), S.PENDING, "somebody has this step, or one before it, done again")

STEP_MOVES = (
    ACTIVATE,
    SKIP,
    ASK,
    REJECT,
    LATE,
    LATE_SKIP,
    CLAIM,
    QUEUE_LATE,
    RELEASE,
    LOSE,
    BACK_OFF,
    RETRY,
    COMPLETE,
    FAIL,
    TEMPLATE,
    BEGIN,
    DONE,
    FAIL_INSIDE,
    SIGNAL_LATE,
    HANDLE,
    HANDLED,
    CANCEL,
    SKIP_IT,
    HOLD,
    RESET,
)

LIVE = (I.RUNNING, I.WAITING, I.PAUSED, I.CANCELLING)
FINAL = (I.SUCCEEDED, I.FAILED, I.CANCELLED, I.TERMINATED)

WAIT = _instance("wait", I.WAITING, "only timers, signals, approvals or children are open", I.RUNNING)
GO_ON = _instance("go on", I.RUNNING, "a step is ready, claimed or backing off again", I.WAITING)
PAUSE = _instance("pause", I.PAUSED, "somebody pauses it: nothing is claimable", I.RUNNING, I.WAITING)
RESUME = _instance("resume", I.RUNNING, "somebody resumes it", I.PAUSED)
WIND_DOWN = _instance(
    "wind down",
    I.CANCELLING,
    "it is to fail or be cancelled, and children, compensations or closing steps come first",
    *(I.RUNNING, I.WAITING, I.PAUSED),
)
SUCCEED = _instance(
    "succeed",
    I.SUCCEEDED,
    "every step is done, or failed as its `on_failure` allows, and `outputs` renders; or a `succeed` step is done",
    *(I.RUNNING, I.WAITING, I.PAUSED),
)
FAIL_INSTANCE = _instance(
    "fail", I.FAILED, "a step failed for good, a budget or `max_duration` is spent, or `outputs` fails", *LIVE
)
CANCEL_INSTANCE = _instance("cancel", I.CANCELLED, "somebody cancelled it", *LIVE)
TERMINATE = _instance("terminate", I.TERMINATED, "somebody terminated it", *LIVE)
REDRIVE = _instance("re-drive", I.RUNNING, "somebody retries it after its end", *FINAL)

INSTANCE_MOVES = (
    WAIT,
    GO_ON,
    PAUSE,
    RESUME,
    WIND_DOWN,
    SUCCEED,
    FAIL_INSTANCE,
    CANCEL_INSTANCE,
    TERMINATE,
    REDRIVE,
)

ACTIVE_STEP = frozenset({S.READY, S.CLAIMED, S.BACKING_OFF})
DONE_STEP = frozenset({S.SUCCEEDED, S.SKIPPED})
