"""Steps that child instances run: sub-workflows, and `foreach`, whose items are shared out among several.

The step records the child before it begins (`ChildWanted`), and keeps it in `Progress.children` until it has ended.
A foreach has so many children under way that no more than `max_parallel` items are.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ....claim.wire import ErrorInfo, Usage
from ....definitions.plan import Foreach, StepPlan, SubWorkflow
from ....definitions.words import kind
from ..attempts.failure import fail_attempt
from ..budgets import NOTHING, grow, overspent
from ..children import CHILD_ITEMS, child_id, shares_at_once
from ..events import ChildEnded, ChildRefused, ChildReported, ChildWanted, Refused
from ..reckoning import child_took
from ..seeing.rendering import render_now, step_values
from ..state import Child, InstanceStatus, Progress, StepState, StepStatus, plain
from ..turn import Turn
from .ends import cancel_inside, fail, open_step, succeed


def begin_foreach(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Its items are counted, and its first children wanted."""
    flow = step.flow
    assert isinstance(flow, Foreach)
    items = render_now(turn, path, step, flow.items)
    if not isinstance(items, list):
        open_step(turn, path, step, **changes)
        fail(turn, path, ErrorInfo("foreach", f"`foreach` gave {kind(items)}; it takes a list"))
        return
    order = turn.attempts if turn.plan.compensates else 0
    open_step(turn, path, step, Progress(count=len(items)), finished_order=order, **changes)
    if items:
        _share_out(turn, path, flow)
    else:
        succeed(turn, path)


