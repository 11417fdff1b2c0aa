"""`while`: its condition is asked before each iteration, and the iteration that its limit forbids fails it.

Only the last two iterations' states stay, so that a long loop costs no more than a short one; but those of steps that
can be undone, or have children under way, stay as well.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ....definitions.plan import StepPlan, While
from ....definitions.templates import TemplateError
from ..seeing.context import template_error
from ..seeing.rendering import context_now, seen_by
from ..seeing.visible import VisibleSteps, scopes
from ..state import Progress, StepStatus, plain
from ..turn import Turn
from .ends import fail, open_step, succeed


def begin_while(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Ask for the first time."""
    open_step(turn, path, step, Progress(), **changes)
    iterate(turn, path, step)


def iterate(turn: Turn, path: str, step: StepPlan) -> None:
    """The next iteration begins if the condition holds; else the step is done."""
    flow, state = step.flow, turn.steps[path]
    assert isinstance(flow, While)
    assert state.flow is not None
    begun = state.flow.iteration
    try:
        holds = flow.condition.render(_context(turn, path, step, flow, begun - 1))
    except TemplateError as failure:
        fail(turn, path, template_error(failure))
        return
    if not holds:
        succeed(turn, path)
    elif begun >= flow.max_iterations:
        most = f"max_iterations is {flow.max_iterations}"
        fail(turn, path, ErrorInfo("max_iterations", f"{most}, and after {begun} iterations the condition still holds"))
    else:
        _forget(turn, path, begun - 2)
        turn.put(path, replace(state, flow=replace(state.flow, iteration=begun + 1)))
        turn.enter(flow.body, f"{path}[{begun}].")


def _context(turn: Turn, path: str, step: StepPlan, flow: While, last: int) -> Any:
    """The condition sees the body's steps of the last iteration before those outside."""
    visible, outside = scopes(turn.plan, step, path)
    names = frozenset(flow.body.names)
    inner = (f"{path}[{last}].", names)
    visible = [inner, *visible] if last >= 0 else [*visible, inner]
    more = plain(turn.instance.outer)["steps"] if outside and turn.instance.outer is not None else None
    context = context_now(turn, path, step, seen=seen_by(turn, step))
    return context.also(steps=VisibleSteps(turn.plan, turn.steps, visible, more))


def _forget(turn: Turn, path: str, iteration: int) -> None:
    prefix = f"{path}[{iteration}]."
    for inner, state in list(turn.steps.items()):
        if inner.startswith(prefix):
            flow = state.flow
            undoable = flow is not None and (flow.undoable or bool(flow.children))
            keeps = turn.plan.compensates and turn.step(inner).compensation is not None
            if not (undoable or (keeps and state.status is StepStatus.SUCCEEDED and not state.undone)):
                turn.drop(inner)
