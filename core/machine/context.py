"""What templates see, and the values that they make for a step.

A step sees its ancestors only, so what it sees is final when it is activated: rendering again at `activated_at_ms`
gives the same value, and nothing rendered needs storing. Times are ISO 8601 texts in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from ...claim.wire import ErrorInfo
from ...definitions.plan import Plan, StepPlan
from ...definitions.templates import TemplateError
from .state import Instance, StepState, plain


def render_input(instance: Instance, plan: Plan, path: str) -> Any:
    """The step's input as it was rendered at its activation. Raises: TemplateError, KeyError for an unknown path."""
    step = plan.steps[path]
    if step.input is None:
        return step.static_input
    return step.input.render(step_context(instance, instance.steps, step, instance.steps[path].activated_at_ms))


def with_values(instance: Instance, plan: Plan, path: str) -> dict[str, Any]:
    """What the step has under `with:`, rendered as its input is. Raises: TemplateError, KeyError."""
    step = plan.steps[path]
    if step.with_ is None:
        return dict(step.static_with)
    context = step_context(instance, instance.steps, step, instance.steps[path].activated_at_ms)
    return {**step.static_with, **step.with_.render(context)}


def step_context(instance: Instance, steps: Mapping[str, StepState], step: StepPlan, now_ms: int) -> dict[str, Any]:
    """What a step's templates see."""
    return context(instance, steps, step.ancestors, now_ms)


def context(
    instance: Instance, steps: Mapping[str, StepState], visible: Collection[str], now_ms: int
) -> dict[str, Any]:
    """The names of the language that stand at the top of a template, with the `visible` ones of `steps`."""
    return {
        "inputs": plain(instance.inputs),
        "trigger": plain(instance.trigger),
        # In the order of `steps`: the order of a set differs from process to process, and templates may iterate.
        "steps": {name: _facts(state) for name, state in steps.items() if name in visible} if visible else {},
        "instance": {
            "id": instance.id,
            "name": instance.workflow,
            "version": instance.version,
            "tenant": instance.tenant,
            "space": instance.space,
            "started_at": _timestamp(instance.created_at_ms),
        },
        "now": _timestamp(now_ms),
    }


def template_error(failure: TemplateError) -> ErrorInfo:
    """A template's failure as the error of the step or instance that it fails, with its place in the YAML."""
    place = ", ".join(
        part for part in (failure.path, f"line {failure.line}" if failure.line is not None else "") if part
    )
    return ErrorInfo("template", f"template at {place}: {failure}" if place else f"template: {failure}")


def _facts(state: StepState) -> dict[str, Any]:
    return {
        "result": plain(state.result),
        "status": state.status.value,
        "error": None if state.error is None else {"type": state.error.type, "message": state.error.message},
        "attempts": state.attempt,
        "started_at": _timestamp(state.claimed_at_ms) if state.claimed_at_ms else None,
    }


def _timestamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
