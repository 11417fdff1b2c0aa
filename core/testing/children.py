"""Children in a run: how they begin, what they tell their parent, what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...claim.wire import ErrorInfo
from ...definitions import InputsError, TemplateError
from ...definitions.plan import Foreach, Plan, SubWorkflow
from ..machine import AnyEvent, CancelRequested, Instance, TerminateRequested, render_input
from ..machine.children import MAX_DEPTH, foreach_items, foreach_outer, items_child, items_left, leaves, workflow_child
from ..machine.events import (
    ChildEnded,
    ChildRefused,
    ChildReported,
    ChildSteered,
    ChildWanted,
    PauseRequested,
    ResumeRequested,
)
from ..machine.seeing.context import template_error
from ..machine.state import InstanceStatus
from .lives import Life
from .stubs import through_json

if TYPE_CHECKING:
    from .world import World

_STEERING: dict[str, Callable[[int, str, str | None], AnyEvent]] = {
    "cancel": CancelRequested,
    "terminate": TerminateRequested,
    "pause": PauseRequested,
    "resume": ResumeRequested,
}


def begin_child(world: World, parent: Life, wanted: ChildWanted) -> None:
    """Let a child start, if its parent still wants it; the parent is told where none can."""
    state = parent.instance.steps.get(wanted.path)
    if state is None or state.flow is None or all(child.id != wanted.child.id for child in state.flow.children):
        return
    try:
        made = _made(world, parent, wanted)
    except TemplateError as failure:
        made = template_error(failure)
    if isinstance(made, ErrorInfo):
        world.apply(parent, ChildRefused(world.now_ms, wanted.path, wanted.child.id, made))
    else:
        world.begin(*made)


def steer_child(world: World, parent: Life, steered: ChildSteered) -> None:
    """Tell a child. One that has not begun by now never will."""
    child = world.lives.get(steered.child)
    if child is not None:
        event = _STEERING[steered.how](world.now_ms, f"instance {parent.instance.id}", steered.reason or None)
        world.apply(child, event)


def report_usage(world: World, child: Life) -> None:
    """What a child has used by now, for a budget above it."""
    instance = child.instance
    parent = world.lives[instance.parent_id or ""]
    path = instance.parent_path or ""
    world.apply(parent, ChildReported(world.now_ms, path, instance.id, instance.usage, instance.attempts))


def report_end(world: World, child: Life) -> None:
    """A child's end, with what it leaves."""
    instance = child.instance
    parent = world.lives[instance.parent_id or ""]
    status, error, result = instance.status, instance.error, None
    if leaves(instance, child.plan):
        try:
            result = _left(child)
        except TemplateError as failure:
            status, error = InstanceStatus.FAILED, template_error(failure)
    if error is None and status is not InstanceStatus.SUCCEEDED:
        error = ErrorInfo(status.value)
    event = ChildEnded(
        world.now_ms,
        instance.parent_path or "",
        instance.id,
        status.value,
        result,
        error,
        instance.usage,
        instance.attempts,
        world.random.random(),
        instance.times,
    )
    world.apply(parent, event)


def _left(child: Life) -> Any:
    if child.instance.items is not None:
        return through_json(items_left(child.instance, child.plan))
    return through_json(child.instance.outputs)


def _made(world: World, parent: Life, wanted: ChildWanted) -> tuple[Instance, Plan] | ErrorInfo:
    """Raises: TemplateError."""
    flow = parent.plan.step(wanted.path).flow
    if isinstance(flow, Foreach):
        values = _items(parent, wanted.path)[wanted.first : wanted.first + wanted.count]
        outer = foreach_outer(parent.instance, parent.plan, wanted.path)
        share = items_child(parent.instance, parent.plan, wanted, values, outer, at_ms=world.now_ms)
        return share, parent.plan
    assert isinstance(flow, SubWorkflow)
    return _sub_workflow(world, parent, wanted, flow)


def _items(parent: Life, path: str) -> list[Any]:
    """The foreach's items, rendered once for all of its shares."""
    key = f"{path}:{parent.instance.steps[path].attempt}:items"
    if key not in parent.inputs:
        parent.inputs[key] = through_json(foreach_items(parent.instance, parent.plan, path))
    items: list[Any] = parent.inputs[key]
    return items


def _sub_workflow(
    world: World, parent: Life, wanted: ChildWanted, flow: SubWorkflow
) -> tuple[Instance, Plan] | ErrorInfo:
    above = parent.instance
    playable = world.library.find(flow.workflow, flow.version)
    if above.depth + 1 > MAX_DEPTH:
        return ErrorInfo(
            "recursion", f"{MAX_DEPTH} sub-workflows call each other already; {flow.workflow!r} is one more"
        )
    if playable is None:
        version = "" if flow.version is None else f" version {flow.version}"
        known = f"no definition named {flow.workflow!r}{version} was given to play(..., workflows=[...])"
        return ErrorInfo("workflow_not_found", known)
    if playable.plan.concurrency is not None:
        return ErrorInfo(
            "concurrency", f"workflow {flow.workflow!r} has `concurrency`, which a sub-workflow can't have"
        )
    given = through_json(render_input(above, parent.plan, wanted.path))
    if given is not None and not isinstance(given, dict):
        return ErrorInfo("invalid_params", f"`input` gave {type(given).__name__}; a sub-workflow takes a mapping")
    try:
        inputs = playable.check(given or {})
    except InputsError as error:
        return ErrorInfo("invalid_params", f"workflow {flow.workflow!r}: {error.summary}")
    instance = workflow_child(
        above,
        parent.plan,
        wanted.path,
        wanted.child,
        playable.plan,
        definition_tenant=above.definition_tenant,
        inputs=inputs,
        at_ms=world.now_ms,
    )
    return instance, playable.plan
