"""From an event to its transition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...claim.wire import ErrorInfo
from ...definitions.plan import Plan
from .attempts import approvals, completion
from .attempts.activation import activate
from .attempts.approvals import decided
from .attempts.completion import completed
from .attempts.failure import failed
from .attempts.leases import claimed, heartbeat, lease_expired, released
from .attempts.timers import timer_fired
from .ending.cancelling import cancel_open
from .ending.finishing import cancel_instance, end_instance, terminate_instance
from .events import (
    CONCURRENCY,
    Admitted,
    AnyEvent,
    CancelRequested,
    ChildEnded,
    ChildRefused,
    ChildReported,
    Claimed,
    Completed,
    Decided,
    Failed,
    Heartbeat,
    LeaseExpired,
    Migrated,
    PauseRequested,
    Refused,
    Rejected,
    Released,
    ResumeRequested,
    RetryRequested,
    Signalled,
    SkipRequested,
    Started,
    TerminateRequested,
    TimerFired,
    Transition,
)
from .flow.children import child_ended, child_refused, child_reported
from .flow.shares import begin_items
from .flow.waits import signalled
from .settling import follow, settle
from .state import FINAL_INSTANCE, Instance, InstanceStatus, StepStatus
from .steering.pausing import paused, resumed
from .steering.retrying import begin_due, retried
from .steering.skipping import skipped
from .table import CANCEL_INSTANCE, FAIL_INSTANCE
from .turn import Turn


def advance(instance: Instance, plan: Plan, event: AnyEvent) -> Transition:
    """Apply one event. Pure: the instance given stays as it is; what does not change is shared with the one returned.

    When the event is refused, or repeats one that was applied before, the instance returned is the one given. `plan`
    must be that of the instance's workflow and version.
    """
    kind = type(event)
    if instance.status in FINAL_INSTANCE and kind not in _AFTER_THE_END:
        return Transition(instance, (), None if _repeats_the_past(instance, event) else _finished(instance))
    turn = Turn(instance, plan, event.at_ms)
    refused = _APPLY[kind](turn, event)
    if refused is not None:
        return Transition(instance, (), refused)
    if kind is Claimed:
        if instance.backlogged:
            turn.set("backlogged", False)
        return turn.transition()  # nothing follows from it: what is ready makes the instance running already
    if turn.untouched and kind is not Started:
        return Transition(instance)
    if instance.status in FINAL_INSTANCE and turn.ended:
        return turn.transition()
    settle(turn)
    if turn.times.waits.asked_since_ms:
        approvals.reckon(turn)
    if turn.get("backlogged"):
        _leave_backlog(turn)
    return turn.transition()


def _leave_backlog(turn: Turn) -> None:
    """Whoever waits for anything but executors and its own turn has begun."""
    waits = turn.get("queued") or turn.status in (InstanceStatus.RUNNING, InstanceStatus.PAUSED)
    if turn.ended or not waits:
        turn.set("backlogged", False)


def _started(turn: Turn, event: Started) -> Refused | None:
    for state in turn.steps.values():
        if state.status is not StepStatus.PENDING:
            return Refused("not_open", "the instance has started before")
    if not turn.get("queued"):
        _begin(turn)
    return None


def _admitted(turn: Turn, event: Admitted) -> Refused | None:
    if turn.get("queued"):
        turn.set("queued", False)
        if turn.instance.redrives:
            begin_due(turn)
        else:
            _begin(turn)
    return None


def _begin(turn: Turn) -> None:
    if turn.instance.items is not None:
        begin_items(turn)
        return
    for path in turn.plan.roots:
        if not turn.ended and turn.steps[path].status is StepStatus.PENDING:
            activate(turn, path)
            follow(turn)


def _cancel(turn: Turn, event: CancelRequested) -> Refused | None:
    error = ErrorInfo("cancelled", _by("cancelled", event.by, event.reason))
    if event.by == CONCURRENCY:
        error = ErrorInfo(CONCURRENCY, event.reason or "")
    if turn.get("queued"):
        # It has never begun, so there is nothing to close.
        cancel_open(turn, "", error)
        end_instance(turn, CANCEL_INSTANCE, error)
    else:
        cancel_instance(turn, error)
    return None


def _terminate(turn: Turn, event: TerminateRequested) -> Refused | None:
    terminate_instance(turn, ErrorInfo("terminated", _by("terminated", event.by, event.reason)))
    return None


def _rejected(turn: Turn, event: Rejected) -> Refused | None:
    """Nothing of it can be stored, so nothing is undone: it fails at once."""
    cancel_open(turn, "", event.error)
    turn.ending = None
    end_instance(turn, FAIL_INSTANCE, event.error)
    return None


def _migrated(turn: Turn, event: Migrated) -> Refused | None:
    """The state that goes with it came from `migration.carried_over`; under its own version nothing is left to do."""
    if turn.plan.version != event.version:
        return Refused("not_open", f"this is version {turn.plan.version}, not {event.version}")
    return None


def _by(what: str, by: str, reason: str | None) -> str:
    return f"{what} by {by}: {reason}" if reason else f"{what} by {by}"


def _repeats_the_past(instance: Instance, event: AnyEvent) -> bool:
    """Whether a finished instance has this event behind it already, so that its sender may be told that it stands."""
    if isinstance(event, Completed):
        return completion.is_repeat(instance, event)
    if isinstance(event, Decided):
        return approvals.is_repeat(instance, event)
    if isinstance(event, CancelRequested):
        return instance.status is InstanceStatus.CANCELLED
    return isinstance(event, TerminateRequested) and instance.status is InstanceStatus.TERMINATED


def _finished(instance: Instance) -> Refused:
    return Refused("finished", f"the instance has {_ENDED[instance.status]}")


_ENDED = {
    InstanceStatus.SUCCEEDED: "succeeded",
    InstanceStatus.FAILED: "failed",
    InstanceStatus.CANCELLED: "been cancelled",
    InstanceStatus.TERMINATED: "been terminated",
}

_APPLY: dict[type, Callable[[Turn, Any], Refused | None]] = {
    Started: _started,
    Claimed: claimed,
    Heartbeat: heartbeat,
    Completed: completed,
    Failed: failed,
    Released: released,
    LeaseExpired: lease_expired,
    TimerFired: timer_fired,
    Decided: decided,
    CancelRequested: _cancel,
    TerminateRequested: _terminate,
    Rejected: _rejected,
    Admitted: _admitted,
    PauseRequested: paused,
    ResumeRequested: resumed,
    SkipRequested: skipped,
    RetryRequested: retried,
    Signalled: signalled,
    ChildReported: child_reported,
    ChildEnded: child_ended,
    ChildRefused: child_refused,
    Migrated: _migrated,
}

# One that ended before its children hears of their end, and whatever has ended may be done again.
_AFTER_THE_END = frozenset({RetryRequested, ChildEnded})
