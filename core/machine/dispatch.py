"""From an event to its transition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...claim.wire import ErrorInfo
from ...definitions.plan import Plan
from . import approvals, completion
from .activation import activate, settle
from .approvals import decided
from .completion import completed
from .events import (
    AnyEvent,
    CancelRequested,
    Claimed,
    Completed,
    Decided,
    Failed,
    Heartbeat,
    LeaseExpired,
    Refused,
    Rejected,
    Released,
    Started,
    TerminateRequested,
    TimerFired,
    Transition,
)
from .failure import failed
from .finishing import conclude, end_instance, fail_instance
from .leases import claimed, heartbeat, lease_expired, released
from .state import FINAL_INSTANCE, Instance, InstanceStatus, StepStatus
from .table import CANCEL_INSTANCE, TERMINATE
from .timers import timer_fired
from .turn import Turn


def advance(instance: Instance, plan: Plan, event: AnyEvent) -> Transition:
    """Apply one event. Pure: the instance given stays as it is; what does not change is shared with the one returned.

    When the event is refused, or repeats one that was applied before, the instance returned is the one given. `plan`
    must be that of the instance's workflow and version.
    """
    if instance.status in FINAL_INSTANCE:
        return Transition(instance, (), None if _repeats_the_past(instance, event) else _finished(instance))
    turn = Turn(instance, plan, event.at_ms)
    refused = _APPLY[type(event)](turn, event)
    if refused is not None:
        return Transition(instance, (), refused)
    if turn.steps is instance.steps and not turn.effects and type(event) is not Started:
        return Transition(instance)
    settle(turn)
    conclude(turn)
    return turn.transition()


def _started(turn: Turn, event: Started) -> Refused | None:
    for state in turn.steps.values():
        if state.status is not StepStatus.PENDING:
            return Refused("not_open", "the instance has started before")
    for path in turn.plan.roots:
        if not turn.ended:
            activate(turn, path)
    return None


def _cancel(turn: Turn, event: CancelRequested) -> Refused | None:
    end_instance(turn, CANCEL_INSTANCE, ErrorInfo("cancelled", _by("cancelled", event.by, event.reason)))
    return None


def _terminate(turn: Turn, event: TerminateRequested) -> Refused | None:
    end_instance(turn, TERMINATE, ErrorInfo("terminated", _by("terminated", event.by, event.reason)))
    return None


def _rejected(turn: Turn, event: Rejected) -> Refused | None:
    fail_instance(turn, event.error)
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
}
