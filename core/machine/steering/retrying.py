"""Do again: a step and all that comes after it, in an instance under way or in one that has ended.

Attempts are never counted anew. A step that was undone counts as not done, so it is done again too. What stands inside
a step is done again as a whole with it, from the first item or iteration on.
"""

from __future__ import annotations

from ....claim.wire import ErrorInfo
from ..attempts.activation import activate, dependencies_done, ready_again
from ..ending.cancelling import leave
from ..ending.undoing import is_undo
from ..events import Refused, RetryRequested
from ..flow.ends import cancel_inside
from ..flow.kinds import begin_flow
from ..state import FINAL_INSTANCE, FINAL_STEP, Child, Progress, StepState, StepStatus
from ..table import REDRIVE, RESET, RETRY
from ..turn import Turn, unknown_step


def retried(turn: Turn, event: RetryRequested) -> Refused | None:
    """Do the named step again, or those that failed, or all."""
    ended = turn.instance.status in FINAL_INSTANCE
    refused = _refusal(turn, event, ended)
    if refused is not None:
        return refused
    if not ended and event.path and turn.steps[event.path].status is StepStatus.BACKING_OFF:
        _at_once(turn, event.path)
        return None
    again = _chosen(turn, event, ended)
    if not again:
        return Refused("not_open", "no step has failed: name the step to do again, or say from_start")
    if event.inputs is not None:
        turn.set("inputs", event.inputs)
        turn.set("inputs_ref", getattr(event.inputs, "ref", None))
    if ended:
        _bring_back(turn)
    turn.set("renumbered", True)
    error = ErrorInfo("retried", f"done again, asked for by {event.by}")
    for path in _with_dependents(turn, again):
        _reset(turn, path, error)
    if ended and (event.queued or turn.instance.group is not None):
        # It gave its slot up when it ended: it waits for one like any other.
        turn.set("queued", True)
        turn.set("backlogged", True)
        turn.set("queued_at_ms", turn.at_ms)
    else:
        begin_due(turn)
    return None


def begin_due(turn: Turn) -> None:
    """Activate what is pending and waits for nothing."""
    for path in [path for path, state in turn.steps.items() if state.status is StepStatus.PENDING]:
        step = turn.step(path)
        prefix = step.prefix_of(path)
        if turn.steps[path].status is StepStatus.PENDING and dependencies_done(turn, step, prefix) and not turn.paused:
            activate(turn, path)


def _refusal(turn: Turn, event: RetryRequested, ended: bool) -> Refused | None:
    if turn.ending is not None:
        return Refused("not_open", "the instance is ending: retry it when it has ended")
    if turn.get("queued") and not ended:
        return Refused("not_open", "the instance is queued, and has not begun")
    if not event.path:
        return None
    state = turn.steps.get(event.path)
    step = turn.plan.steps.get(event.path) if state is None else turn.step(event.path)
    if step is None or state is None:
        return unknown_step(event.path)
    if is_undo(step.name):
        return Refused("not_open", f"{event.path!r} is a compensation: retry the step that it undoes")
    main = step.block is None or step.block.role == "main"
    if not main and state.status is not StepStatus.BACKING_OFF:
        top = event.path.partition(".")[0].partition("[")[0]
        return Refused("not_open", f"step {event.path!r} stands inside another one: retry {top!r} instead")
    return None


def _at_once(turn: Turn, path: str) -> None:
    step = turn.step(path)
    if step.flow is None:
        ready_again(turn, path, RETRY)
    else:
        begin_flow(turn, path, step)


def _chosen(turn: Turn, event: RetryRequested, ended: bool) -> list[str]:
    names = [path for path in turn.steps if _is_own(turn, path)]
    if event.from_start:
        return names
    if not ended:
        return [event.path] if event.path else [path for path in names if turn.steps[path].status is StepStatus.FAILED]
    # What the end cut short has to be done in any case, or what comes after it would wait for ever.
    unfinished = [path for path in names if _unfinished(turn, path)]
    return [event.path, *unfinished] if event.path else unfinished


def _is_own(turn: Turn, path: str) -> bool:
    block = turn.step(path).block
    return (block is None or block.role == "main") and not is_undo(path)


def _unfinished(turn: Turn, path: str) -> bool:
    state = turn.steps[path]
    failed = state.status is StepStatus.FAILED and not state.handled
    if failed or state.status in (StepStatus.CANCELLED, StepStatus.PENDING) or _undone(state):
        return True
    inside = (f"{path}.", f"{path}[")
    return any(_undone(inner) for at, inner in turn.steps.items() if at.startswith(inside))


def _undone(state: StepState) -> bool:
    return state.undone == "succeeded" or (state.flow is not None and state.flow.undone > 0)


def _with_dependents(turn: Turn, paths: list[str]) -> list[str]:
    """These steps and all that come after them in their blocks, in the order of the states."""
    found: set[str] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            step = turn.step(path)
            prefix = step.prefix_of(path)
            waiting += [prefix + name for name in step.dependents]
    return [path for path in turn.steps if path in found]


def _reset(turn: Turn, path: str, error: ErrorInfo) -> None:
    """As if it had not begun, but for its attempts; what it had under way ends."""
    state = turn.steps[path]
    if state.status not in FINAL_STEP:
        cancel_inside(turn, path, error)
        if state.flow is None:
            leave(turn, path, state, error)
        state = turn.steps[path]
    left = [*_children(state)]
    for inner, inner_state in list(turn.steps.items()):
        if inner.startswith((f"{path}.", f"{path}[")):
            left += _children(inner_state)
            _forget(turn, inner, inner_state)
    if state.status is StepStatus.PENDING and not left:
        return
    flow = Progress(children=tuple(left)) if left else None
    turn.moved(path, RESET, StepState(attempt=state.attempt, flow=flow))


def _children(state: StepState) -> tuple[Child, ...]:
    """Children that have been told to end: the step is not done again before they have."""
    return state.flow.children if state.flow is not None else ()


def _bring_back(turn: Turn) -> None:
    """The instance lives again, with a `max_duration` of its own."""
    turn.move_instance(REDRIVE)
    turn.error = None
    turn.outputs = None
    turn.finished_at_ms = 0
    turn.set("outputs_ref", None)
    turn.set("redrives", turn.instance.redrives + 1)
    turn.set("undone", "")
    turn.set("deadline_ms", turn.at_ms + turn.plan.max_duration_ms if turn.plan.max_duration_ms else 0)
    for path in list(turn.steps):
        if path.startswith(("on_failure.", "on_cancel.")) or is_undo(path):
            _forget(turn, path, turn.steps[path])


def _forget(turn: Turn, path: str, state: StepState) -> None:
    """The state goes; where it may come again under this very path its attempts are counted on."""
    if state.attempt and "[" not in path:
        turn.set("earlier", {**turn.get("earlier"), path: state.attempt})
    turn.drop(path)
