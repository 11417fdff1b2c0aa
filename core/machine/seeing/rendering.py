"""Templates rendered in a turn, which see what has become of the instance in it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ....definitions.plan import StepPlan
from ....definitions.templates import Template
from ..turn import Turn
from .context import Context


def seen_by(turn: Turn, step: StepPlan) -> dict[str, Any] | None:
    """What a step that is activated now sees of what may change later."""
    return {name: turn.get(name) for name in sorted(step.reads)} if step.reads else None


def context_now(
    turn: Turn, path: str, step: StepPlan, now_ms: int | None = None, seen: dict[str, Any] | None = None
) -> Context:
    """What a step's templates see in this turn, at its time or at `now_ms`."""
    instance, inputs = turn.instance, turn.get("inputs")
    if instance.error is not turn.error or instance.inputs is not inputs:
        instance = replace(instance, error=turn.error, inputs=inputs)
    return Context(instance, turn.plan, turn.steps, step, path, turn.at_ms if now_ms is None else now_ms, seen)


def render_now(turn: Turn, path: str, step: StepPlan, template: Template) -> Any:
    """One of a step's templates, as of now. Raises: TemplateError."""
    return template.render(context_now(turn, path, step, seen=seen_by(turn, step)))


def step_values(
    turn: Turn, path: str, step: StepPlan, now_ms: int, seen: dict[str, Any] | None, *, check_with: bool
) -> Any:
    """The step's input; `check_with` renders what stands under `with:` too. Raises: TemplateError."""
    with_ = step.with_ if check_with else None
    given = seen is not None and "input" in seen
    if with_ is None and (step.input is None or given):
        return seen["input"] if given and seen is not None else step.static_input
    context = context_now(turn, path, step, now_ms, seen)
    if with_ is not None:
        with_.render(context)
    if given and seen is not None:
        return seen["input"]
    return step.static_input if step.input is None else step.input.render(context)
