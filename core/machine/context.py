"""What templates see, and the values that they make for a step.

A step sees its ancestors only, so what it sees is final when it is activated: rendering again at `activated_at_ms`
gives the same value, and nothing rendered needs storing. Times are ISO 8601 texts in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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


class Context(Mapping[str, Any]):
    """What a template sees, each part made when it is looked at. The shape is that of `definitions.templates`."""

    __slots__ = ("_instance", "_made", "_now_ms", "_states", "_visible")

    def __init__(
        self, instance: Instance, states: Mapping[str, StepState], visible: Collection[str], now_ms: int
    ) -> None:
        self._instance = instance
        self._states = states
        self._visible = visible
        self._now_ms = now_ms
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        made = self._made
        if name not in made:
            made[name] = _PARTS[name](self)
        return made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_PARTS)

    def __len__(self) -> int:
        return len(_PARTS)

    def _inputs(self) -> Any:
        return plain(self._instance.inputs)

    def _trigger(self) -> Any:
        return plain(self._instance.trigger)

    def _steps(self) -> Any:
        return VisibleSteps(self._states, self._visible)

    def _about_instance(self) -> Any:
        instance = self._instance
        return {
            "id": instance.id,
            "name": instance.workflow,
            "version": instance.version,
            "tenant": instance.tenant,
            "space": instance.space,
            "started_at": _timestamp(instance.created_at_ms),
        }

    def _now(self) -> Any:
        return _timestamp(self._now_ms)


_PARTS: dict[str, Callable[[Context], Any]] = {
    "inputs": Context._inputs,
    "trigger": Context._trigger,
    "steps": Context._steps,
    "instance": Context._about_instance,
    "now": Context._now,
}


class VisibleSteps(Mapping[str, Any]):
    """The steps that a template may see, in the order of the plan: that of a set differs from process to process."""

    __slots__ = ("_made", "_states", "_visible")

    def __init__(self, states: Mapping[str, StepState], visible: Collection[str]) -> None:
        self._states = states
        self._visible = visible
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        made = self._made
        if name not in made:
            if name not in self._visible:
                raise KeyError(name)
            made[name] = _facts(self._states[name])
        return made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._visible

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._states if name in self._visible)

    def __len__(self) -> int:
        return len(self._visible)


def step_context(instance: Instance, states: Mapping[str, StepState], step: StepPlan, now_ms: int) -> Context:
    """What a step's templates see: its ancestors among the steps."""
    return Context(instance, states, step.ancestors, now_ms)


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
