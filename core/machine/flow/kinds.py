"""Which kind of step does what when it begins, and when its time is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import (
    Fail,
    Foreach,
    Parallel,
    Remember,
    SetVars,
    StepPlan,
    SubWorkflow,
    Succeed,
    Switch,
    Wait,
    WaitForSignal,
    While,
)
from ....definitions.templates import TemplateError
from ..attempts.failure import fail_step
from ..reckoning import waited
from ..seeing.context import template_error
from ..table import TEMPLATE
from ..turn import Turn
from .branches import begin_parallel, begin_switch
from .children import begin_foreach, begin_workflow, children_late
from .ends import fail, succeed
from .loops import begin_while
from .values import begin_fail, begin_remember, begin_set, begin_succeed
from .waits import begin_signal, begin_wait, signal_late

_BEGIN: dict[type, Callable[..., None]] = {
    Foreach: begin_foreach,
    Parallel: begin_parallel,
    Switch: begin_switch,
    While: begin_while,
    SubWorkflow: begin_workflow,
    Wait: begin_wait,
    WaitForSignal: begin_signal,
    SetVars: begin_set,
    Remember: begin_remember,
    Fail: begin_fail,
    Succeed: begin_succeed,
}


def begin_flow(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """A step that no executor runs begins; `changes` go into its state."""
    try:
        _BEGIN[type(step.flow)](turn, path, step, **changes)
    except TemplateError as failure:
        fail_step(turn, path, TEMPLATE, template_error(failure), **changes)


def flow_late(turn: Turn, path: str, step: StepPlan, random: float) -> None:
    """The timer of a step that no executor runs is due."""
    waited(turn, path, turn.steps[path])
    if isinstance(step.flow, Wait):
        succeed(turn, path)
    elif isinstance(step.flow, WaitForSignal):
        signal_late(turn, path, step)
    elif isinstance(step.flow, Foreach | SubWorkflow):
        children_late(turn, path, step, random)
    else:
        fail(turn, path, ErrorInfo("timeout", f"it took longer than {step.timeout_ms} ms"))
