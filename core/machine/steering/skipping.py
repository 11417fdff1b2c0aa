"""Skip: a step is not to be done, whatever of it is under way."""

from __future__ import annotations

from ....claim.wire import ErrorInfo
from ..ending.cancelling import leave
from ..events import Refused, SkipRequested
from ..flow.ends import cancel_inside
from ..state import FINAL_STEP, Progress, StepState, StepStatus
from ..table import SKIP_IT
from ..turn import Turn, unknown_step


def skipped(turn: Turn, event: SkipRequested) -> Refused | None:
    """The step counts as skipped; what depends on it may go on once its other dependencies are done."""
    path = event.path
    state = turn.steps.get(path)
    if state is None:
        return unknown_step(path)
    if state.status is StepStatus.SKIPPED:
        return None
    if turn.get("queued"):
        return Refused("not_open", "the instance is queued: nothing of it has begun")
    if state.status in FINAL_STEP:
        return Refused("not_open", f"step {path!r} can't be skipped: it is {state.status.value}")
    error = ErrorInfo("skipped", f"skipped by {event.by}" + (f": {event.reason}" if event.reason else ""))
    cancel_inside(turn, path, error)
    if state.flow is None:
        leave(turn, path, state, error)
    turn.move(path, SKIP_IT, token=0, lease_ttl_ms=0, wake_at_ms=0, finished_at_ms=turn.at_ms, flow=_left(state))
    turn.done.append(path)
    return None


def _left(state: StepState) -> Progress | None:
    """Children that are still to end stay listed."""
    return None if state.flow is None else Progress(count=state.flow.count, children=state.flow.children)
