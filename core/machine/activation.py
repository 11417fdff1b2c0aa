"""How a step comes to be claimable: dependencies, `if`, approval, input."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...definitions.plan import StepPlan
from ...definitions.templates import TemplateError
from .context import step_context, template_error
from .events import StepReady
from .failure import fail_step
from .state import Approval, StepStatus
from .table import ACTIVATE, ASK, DONE_STEP, SKIP, TEMPLATE, StepMove
from .turn import Turn


def settle(turn: Turn) -> None:
    """Activate what waited for the steps that are done in this turn, and what waited for steps skipped meanwhile."""
    for path in turn.done:  # grows while it is walked: skipped steps join it
        for name in turn.step(path).dependents:
            if turn.ended:
                return
            if turn.steps[name].status is StepStatus.PENDING and dependencies_done(turn, name):
                activate(turn, name)


def dependencies_done(turn: Turn, path: str) -> bool:
    steps = turn.steps
    return all(steps[name].status in DONE_STEP for name in turn.step(path).depends_on)


def activate(turn: Turn, path: str) -> None:
    """A pending step whose dependencies are done: skip it, ask for its approval, or make it ready."""
    step = turn.step(path)
    if step.condition is not None:
        try:
            holds = step.condition.render(step_context(turn.instance, turn.steps, step, turn.at_ms))
        except TemplateError as failure:
            fail_step(turn, path, TEMPLATE, template_error(failure))
            return
        if not holds:
            skip(turn, path, SKIP, activated_at_ms=turn.at_ms)
            return
    if step.approval is not None:
        _ask(turn, path, step.approval.timeout_ms)
    else:
        prepare(turn, path)


def skip(turn: Turn, path: str, move: StepMove, **changes: Any) -> None:
    """The step is done with result null; its dependents go on when the turn settles."""
    turn.move(path, move, wake_at_ms=0, finished_at_ms=turn.at_ms, **changes)
    turn.done.append(path)


def prepare(turn: Turn, path: str, **changes: Any) -> None:
    """Render a step's `input`, and `with` for the check, as of now, and make it ready; `changes` go into its state."""
    step = turn.step(path)
    try:
        rendered = _render(turn, step, turn.at_ms, check_with=True)
    except TemplateError as failure:
        fail_step(turn, path, TEMPLATE, template_error(failure), **changes)
        return
    _make_ready(turn, path, step, rendered, ACTIVATE, activated_at_ms=turn.at_ms, **changes)


def ready_again(turn: Turn, path: str, move: StepMove, **changes: Any) -> None:
    """Make a step ready for its next attempt, with the input that it had at its activation."""
    step = turn.step(path)
    try:
        rendered = _render(turn, step, turn.steps[path].activated_at_ms, check_with=False)
    except TemplateError as failure:
        fail_step(turn, path, TEMPLATE, template_error(failure), **changes)
        return
    _make_ready(turn, path, step, rendered, move, token=0, lease_ttl_ms=0, worker=None, **changes)


def _render(turn: Turn, step: StepPlan, now_ms: int, *, check_with: bool) -> Any:
    with_ = step.with_ if check_with else None
    if step.input is None and with_ is None:
        return step.static_input
    context = step_context(turn.instance, turn.steps, step, now_ms)
    if with_ is not None:
        with_.render(context)
    return step.static_input if step.input is None else step.input.render(context)


def _make_ready(turn: Turn, path: str, step: StepPlan, rendered: Any, move: StepMove, **changes: Any) -> None:
    at_ms = turn.at_ms
    wake_at_ms = at_ms + step.queue_timeout_ms if step.queue_timeout_ms else 0
    state = turn.steps[path]
    turn.moved(path, move, replace(state, status=move.target, ready_at_ms=at_ms, wake_at_ms=wake_at_ms, **changes))
    turn.effects.append(StepReady(path, step.executor, at_ms, rendered))


def _ask(turn: Turn, path: str, timeout_ms: int) -> None:
    timeout_at_ms = turn.at_ms + timeout_ms if timeout_ms else 0
    approval = Approval(asked_at_ms=turn.at_ms, timeout_at_ms=timeout_at_ms)
    turn.move(path, ASK, activated_at_ms=turn.at_ms, wake_at_ms=timeout_at_ms, approval=approval)
