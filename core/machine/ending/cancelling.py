"""What is open ends before it is done: leases, ready steps, children."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ..events import ChildSteered, LeaseEnded, ReadyEnded
from ..reckoning import waited
from ..state import FINAL_STEP, InstanceStatus, StepState, StepStatus
from ..table import CANCEL
from ..turn import Turn


def cancel_open(turn: Turn, prefix: str, error: ErrorInfo, *, how: Literal["cancel", "terminate"] = "cancel") -> None:
    """Cancel what is open under run paths that begin with `prefix`, in the order of the steps."""
    for path, state in list(turn.steps.items()):
        if path.startswith(prefix):
            if state.status not in FINAL_STEP:
                leave(turn, path, state, error, how=how)
                cancelled = turn.steps[path]
                turn.moved(path, CANCEL, _ended(cancelled, turn.at_ms))
            elif how == "terminate":
                end_children(turn, state, error, how=how)


def leave(
    turn: Turn,
    path: str,
    state: StepState,
    error: ErrorInfo,
    *,
    how: Literal["cancel", "terminate"] = "cancel",
) -> None:
    """What a step has under way ends: its lease, its place in the queue, its children; its own status stays."""
    turn.lively = False  # it may have been this very step: a look at all of them tells
    if state.status is StepStatus.CLAIMED:
        turn.effects.append(LeaseEnded(path, state.token, f"{error.type}: {error.message}"))
        turn.record(path, state, "cancelled", error=error)
    elif state.status is StepStatus.READY and turn.instance.status is not InstanceStatus.PAUSED:
        turn.effects.append(ReadyEnded(path))
    else:
        waited(turn, path, state)
        end_children(turn, state, error, how=how)


def end_children(
    turn: Turn, state: StepState, error: ErrorInfo, *, how: Literal["cancel", "terminate"] = "cancel"
) -> None:
    """The step's children are told to end. They stay listed until they have."""
    for child in state.flow.children if state.flow is not None else ():
        turn.effects.append(ChildSteered(child.id, how, f"{error.type}: {error.message}"))


def _ended(state: StepState, at_ms: int) -> StepState:
    return replace(state, status=CANCEL.target, token=0, wake_at_ms=0, lease_ttl_ms=0, finished_at_ms=at_ms)
