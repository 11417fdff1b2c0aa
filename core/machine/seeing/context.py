"""What templates see, and the values that they make for a step.

A step sees what was final when it was activated, of the steps before it too (`visible`). What may change since (`vars`,
`signals`) is kept in its `seen`. So rendering again at `activated_at_ms` gives the same value, and nothing rendered
needs storing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import Plan, StepPlan
from ....definitions.templates import TemplateError
from ..state import Approval, Instance, StepState, plain
from .visible import VisibleSteps, approval_facts, failed_step, loop_index, owner_path, scopes, time_text


def render_input(instance: Instance, plan: Plan, path: str) -> Any:
    """The step's input as it was rendered at its activation. Raises: TemplateError, KeyError for an unknown path."""
    step, state = plan.step(path), instance.steps[path]
    if state.seen is not None and "input" in state.seen:
        return state.seen["input"]
    if step.input is None:
        return step.static_input
    return step.input.render(step_context(instance, plan, path, state))


def with_values(instance: Instance, plan: Plan, path: str) -> dict[str, Any]:
    """What the step has under `with:`, rendered as its input is. Raises: TemplateError, KeyError."""
    step = plan.step(path)
    if step.with_ is None:
        return dict(step.static_with)
    return {**step.static_with, **step.with_.render(step_context(instance, plan, path, instance.steps[path]))}


def step_context(instance: Instance, plan: Plan, path: str, state: StepState) -> Context:
    """What the templates of a step saw that has been activated."""
    return Context(instance, plan, instance.steps, plan.step(path), path, state.activated_at_ms, state.seen)


class Context(Mapping[str, Any]):
    """What a template sees, each part made when it is looked at. The shape is that of `definitions.templates`.

    `step` and `path` are None and empty for the definition's own templates, which see every step of its list.
    """

    __slots__ = ("_instance", "_made", "_now_ms", "_path", "_plan", "_seen", "_states", "_step")

    def __init__(
        self,
        instance: Instance,
        plan: Plan,
        states: Mapping[str, StepState],
        step: StepPlan | None,
        path: str,
        now_ms: int,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        self._instance = instance
        self._plan = plan
        self._states = states
        self._step = step
        self._path = path
        self._now_ms = now_ms
        self._seen = seen
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        made = self._made
        if name not in made:
            made[name] = _PARTS[name](self)
        return made[name]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in _PARTS if name not in _OF_PLACES or self._has(name)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _has(self, name: str) -> bool:
        if name == "approval":
            return self._approved() is not None
        return (self._instance.items is not None) if name == "item" else loop_index(self._path) is not None

    def _approved(self) -> Approval | None:
        state = self._states.get(self._path)
        return None if state is None else state.approval

    def _approval(self) -> Any:
        approval = self._approved()
        if approval is None:
            raise KeyError("approval")
        return approval_facts(approval)

    def also(self, **parts: Any) -> Context:
        """The same, with parts that the instance does not hold yet."""
        self._made.update(parts)
        return self

    def _inputs(self) -> Any:
        return plain(self._instance.inputs)

    def _trigger(self) -> Any:
        return plain(self._instance.trigger)

    def _steps(self) -> Any:
        if self._step is None:
            return VisibleSteps(self._plan, self._states, [("", frozenset(self._plan.main.names))])
        visible, outside = scopes(self._plan, self._step, self._path)
        more = plain(self._instance.outer)["steps"] if outside and self._instance.outer is not None else None
        return VisibleSteps(self._plan, self._states, visible, more)

    def _about_instance(self) -> Any:
        instance = self._instance
        return {
            "id": instance.of or instance.id,
            "name": instance.workflow,
            "version": instance.version,
            "tenant": instance.tenant,
            "space": instance.space,
            "started_at": time_text(instance.created_at_ms),
        }

    def _now(self) -> Any:
        return time_text(self._now_ms)

    def _vars(self) -> Any:
        return self._seen["vars"] if self._seen and "vars" in self._seen else self._instance.vars

    def _signals(self) -> Any:
        return self._seen["signals"] if self._seen and "signals" in self._seen else self._instance.signals

    def _memory(self) -> Any:
        return plain(self._instance.memory) or {}

    def _index(self) -> Any:
        index = loop_index(self._path)
        if index is None:
            raise KeyError("index")
        return index

    def _item(self) -> Any:
        items = self._instance.items
        if items is None:
            raise KeyError("item")
        start = len(items.path) + 1
        number = self._path[start : self._path.index("]", start)]
        return plain(items.values)[int(number) - items.first]

    def _error(self) -> Any:
        """Why the `on_failure` steps run that the step is one of, or why the instance is ending."""
        step, path = self._step, self._path
        while step is not None and step.block is not None:
            prefix = step.prefix_of(path)
            if step.block.role == "handler":
                owner = owner_path(step.block, prefix)
                return _error_facts(self._states[owner].error, owner)
            if step.outer is None:
                break
            path, step = owner_path(step.block, prefix), step.outer
        return _error_facts(self._instance.error, failed_step(self._plan, self._states))


_PARTS: dict[str, Callable[[Context], Any]] = {
    "inputs": Context._inputs,
    "trigger": Context._trigger,
    "steps": Context._steps,
    "instance": Context._about_instance,
    "now": Context._now,
    "vars": Context._vars,
    "signals": Context._signals,
    "memory": Context._memory,
    "approval": Context._approval,
    "item": Context._item,
    "index": Context._index,
    "error": Context._error,
}


_OF_PLACES = ("item", "index", "approval")


def template_error(failure: TemplateError) -> ErrorInfo:
    """A template's failure as the error of the step or instance that it fails, with its place in the YAML."""
    place = ", ".join(
        part for part in (failure.path, f"line {failure.line}" if failure.line is not None else "") if part
    )
    return ErrorInfo("template", f"template at {place}: {failure}" if place else f"template: {failure}")


def _error_facts(error: ErrorInfo | None, step: str | None) -> dict[str, Any] | None:
    return None if error is None else {"type": error.type, "message": error.message, "step": step}
