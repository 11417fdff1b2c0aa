"""Steps that are done as soon as they begin: `set`, `remember`, `fail`, `succeed`."""

from __future__ import annotations

from typing import Any

import msgspec

from ....claim.wire import ErrorInfo
from ....definitions.plan import Fail, Remember, SetVars, StepPlan, Succeed
from ..seeing.rendering import render_now
from ..state import plain
from ..turn import Turn
from .ends import fail, open_step, succeed

MESSAGE_MAX_CHARS = 4_096
"""Where the message of a `fail` step is cut."""

MEMORY_MAX_BYTES = 65_536
"""What all runs with one memory key have remembered, as JSON."""


def begin_set(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Its values go into `vars`, key by key."""
    assert isinstance(step.flow, SetVars)
    rendered = render_now(turn, path, step, step.flow.values)
    turn.set("vars", {**turn.get("vars"), **rendered})
    open_step(turn, path, step, **changes)
    succeed(turn, path, rendered)


def begin_remember(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Its values go into what the next run with the same memory key sees; too much of it fails the step."""
    assert isinstance(step.flow, Remember)
    rendered = render_now(turn, path, step, step.flow.values)
    remembered = {**turn.get("remembered"), **rendered}
    size_bytes = len(msgspec.json.encode({**(plain(turn.instance.memory) or {}), **remembered}))
    open_step(turn, path, step, **changes)
    if size_bytes > MEMORY_MAX_BYTES:
        message = f"memory would have {size_bytes} bytes; at most {MEMORY_MAX_BYTES} are allowed"
        fail(turn, path, ErrorInfo("memory_too_large", message))
        return
    turn.set("remembered", remembered)
    succeed(turn, path, rendered)


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
