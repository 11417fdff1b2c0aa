"""Steps that are done as soon as they begin: `set`, `remember`, `fail`, `succeed`."""

from __future__ import annotations

from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import Fail, Remember, SetVars, StepPlan, Succeed
from ....definitions.templates import Template
from ..rendering import render_now
from ..turn import Turn
from .ends import fail, open_step, succeed

MESSAGE_MAX_CHARS = 4_096


def begin_set(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Its values go into `vars`, key by key."""
    assert isinstance(step.flow, SetVars)
    _keep(turn, path, step, "vars", step.flow.values, **changes)


def begin_remember(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Its values go into what the next run with the same memory key sees."""
    assert isinstance(step.flow, Remember)
    _keep(turn, path, step, "remembered", step.flow.values, **changes)


def begin_fail(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """The step fails, with the definition's own words."""
    assert isinstance(step.flow, Fail)
    message = render_now(turn, path, step, step.flow.message)
    open_step(turn, path, step, **changes)
    fail(turn, path, ErrorInfo("fail", str(message)[:MESSAGE_MAX_CHARS]))


def begin_succeed(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """The instance has succeeded, whatever else is open."""
    assert isinstance(step.flow, Succeed)
    if step.flow.outputs is not None:
        turn.outputs = render_now(turn, path, step, step.flow.outputs)
    open_step(turn, path, step, **changes)
    succeed(turn, path)
    turn.succeeded = True


def _keep(turn: Turn, path: str, step: StepPlan, field: str, values: Template, **changes: Any) -> None:
    rendered = render_now(turn, path, step, values)
    turn.set(field, {**turn.get(field), **rendered})
    open_step(turn, path, step, **changes)
    succeed(turn, path, rendered)