def begin_workflow(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """One child; its input is rendered for the check, and again when the child begins."""
    assert isinstance(step.flow, SubWorkflow)
    state = turn.steps[path]
    child = Child(child_id(turn.instance.id, path, state.attempt + 1))
    # One that ran too long is told to stop, and stays listed until it has ended.
    before = state.flow.children if state.flow is not None else ()
    open_step(turn, path, step, Progress(children=(*before, child)), **changes)
    step_values(turn, path, step, turn.at_ms, turn.steps[path].seen, check_with=False)
    turn.effects.append(ChildWanted(path, child))


def child_reported(turn: Turn, event: ChildReported) -> Refused | None:
    """What a child has used counts here too, as soon as it is known."""
    found = _child(turn, event.path, event.child)
    if isinstance(found, Refused):
        return found
    path, state, child = found
    _count_usage(turn, path, state, child, event.usage, event.attempts)
    turn.spent = overspent(turn)
    return None


def child_ended(turn: Turn, event: ChildEnded) -> Refused | None:
    """A child is no longer under way."""
    found = _child(turn, event.path, event.child)
    if isinstance(found, Refused):
        return found
    path, state, child = found
    _count_usage(turn, path, state, child, event.usage, event.attempts)
    child_took(turn, event.times)
    state = _without(turn, path, child)
    open_still = state.status is StepStatus.WAITING and state.flow is not None and not state.flow.handling
    if path != event.path or state.status is StepStatus.PENDING:
        return None
    step = turn.step(path)
    if isinstance(step.flow, Foreach):
        _share_ended(turn, event, step, child, open_still)
    elif open_still:
        _workflow_ended(turn, event, step)
    turn.spent = overspent(turn)
    return None


def child_refused(turn: Turn, event: ChildRefused) -> Refused | None:
    """A child could not begin, which no retry would change."""
    found = _child(turn, event.path, event.child)
    if isinstance(found, Refused):
        return found
    path, _, child = found
    state = _without(turn, path, child)
    if path == event.path and state.status is StepStatus.WAITING:
        fail(turn, path, event.error)
    return None


def children_late(turn: Turn, path: str, step: StepPlan, random: float) -> None:
    """The step's timeout is over: its children are cancelled, and a sub-workflow may be tried again."""
    error = ErrorInfo("timeout", f"it took longer than {step.timeout_ms} ms")
    cancel_inside(turn, path, error)
    _fail_or_retry(turn, path, step, error, random)


def _workflow_ended(turn: Turn, event: ChildEnded, step: StepPlan) -> None:
    if event.status == InstanceStatus.SUCCEEDED.value:
        succeed(turn, event.path, event.result)
        return
    assert isinstance(step.flow, SubWorkflow)
    error = event.error or ErrorInfo(event.status)
    message = f"sub-workflow {step.flow.workflow!r} ({event.child}) was {event.status}: {error.message or error.type}"
    if event.status == InstanceStatus.FAILED.value:
        message = f"sub-workflow {step.flow.workflow!r} ({event.child}) failed: {error.message or error.type}"
    _fail_or_retry(turn, event.path, step, ErrorInfo(error.type, message), event.random)


def _fail_or_retry(turn: Turn, path: str, step: StepPlan, error: ErrorInfo, random: float) -> None:
    if isinstance(step.flow, SubWorkflow):
        fail_attempt(turn, path, turn.steps[path], "failed", error, random=random)
    else:
        fail(turn, path, error)


def _share_ended(turn: Turn, event: ChildEnded, step: StepPlan, child: Child, open_still: bool) -> None:
    path, state = event.path, turn.steps[event.path]
    flow = state.flow
    assert flow is not None
    succeeded = event.status == InstanceStatus.SUCCEEDED.value
    if event.result is not None:
        left = plain(event.result)
        undoable = flow.undoable or bool(left["undo"])
        failed = flow.failed + len(left["failures"])
        flow = replace(flow, ended=flow.ended + succeeded, failed=failed, undoable=undoable)
        state = turn.put(path, replace(state, flow=flow, parts={**state.parts, child.number: event.result}))
    if not open_still:
        return
    if not succeeded:
        fail(turn, path, event.error or ErrorInfo(event.status, f"items of {path!r} were {event.status}"))
        return
    assert isinstance(step.flow, Foreach)
    _share_out(turn, path, step.flow)
    if flow.ended * CHILD_ITEMS >= flow.count:
        succeed(turn, path)


def _share_out(turn: Turn, path: str, plan: Foreach) -> None:
    """Begin as many children as may be under way."""
    state = turn.steps[path]
    flow = state.flow
    assert flow is not None
    if turn.status is InstanceStatus.PAUSED:
        return
    children, begun = list(flow.children), flow.begun
    while begun * CHILD_ITEMS < flow.count and len(children) < shares_at_once(plan, flow.count):
        child = Child(child_id(turn.instance.id, path, state.attempt, begun), begun)
        first = begun * CHILD_ITEMS
        turn.effects.append(ChildWanted(path, child, first, min(CHILD_ITEMS, flow.count - first)))
        children.append(child)
        begun += 1
    if begun != flow.begun:
        turn.put(path, replace(state, flow=replace(flow, begun=begun, children=tuple(children))))


def share_out_again(turn: Turn, path: str) -> None:
    """The instance goes on after a pause: children that were not begun meanwhile are."""
    step = turn.step(path)
    if isinstance(step.flow, Foreach) and turn.steps[path].status is StepStatus.WAITING:
        _share_out(turn, path, step.flow)


def _child(turn: Turn, path: str, child_id: str) -> tuple[str, StepState, Child] | Refused:
    """Which step has this child under way now: that of `path`, or the one outside it that is to be done again."""
    state = turn.steps.get(path)
    for place, at in ((path, state), *turn.steps.items()):
        for child in at.flow.children if at is not None and at.flow is not None else ():
            if child.id == child_id:
                assert at is not None
                return place, at, child
    return Refused("not_open", f"step {path!r} has no child {child_id} under way")


def _count_usage(turn: Turn, path: str, state: StepState, child: Child, usage: Usage | None, attempts: int) -> None:
    known = child.usage or NOTHING
    if usage is not None:
        grow(turn, known, usage)
    turn.attempts += max(0, attempts - child.attempts)
    now = replace(child, usage=usage or child.usage, attempts=max(attempts, child.attempts))
    if now != child:
        assert state.flow is not None
        children = tuple(now if one.id == child.id else one for one in state.flow.children)
        turn.put(path, replace(state, flow=replace(state.flow, children=children)))


def _without(turn: Turn, path: str, child: Child) -> StepState:
    state = turn.steps[path]
    assert state.flow is not None
    children = tuple(one for one in state.flow.children if one.id != child.id)
    if not children:
        turn.childless.append(path)
    return turn.put(path, replace(state, flow=replace(state.flow, children=children)))
