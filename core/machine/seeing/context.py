"""What templates see, and the values that they make for a step.

A step sees what was final when it was activated: its ancestors, those of the step that it stands in, and so on outward.
What may change since (`vars`, `signals`) is kept in its `seen`. So rendering again at `activated_at_ms` gives the same
value, and nothing rendered needs storing. Times are ISO 8601 texts in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import Block, Plan, StepPlan
from ....definitions.templates import TemplateError
from ..state import Approval, Instance, StepState, StepStatus, plain
from .outcomes import failures_of, result_of

Scope = tuple[str, frozenset[str]]
"""Steps of one block that can be seen: what their run paths begin with, and their names."""


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


def scopes(plan: Plan, step: StepPlan, path: str) -> tuple[list[Scope], bool]:
    """Which steps the templates of the step at a run path see, nearest first; and whether the way outward has led to
    the foreach whose share an instance may be, beyond which it has no states."""
    if step.outer is None and (step.block is None or step.block.role == "main"):
        return [(path[: len(path) - len(step.name)], step.ancestors)], False
    found: list[Scope] = []
    current: StepPlan | None = step
    while current is not None:
        prefix = path[: len(path) - len(current.name)]
        found.append((prefix, current.ancestors))
        block, current = current.block, current.outer
        if block is not None and block.role in ("on_failure", "on_cancel"):
            found.append(("", frozenset(plan.main.names)))
        if block is None or current is None:
            break
        if block.role == "item":
            return found, True
        path = owner_path(block, prefix)
    return found, False


def owner_path(block: Block, prefix: str) -> str:
    """The run path of the step that a block belongs to, given the block's place in the run."""
    if block.role in ("item", "iteration"):
        return prefix[: prefix.rindex("[")]
    if block.role == "handler":
        return prefix[: -len(".on_failure.")]
    return prefix[: len(prefix) - len(block.prefix) + len(block.owner)]


def loop_index(path: str) -> int | None:
    """The index of the innermost loop that a run path goes through."""
    end = path.rfind("].")
    return None if end < 0 else int(path[path.rindex("[", 0, end) + 1 : end])


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
        return iter([name for name in _PARTS if name not in _OF_LOOPS or self._has(name)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _has(self, name: str) -> bool:
        return (self._instance.items is not None) if name == "item" else loop_index(self._path) is not None

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
            "started_at": _timestamp(instance.created_at_ms),
        }

    def _now(self) -> Any:
        return _timestamp(self._now_ms)

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
            prefix = path[: len(path) - len(step.name)]
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
    "item": Context._item,
    "index": Context._index,
    "error": Context._error,
}


_OF_LOOPS = ("item", "index")


class VisibleSteps(Mapping[str, Any]):
    """The steps that a template may see, in the order of the states: that of a set differs from process to process.

    `outside` holds the facts of steps whose states another instance has.
    """

    __slots__ = ("_made", "_outside", "_plan", "_states", "_visible")

    def __init__(
        self,
        plan: Plan,
        states: Mapping[str, StepState],
        visible: Sequence[Scope],
        outside: Mapping[str, Any] | None = None,
    ) -> None:
        self._plan = plan
        self._states = states
        self._visible = visible
        self._outside = outside or {}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        made = self._made
        if name not in made:
            path = self._path_of(name)
            made[name] = self._outside[name] if path is None else step_facts(self._plan, self._states, path)
        return made[name]

    def _path_of(self, name: str) -> str | None:
        for prefix, names in self._visible:
            if name in names:
                return prefix + name
        return None

    def __contains__(self, name: object) -> bool:
        return any(name in names for _, names in self._visible) or name in self._outside

    def __iter__(self) -> Iterator[str]:
        names: dict[str, None] = {}
        for prefix, visible in self._visible:
            inside = (path[len(prefix) :] for path in self._states if path.startswith(prefix))
            names.update((name, None) for name in inside if name in visible)
        names.update((name, None) for name in self._outside)
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def template_error(failure: TemplateError) -> ErrorInfo:
    """A template's failure as the error of the step or instance that it fails, with its place in the YAML."""
    place = ", ".join(
        part for part in (failure.path, f"line {failure.line}" if failure.line is not None else "") if part
    )
    return ErrorInfo("template", f"template at {place}: {failure}" if place else f"template: {failure}")


def step_facts(plan: Plan, states: Mapping[str, StepState], path: str) -> dict[str, Any]:
    """What templates see of a step; of one whose block has not begun, that it is pending."""
    state = states.get(path, _PENDING)
    facts = {
        "result": plain(state.result) if state.flow is None else result_of(plan, states, path),
        "status": state.status.value,
        "error": None if state.error is None else {"type": state.error.type, "message": state.error.message},
        "attempts": state.attempt,
        "started_at": _timestamp(state.claimed_at_ms) if state.claimed_at_ms else None,
    }
    if state.approval is not None:
        facts["approval"] = _approval_facts(state.approval)
    if state.flow is not None and state.flow.count:
        facts["failures"] = failures_of(state)
    return facts


def _approval_facts(approval: Approval) -> dict[str, Any]:
    return {
        "decision": approval.decision,
        "by": approval.decided_by,
        "comment": approval.comment,
        "form": approval.form or {},
    }


def failed_step(plan: Plan, states: Mapping[str, StepState]) -> str | None:
    """The step of the definition's own list whose failure fails the instance, if one's does."""
    for name in plan.main.names:
        state = states.get(name)
        if state is not None and state.status is StepStatus.FAILED and not state.handled:
            return name
    return None


_PENDING = StepState()


def _error_facts(error: ErrorInfo | None, step: str | None) -> dict[str, Any] | None:
    return None if error is None else {"type": error.type, "message": error.message, "step": step}


def _timestamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
