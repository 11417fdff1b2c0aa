"""Child instances: the shares of a foreach, and sub-workflows. What they are called, start with, and leave behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ...definitions.plan import Foreach, Plan
from .creation import new_instance
from .ending.undoing import SUFFIX, left_to_undo
from .events import ChildWanted
from .seeing.context import Context, step_context
from .seeing.outcomes import block_result
from .seeing.visible import scopes, step_facts
from .state import Child, Instance, InstanceStatus, Items, StepState, plain
from .turn import attempts_before

CHILD_ITEMS = 16
"""How many items one child of a foreach runs: their states are in one document, which each transition writes."""

MAX_DEPTH = 8
"""How deep sub-workflows may call each other."""

_SHARE_PARALLEL_MAX = 8
_AS_ITS_PARENT = (
    *("workflow", "version", "definition_tenant", "tenant", "space", "priority", "labels", "depth"),
    *("inputs", "inputs_ref", "trigger", "trigger_ref", "memory", "memory_ref"),
    *("started_by", "correlation_id", "traceparent"),
)
_ITEM = re.compile(r"\[(\d+)\]")


def child_id(parent_id: str, path: str, attempt: int, number: int = 0) -> str:
    """The id of a child instance: the same whenever it is asked for, in the parent's lane, of the form of every id.

    Lane and time are the parent's; the rest is the hash of the parent's id, the step's run path, its attempt and the
    child's number.
    """
    name = sha256(f"{parent_id}:{path}:{attempt}:{number}".encode()).hexdigest()[:16]
    return f"{parent_id[: parent_id.index('-') + 13]}{name}"


def share_of(plan: Plan, states: Mapping[str, StepState], path: str) -> tuple[str, int] | None:
    """Which foreach of the instance runs a step that it does not hold itself, and which of its children does.

    `path` is the step's full run path. None where no foreach of these states is on the way.
    """
    for index in _ITEM.finditer(path):
        foreach = path[: index.start()]
        if foreach in states and isinstance(plan.step(foreach).flow, Foreach):
            return foreach, int(index[1]) // CHILD_ITEMS
    return None


def share_parallel(flow: Foreach, count: int) -> int:
    """How many items one share has under way.

    All that it may where so many shares are under way at once; else few, so that shares take turns at ending.
    """
    shares = -(-count // CHILD_ITEMS)
    if flow.max_parallel >= count:
        return CHILD_ITEMS
    if shares == 1 or flow.max_parallel >= shares * _SHARE_PARALLEL_MAX:
        return min(CHILD_ITEMS, flow.max_parallel // shares)
    most = max(1, min(_SHARE_PARALLEL_MAX, flow.max_parallel // 2))
    # The one that comes nearest to `max_parallel` in all, the larger one of two.
    return max(range((most + 1) // 2, most + 1), key=lambda each: (min(shares, flow.max_parallel // each) * each, each))


def shares_at_once(flow: Foreach, count: int) -> int:
    """How many shares are under way: as many as keep to `max_parallel` items."""
    if flow.max_parallel >= count:
        return max(1, -(-count // CHILD_ITEMS))
    return max(1, flow.max_parallel // share_parallel(flow, count))


def foreach_items(instance: Instance, plan: Plan, path: str) -> list[Any]:
    """All items of a foreach, as they were at its activation. Raises: TemplateError."""
    flow = plan.step(path).flow
    assert isinstance(flow, Foreach)
    items: list[Any] = flow.items.render(step_context(instance, plan, path, instance.steps[path]))
    return items


def foreach_outer(instance: Instance, plan: Plan, path: str) -> dict[str, Any]:
    """What templates in the items of a foreach see of the steps outside: the same for all of its shares."""
    step = plan.step(path)
    flow = step.flow
    assert isinstance(flow, Foreach)
    visible, outside = scopes(plan, step, path)
    beyond = plain(instance.outer)["steps"] if outside and instance.outer is not None else {}
    facts = {}
    for name in sorted(flow.outer):
        prefix = next((prefix for prefix, names in visible if name in names), None)
        if prefix is not None:
            facts[name] = step_facts(plan, instance.steps, prefix + name)
        elif name in beyond:
            facts[name] = beyond[name]
    return {"steps": facts}


def items_child(parent: Instance, plan: Plan, wanted: ChildWanted, values: Any, outer: Any, *, at_ms: int) -> Instance:
    """The instance that runs some items of a foreach; `Started` is the first event to apply to it.

    `values` are its items, `outer` what `foreach_outer` gave; either may be a `SideValue`.
    """
    state = parent.steps[wanted.path]
    base = attempts_before(parent, parent.attempts, renumbered=parent.renumbered)
    flow = plan.step(wanted.path).flow
    assert isinstance(flow, Foreach)
    assert state.flow is not None
    seen = state.seen or {}
    shared = {field: getattr(parent, field) for field in _AS_ITS_PARENT}
    return Instance(
        **shared,
        id=wanted.child.id,
        created_at_ms=at_ms,
        # Above all tokens that another child gave out for these items before, for they only grow.
        tokens=at_ms if base else 0,
        parent_id=parent.id,
        parent_path=wanted.path,
        parent_number=wanted.child.number,
        watched=is_watched(parent, plan),
        of=parent.of or parent.id,
        vars=seen.get("vars", parent.vars),
        signals=seen.get("signals", parent.signals),
        items=Items(
            wanted.path,
            wanted.first,
            values,
            share_parallel(flow, state.flow.count),
            base=base,
            values_ref=getattr(values, "ref", None),
        ),
        outer=outer,
        outer_ref=getattr(outer, "ref", None),
    )


def workflow_child(
    parent: Instance,
    plan: Plan,
    path: str,
    child: Child,
    child_plan: Plan,
    *,
    definition_tenant: str,
    inputs: Any,
    at_ms: int,
    memory_key: str | None = None,
    priority_ceiling: int = 0,
) -> Instance:
    """A sub-workflow's instance; `Started` is the first event to apply to it. `inputs` are checked."""
    return new_instance(
        child_plan,
        id=child.id,
        definition_tenant=definition_tenant,
        tenant=parent.tenant,
        space=parent.space,
        inputs=inputs,
        trigger={},
        at_ms=at_ms,
        labels=parent.labels,
        started_by=parent.started_by,
        correlation_id=parent.correlation_id,
        traceparent=parent.traceparent,
        parent_id=parent.id,
        parent_path=path,
        parent_number=child.number,
        depth=parent.depth + 1,
        watched=is_watched(parent, plan),
        memory_key=memory_key,
        priority_ceiling=priority_ceiling,
    )


