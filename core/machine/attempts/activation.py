"""How a step comes to be claimable, or to begin where no executor runs it: dependencies, `if`, approval, input."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ....definitions.plan import StepPlan
from ....definitions.templates import TemplateError
from ..events import StepReady
from ..flow.kinds import begin_flow
from ..seeing.context import template_error
from ..seeing.rendering import render_now, seen_by, step_values
from ..state import Approval, InstanceStatus, StepState, StepStatus
from ..table import ACTIVATE, ASK, DONE_STEP, HOLD, SKIP, TEMPLATE, StepMove
from ..turn import Turn
from .failure import fail_step


def is_done(state: StepState) -> bool:
    """Whether what depends on the step may go on."""
    return state.status in DONE_STEP or state.handled


def dependencies_done(turn: Turn, step: StepPlan, prefix: str) -> bool:
    steps = turn.steps
    return all(is_done(steps[prefix + name]) for name in step.depends_on)


def activate(turn: Turn, path: str) -> None:
    """A pending step whose dependencies are done: skip it, ask for its approval, make it ready, or begin it.

    One that is to be done again is left alone while children of the time before are under way.
    """
    step = turn.step(path)
    state = turn.steps[path]
    if state.flow is not None and state.flow.children:
        return
    decided = state.approval is not None and state.approval.decision in ("approved", "timed_out")
    if step.condition is not None and not decided:
        try:
            holds = render_now(turn, path, step, step.condition)
        except TemplateError as failure:
            fail_step(turn, path, TEMPLATE, template_error(failure))
            return
        if not holds:
            skip(turn, path, SKIP, activated_at_ms=turn.at_ms)
            return
    if step.approval is not None and not decided:
        _ask(turn, path, step.approval.timeout_ms)
    else:
        prepare(turn, path)


def skip(turn: Turn, path: str, move: StepMove, **changes: Any) -> None:
    """The step is done with result null; its dependents go on when the turn settles."""
    turn.move(path, move, wake_at_ms=0, finished_at_ms=turn.at_ms, **changes)
    turn.done.append(path)


def prepare(turn: Turn, path: str, **changes: Any) -> None:
    """Make a step ready, its `input` rendered as of now, and `with` for the check; or begin one without an executor.

    `changes` go into its state.
    """
    step = turn.step(path)
    if step.flow is not None:
        if turn.status is InstanceStatus.PAUSED:
            turn.move(path, HOLD, wake_at_ms=0, **changes)
        else:
            begin_flow(turn, path, step, **changes)
        return
    if "approval" in changes:
        turn.put(path, replace(turn.steps[path], approval=changes["approval"]))  # its templates see it
    seen = seen_by(turn, step)
    if seen is None:
        seen = turn.steps[path].seen  # a compensation's input comes from where the step was done
    try:
        rendered = step_values(turn, path, step, turn.at_ms, seen, check_with=True)
    except TemplateError as failure:
        fail_step(turn, path, TEMPLATE, template_error(failure), **changes)
        return
    _make_ready(turn, path, step, rendered, ACTIVATE, activated_at_ms=turn.at_ms, seen=seen, **changes)


def ready_again(turn: Turn, path: str, move: StepMove, **changes: Any) -> None:
    """Make a step ready for its next attempt, with the input that it had at its activation."""
    step = turn.step(path)
    state = turn.steps[path]
    try:
        rendered = step_values(turn, path, step, state.activated_at_ms, state.seen, check_with=False)
    except TemplateError as failure:
        fail_step(turn, path, TEMPLATE, template_error(failure), **changes)
        return
    _make_ready(turn, path, step, rendered, move, token=0, lease_ttl_ms=0, worker=None, **changes)


def offer_again(turn: Turn, path: str) -> None:
    """A step that became ready, or was, while the instance was paused may be claimed from now on."""
    step, state = turn.step(path), turn.steps[path]
    try:
        rendered = step_values(turn, path, step, state.activated_at_ms, state.seen, check_with=False)
    except TemplateError as failure:
        fail_step(turn, path, TEMPLATE, template_error(failure))
        return
    wake_at_ms = turn.at_ms + step.queue_timeout_ms if step.queue_timeout_ms else 0
    turn.put(path, replace(state, wake_at_ms=wake_at_ms, ready_at_ms=turn.at_ms))
    turn.lively = True
    turn.effects.append(StepReady(path, step.executor, turn.at_ms, rendered))


def _make_ready(turn: Turn, path: str, step: StepPlan, rendered: Any, move: StepMove, **changes: Any) -> None:
    at_ms = turn.at_ms
    paused = turn.status is InstanceStatus.PAUSED
    wake_at_ms = at_ms + step.queue_timeout_ms if step.queue_timeout_ms and not paused else 0
    state = turn.steps[path]
    turn.moved(path, move, replace(state, status=move.target, ready_at_ms=at_ms, wake_at_ms=wake_at_ms, **changes))
    if not paused:
        turn.effects.append(StepReady(path, step.executor, at_ms, rendered))


def _ask(turn: Turn, path: str, timeout_ms: int) -> None:
    timeout_at_ms = turn.at_ms + timeout_ms if timeout_ms else 0
    approval = Approval(asked_at_ms=turn.at_ms, timeout_at_ms=timeout_at_ms)
    turn.move(path, ASK, activated_at_ms=turn.at_ms, wake_at_ms=timeout_at_ms, approval=approval)
    if not turn.times.waits.asked_since_ms:
        turn.waits(replace(turn.times.waits, asked_since_ms=turn.at_ms))


def waits_for_approval(state: StepState) -> bool:
    """Whether somebody is asked whether the step may go on."""
    approval = state.approval
    return state.status is StepStatus.WAITING and approval is not None and approval.decision == "pending"
