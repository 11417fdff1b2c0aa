"""Timers: what is due happens in the order in which it fell due."""

from __future__ import annotations

from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ..ending.finishing import fail_instance
from ..events import LeaseEnded, ReadyEnded, Refused, TimerFired
from ..flow.kinds import flow_late
from ..settling import follow
from ..state import FINAL_INSTANCE, Instance, StepState, StepStatus
from ..table import QUEUE_LATE, RETRY
from ..turn import Turn
from .activation import prepare, ready_again, waits_for_approval
from .approvals import approval_late
from .failure import fail_attempt, fail_step

# Spreads the jitter of several timeouts in one event, which brings one random number: the golden ratio's multiples.
_SPREAD = 0.6180339887498949


def next_wake_ms(instance: Instance) -> int:
    """When the next timer of the instance falls due, 0 for never. Costs a look at each step."""
    if instance.status in FINAL_INSTANCE:
        return 0
    earliest = 0 if instance.ending is not None or instance.items is not None else instance.deadline_ms
    for state in instance.steps.values():
        wake = state.wake_at_ms
        if wake and (wake < earliest or not earliest):
            earliest = wake
    return earliest


def timer_fired(turn: Turn, event: TimerFired) -> Refused | None:
    """Everything due, by due time, then in the order of the steps; the deadline comes last within its millisecond.

    An instance that is ending has no deadline any more: compensations take the time that they take.
    """
    at_ms = event.at_ms
    deadline_ms = turn.instance.deadline_ms if turn.ending is None and turn.instance.items is None else 0
    due = [(state.wake_at_ms, path) for path, state in turn.steps.items() if 0 < state.wake_at_ms <= at_ms]
    due.sort(key=lambda timer: timer[0])  # stable: steps keep their order
    deadline_due = 0 < deadline_ms <= at_ms
    for position, (wake_at_ms, path) in enumerate(due):
        if deadline_due and wake_at_ms > deadline_ms:
            break
        state = turn.steps.get(path)
        if state is not None and state.wake_at_ms == wake_at_ms:
            _fire(turn, path, state, (event.random + position * _SPREAD) % 1.0)
            follow(turn)
        if turn.ended:
            return None
    if deadline_due:
        allowed_ms = turn.plan.max_duration_ms
        fail_instance(turn, ErrorInfo("max_duration", f"the instance ran longer than max_duration, {allowed_ms} ms"))
    return None


def _fire(turn: Turn, path: str, state: StepState, random: float) -> None:
    step = turn.step(path)
    if state.status is StepStatus.BACKING_OFF:
        if step.flow is None:
            ready_again(turn, path, RETRY)
        else:
            turn.put(path, replace(state, wake_at_ms=0))
            prepare(turn, path)
    elif state.status is StepStatus.CLAIMED:
        _attempt_late(turn, path, state, random)
    elif state.status is StepStatus.READY:
        _queue_late(turn, path)
    elif waits_for_approval(state):
        approval_late(turn, path, state)
    else:
        assert state.status is StepStatus.WAITING, f"{path}: a timer on a step that is {state.status}"
        flow_late(turn, path, step, random)


def _attempt_late(turn: Turn, path: str, state: StepState, random: float) -> None:
    error = ErrorInfo("timeout", f"the attempt ran longer than {turn.step(path).timeout_ms} ms")
    turn.effects.append(LeaseEnded(path, state.token, f"{error.type}: {error.message}"))
    fail_attempt(turn, path, replace(state, lost=0), "timed_out", error, random=random)


def _queue_late(turn: Turn, path: str) -> None:
    turn.effects.append(ReadyEnded(path))
    error = ErrorInfo("queue_timeout", f"nobody claimed it within {turn.step(path).queue_timeout_ms} ms")
    fail_step(turn, path, QUEUE_LATE, error)