def leaves(instance: Instance, plan: Plan) -> bool:
    """Whether a child that has ended leaves its parent anything.

    A share that has not succeeded may have done what is to be undone, unless it was terminated.
    """
    if instance.status is InstanceStatus.SUCCEEDED:
        return True
    return instance.items is not None and plan.compensates and instance.status is not InstanceStatus.TERMINATED


def is_watched(parent: Instance, plan: Plan) -> bool:
    """Whether what a child uses has to be told at once, for a budget of its parent or of one above."""
    budgets = plan.budgets
    limits = (budgets.llm_calls, budgets.llm_tokens, budgets.cost, budgets.steps)
    return parent.watched or any(limit is not None for limit in limits)


def items_left(instance: Instance, plan: Plan) -> dict[str, Any]:
    """What a share leaves to its foreach: see `StepState.parts`. One that has not succeeded leaves no results.

    Raises: TemplateError (a compensation's input).
    """
    items = instance.items
    assert items is not None
    left: dict[str, Any] = {"results": [], "failures": [], "undo": _undo_list(instance, plan)}
    if instance.status is not InstanceStatus.SUCCEEDED:
        return left
    flow = plan.step(items.path).flow
    assert isinstance(flow, Foreach)
    left["results"] = [
        None if index in items.failed else block_result(plan, instance.steps, flow.body, f"{items.path}[{index}].")
        for index in range(items.first, items.first + len(plain(items.values)))
    ]
    left["failures"] = [[index, error.type, error.message] for index, error in sorted(items.failed.items())]
    return left


def _undo_list(instance: Instance, plan: Plan) -> list[Any]:
    if not plan.compensates:
        return []
    return [
        [undo.path, undo.at_ms, undo.input if undo.left_by else _undo_input(instance, plan, undo.path)]
        for undo in left_to_undo(plan, instance.steps)
    ]


def _undo_input(instance: Instance, plan: Plan, path: str) -> Any:
    step = plan.step(path + SUFFIX)
    if step.input is None:
        return step.static_input
    context = Context(instance, plan, instance.steps, step, path + SUFFIX, instance.finished_at_ms)
    return step.input.render(context.also(error=None))
