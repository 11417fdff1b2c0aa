"""Which steps a template sees, and what of each.

A step sees its ancestors, then those of the step that it stands in, and so on outward; the nearest of a name counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ....definitions.plan import Block, Plan, StepPlan
from ..state import Approval, StepState, StepStatus, plain
from .outcomes import failures_of, result_of

Scope = tuple[str, frozenset[str]]
"""Steps of one block that can be seen: what their run paths begin with, and their names."""


_PENDING = StepState()


def scopes(plan: Plan, step: StepPlan, path: str) -> tuple[list[Scope], bool]:
    """Which steps the templates of the step at a run path see, nearest first; and whether the way outward has led to
    the foreach whose share an instance may be, beyond which it has no states."""
    if step.outer is None and (step.block is None or step.block.role == "main"):
        return [(step.prefix_of(path), step.ancestors)], False
    found: list[Scope] = []
    current: StepPlan | None = step
    while current is not None:
        prefix = current.prefix_of(path)
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


def step_facts(plan: Plan, states: Mapping[str, StepState], path: str) -> dict[str, Any]:
    """What templates see of a step; of one whose block has not begun, that it is pending."""
    state = states.get(path, _PENDING)
    facts = {
        "result": plain(state.result) if state.flow is None else result_of(plan, states, path),
        "status": state.status.value,
        "error": None if state.error is None else {"type": state.error.type, "message": state.error.message},
        "attempts": state.attempt,
        "started_at": time_text(state.claimed_at_ms) if state.claimed_at_ms else None,
    }
    if state.approval is not None:
        facts["approval"] = approval_facts(state.approval)
    if state.flow is not None and state.flow.count:
        facts["failures"] = failures_of(state)
    return facts


def approval_facts(approval: Approval) -> dict[str, Any]:
    """What templates see of a decision, and of the form that came with it."""
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


def time_text(at_ms: int) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
