"""How an instance ends, and whether what is open makes it running or waiting."""

from __future__ import annotations

from ...claim.wire import ErrorInfo
from ...definitions.templates import TemplateError
from .context import Context, template_error
from .events import InstanceEnded, LeaseEnded, ReadyEnded
from .state import FINAL_STEP, InstanceStatus, StepStatus
from .table import ACTIVE_STEP, CANCEL, FAIL_INSTANCE, GO_ON, SUCCEED, WAIT, InstanceMove
from .turn import Turn


def end_instance(turn: Turn, move: InstanceMove, error: ErrorInfo | None) -> None:
    """End the instance now: what is open is cancelled in the order of the steps, attempts in progress are recorded.

    Callers do nothing after it in the same turn, so that `InstanceEnded` is the last effect.
    """
    for path, state in list(turn.steps.items()):
        if state.status in FINAL_STEP:
            continue
        if state.status is StepStatus.CLAIMED:
            assert error is not None
            turn.effects.append(LeaseEnded(path, state.token, f"{error.type}: {error.message}"))
            turn.record(path, state, "cancelled", error=error)
        elif state.status is StepStatus.READY:
            turn.effects.append(ReadyEnded(path))
        turn.move(path, CANCEL, token=0, wake_at_ms=0, lease_ttl_ms=0, finished_at_ms=turn.at_ms)
    turn.move_instance(move)
    turn.error = error
    turn.finished_at_ms = turn.at_ms
    turn.effects.append(InstanceEnded())


def fail_instance(turn: Turn, error: ErrorInfo) -> None:
    end_instance(turn, FAIL_INSTANCE, error)


def conclude(turn: Turn) -> None:
    """Say what the instance is once nothing more follows from the event. Costs a look at the steps at most."""
    if turn.ended:
        return
    status = InstanceStatus.RUNNING if turn.lively else _status_of_open(turn)
    if status is None:
        _succeed(turn)
    elif status is not turn.status:
        turn.move_instance(GO_ON if status is InstanceStatus.RUNNING else WAIT)


def _status_of_open(turn: Turn) -> InstanceStatus | None:
    """What the open steps make of the instance; None when none is open."""
    waiting = pending = False
    for state in turn.steps.values():
        status = state.status
        if status in ACTIVE_STEP:
            return InstanceStatus.RUNNING
        if status is StepStatus.WAITING:
            waiting = True
        elif status is StepStatus.PENDING:
            pending = True
    assert waiting or not pending, "steps are pending and nothing leads to them"
    return InstanceStatus.WAITING if waiting else None


def _succeed(turn: Turn) -> None:
    outputs = turn.plan.outputs
    if outputs is not None:
        try:
            turn.outputs = outputs.render(Context(turn.instance, turn.steps, turn.steps, turn.at_ms))
        except TemplateError as failure:
            fail_instance(turn, template_error(failure))
            return
    end_instance(turn, SUCCEED, None)
