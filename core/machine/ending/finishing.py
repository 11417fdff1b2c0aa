"""The end of an instance, what comes before it, and whether what is open makes it running or waiting.

An instance that is to fail or to be cancelled winds down first where there is anything to wind down: children that
were told to stop, compensations, the definition's `on_failure` or `on_cancel` steps, in this order. It is `cancelling`
meanwhile, and `ending` says what it becomes. Where there is nothing, it ends in the same turn.
"""

from __future__ import annotations

from ....claim.wire import ErrorInfo
from ....definitions.templates import TemplateError
from ..events import InstanceEnded
from ..seeing.context import Context, template_error
from ..state import InstanceStatus, StepStatus
from ..table import (
    ACTIVE_STEP,
    CANCEL_INSTANCE,
    FAIL_INSTANCE,
    GO_ON,
    SUCCEED,
    TERMINATE,
    WAIT,
    WIND_DOWN,
    InstanceMove,
)
from ..turn import Turn
from .cancelling import cancel_open


def fail_instance(turn: Turn, error: ErrorInfo) -> None:
    """The instance is to fail with this error, unless it is ending already."""
    if turn.ending is None:
        _wind_down(turn, FAIL_INSTANCE, error)


def cancel_instance(turn: Turn, error: ErrorInfo) -> None:
    """The instance is to be cancelled, unless it is ending already."""
    if turn.ending is None:
        _wind_down(turn, CANCEL_INSTANCE, error)


def terminate_instance(turn: Turn, error: ErrorInfo) -> None:
    """The instance ends now, and undoes nothing; its children are told to do likewise.

    A share of a foreach waits for its own children, so that its parent hears of all attempts that there have been.
    """
    cancel_open(turn, "", error, how="terminate")
    if turn.instance.items is None:
        turn.ending = None
        end_instance(turn, TERMINATE, error)
    elif turn.ending is None:
        _wind_down(turn, TERMINATE, error)
    else:
        turn.ending = InstanceStatus.TERMINATED


def end_instance(turn: Turn, move: InstanceMove, error: ErrorInfo | None) -> None:
    """The instance has ended. Callers do nothing after it in the same turn, so `InstanceEnded` is the last effect."""
    turn.move_instance(move)
    turn.error = error
    turn.finished_at_ms = turn.at_ms
    turn.effects.append(InstanceEnded())


def end_well(turn: Turn) -> None:
    """A `succeed` step: what is open is cancelled, nothing is undone, children are told and not waited for."""
    cancel_open(turn, "", ErrorInfo("succeeded", "the instance has succeeded"))
    end_instance(turn, SUCCEED, None)


def close(turn: Turn) -> None:
    """Everything that comes before the end has come."""
    assert turn.ending is not None
    move = _ENDS[turn.ending]
    turn.ending = None
    end_instance(turn, move, turn.error)


_ENDS = {move.target: move for move in (FAIL_INSTANCE, CANCEL_INSTANCE, TERMINATE)}


def _wind_down(turn: Turn, move: InstanceMove, error: ErrorInfo) -> None:
    cancel_open(turn, "", error)
    turn.error = error
    turn.ending = move.target
    turn.move_instance(WIND_DOWN)


def conclude(turn: Turn) -> None:
    """Say what the instance is once nothing more follows from the event. Costs a look at the steps at most."""
    if turn.ended or turn.ending is not None:
        return
    if turn.lively and turn.status is InstanceStatus.RUNNING:
        return
    status = InstanceStatus.RUNNING if turn.lively else _status_of_open(turn)
    if status is None:
        _succeed(turn)
    elif status is not turn.status and turn.status is not InstanceStatus.PAUSED:
        turn.move_instance(GO_ON if status is InstanceStatus.RUNNING else WAIT)


def _status_of_open(turn: Turn) -> InstanceStatus | None:
    """What the open steps make of the instance; None when none is open. Cancelled children are still waited for."""
    waiting = pending = False
    for state in turn.steps.values():
        status = state.status
        if status in ACTIVE_STEP:
            return InstanceStatus.RUNNING
        if status is StepStatus.WAITING or (state.flow is not None and state.flow.children):
            waiting = True
        elif status is StepStatus.PENDING:
            pending = True
    if waiting or turn.get("queued"):
        return InstanceStatus.WAITING
    paused = turn.status is InstanceStatus.PAUSED
    assert paused or not pending, "steps are pending and nothing leads to them"
    return InstanceStatus.PAUSED if pending else None


def _succeed(turn: Turn) -> None:
    outputs = turn.plan.outputs
    if outputs is not None and turn.instance.items is None:
        try:
            context = Context(turn.instance, turn.plan, turn.steps, None, "", turn.at_ms)
            turn.outputs = outputs.render(context.also(vars=turn.get("vars"), signals=turn.get("signals")))
        except TemplateError as failure:
            fail_instance(turn, template_error(failure))
            return
    end_instance(turn, SUCCEED, None)
