"""Winding down: what was done is undone in reverse order of completion, one step at a time, then the closing steps run.

A compensation is a step of its own, `<name>.compensate`, beside the one that it undoes, with its own retries. One that
fails for good is recorded, and the others go on. A share of a foreach undoes nothing itself, however it ends: the
instance that it is part of does, in one order with everything else, from what the share left: run path, time and
rendered input. These have no state once they are done, so that ten thousand of them do not fill the document;
`Progress.undone` counts them.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from ..attempts.activation import prepare
from ..state import FINAL_STEP, InstanceStatus, StepState
from ..turn import Turn
from .finishing import close
from .undoing import SUFFIX, Undo, left_to_undo


def proceed(turn: Turn) -> None:
    """The next part of winding down, if nothing is under way; the end where nothing is left."""
    if _under_way(turn):
        return
    if turn.ending is InstanceStatus.TERMINATED or turn.instance.items is not None:
        close(turn)
        return
    undo = _next(turn)
    closing = turn.plan.on_failure if turn.ending is InstanceStatus.FAILED else turn.plan.on_cancel
    if undo is not None:
        _begin(turn, undo)
    elif closing is None or closing.prefix + closing.names[0] in turn.steps:
        close(turn)
    else:
        turn.enter(closing, closing.prefix)


def undone(turn: Turn, path: str, outcome: Literal["succeeded", "failed", "skipped"]) -> None:
    """The compensation at this run path has ended."""
    target = path[: -len(SUFFIX)]
    state = turn.steps.get(target)
    if state is not None:
        turn.put(target, replace(state, undone=outcome))
    else:
        _count(turn, target)
        turn.drop(path)
    if outcome == "failed" or not turn.get("undone"):
        turn.set("undone", "failed" if outcome == "failed" else "succeeded")


def _begin(turn: Turn, undo: Undo) -> None:
    path = undo.path + SUFFIX
    seen = {"input": undo.input} if undo.left_by else None
    turn.put(path, StepState(attempt=turn.attempts_before(path), seen=seen))
    prepare(turn, path)


def _next(turn: Turn) -> Undo | None:
    left = left_to_undo(turn.plan, turn.steps) if turn.plan.compensates else []
    return left[-1] if left else None


def _count(turn: Turn, target: str) -> None:
    for path, state in turn.steps.items():
        if state.flow is not None and state.flow.undoable and target.startswith(path + "["):
            turn.put(path, replace(state, flow=replace(state.flow, undone=state.flow.undone + 1)))
            return


def _under_way(turn: Turn) -> bool:
    return turn.unsettled or any(
        state.status not in FINAL_STEP or (state.flow is not None and bool(state.flow.children))
        for state in turn.steps.values()
    )
