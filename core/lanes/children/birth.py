"""How a child instance comes to be: what it starts with, and what makes it impossible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ....claim.wire import ErrorInfo
from ....definitions import InputsError
from ....definitions.plan import Foreach, Plan, SubWorkflow
from ....definitions.templates import TemplateError
from ...errors import NotFound
from ...machine import render_input
from ...machine.children import MAX_DEPTH, foreach_items, foreach_outer, items_child, workflow_child
from ...machine.events import ChildWanted, Started
from ...machine.seeing.context import template_error
from ...machine.state import Child, Instance, SideValue
from ...principal import Principal
from .. import codec
from ..codec import Intent
from ..memory.resident import Resident
from ..remembering import MemoryName, Recalled, give

if TYPE_CHECKING:
    from ..lane import Lane

SideDocument = tuple[str, bytes]

# What the shares of a foreach see of the outside stands in each of them up to this size, else in one document for all.
_OUTER_INLINE_BYTES = 1_024
_KEY_CHARACTERS = 1_024


class NotBorn(Exception):
    """The child can't begin, however often it is tried: its parent's step fails with `error`."""

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.error = ErrorInfo(type, message)


class Made(Struct):
    """A child that is ready to begin."""

    instance: Instance
    plan: Plan
    sides: Sequence[SideDocument] = ()
    recalled: Recalled | None = None


async def prepare(lane: Lane, parent: Resident, intent: Intent) -> Made:
    """The child that the parent wants. Raises: NotBorn; StoreError."""
    flow = parent.plan.step(intent.path).flow
    try:
        if isinstance(flow, Foreach):
            return _share(lane, parent, intent)
        assert isinstance(flow, SubWorkflow)
        return await _sub_workflow(lane, parent, intent, flow)
    except TemplateError as failure:
        error = template_error(failure)
        raise NotBorn(error.type, error.message) from failure


def begin(lane: Lane, made: Made) -> Resident:
    """Let the child start, in memory; its document is in the lane's next bulk."""
    child = lane.add(made.instance, made.plan)
    child.side_writes += tuple(made.sides)
    try:
        if made.recalled is not None:
            give(lane, child, made.recalled)
        refused = lane.apply(child, Started(made.instance.created_at_ms))
        assert refused is None, refused
    except BaseException:
        lane.leave_alone(child)
        raise
    return child


def outer_side(lane: Lane, parent: Resident, path: str) -> SideDocument | None:
    """What the shares of a foreach see of the outside, where it is too large to stand in each of them.

    It is its parent's side document, written before the first share is.
    """
    value, encoded = _outer(parent, path)
    return (value.ref, codec.encode_side(parent.id, encoded)) if type(value) is SideValue else None


def forget_items(parent: Resident, path: str) -> None:
    """The foreach is done: memory need not hold its items any more."""
    for key in [key for key in parent.inputs if key.startswith(f"{path}:")]:
        del parent.inputs[key]


def _share(lane: Lane, parent: Resident, intent: Intent) -> Made:
    path, attempt = intent.path, parent.instance.steps[intent.path].attempt
    key = f"{path}:{attempt}:items"
    if key not in parent.inputs:
        # All shares of one activation are slices of one rendering.
        parent.inputs[key] = foreach_items(parent.instance, parent.plan, path)
    values = parent.inputs[key][intent.first : intent.first + intent.count]
    carried, side = lane.side_value(intent.child, "items", values, codec.encode_json(values))
    wanted = ChildWanted(path, Child(intent.child, intent.number), intent.first, intent.count)
    outer, _ = _outer(parent, path)
    now_ms = lane.parts.clock.now_ms()
    instance = items_child(parent.instance, parent.plan, wanted, carried, outer, at_ms=now_ms)
    return Made(instance, parent.plan, () if side is None else (side,))


def _outer(parent: Resident, path: str) -> tuple[Any, bytes]:
    attempt = parent.instance.steps[path].attempt
    key = f"{path}:{attempt}:outer"
    if key not in parent.inputs:
        value = foreach_outer(parent.instance, parent.plan, path)
        encoded = codec.encode_json(value)
        large = len(encoded) > _OUTER_INLINE_BYTES
        carried = SideValue(codec.outer_ref(parent.id, path, attempt), value) if large else value
        parent.inputs[key] = carried, encoded
    found: tuple[Any, bytes] = parent.inputs[key]
    return found


async def _sub_workflow(lane: Lane, parent: Resident, intent: Intent, flow: SubWorkflow) -> Made:
    above = parent.instance
    if above.depth + 1 > MAX_DEPTH:
        raise NotBorn("recursion", f"{MAX_DEPTH} sub-workflows call each other already; {flow.workflow!r} is one more")
    principal = Principal(above.started_by, above.tenant)
    try:
        compiled = await lane.parts.catalog.resolve(principal, flow.workflow, flow.version)
    except NotFound as error:
        raise NotBorn("workflow_not_found", str(error)) from error
    if compiled.plan.concurrency is not None:
        raise NotBorn(
            "concurrency",
            f"workflow {flow.workflow!r} has `concurrency`, which a sub-workflow can't have; start it by itself",
        )
    given = render_input(above, parent.plan, intent.path)
    if given is not None and not isinstance(given, dict):
        found = type(given).__name__
        raise NotBorn("invalid_params", f"`input` gave {found}; a sub-workflow takes a mapping of its inputs")
    try:
        params = compiled.check_params(given or {})
    except InputsError as error:
        raise NotBorn("invalid_params", f"workflow {flow.workflow!r}: {error.summary}") from error
    encoded = codec.encode_json(params)
    limit = lane.parts.settings.limits.payload_max_bytes
    if len(encoded) > limit:
        raise NotBorn("invalid_params", f"`input` has {len(encoded)} bytes; at most {limit} are allowed")
    carried, side = lane.side_value(intent.child, "inputs", params, encoded)
    memory = _memory_name(compiled.plan, above, params)
    recalled = None if memory is None else await lane.remembering.recall(memory)
    instance = workflow_child(
        above,
        parent.plan,
        intent.path,
        Child(intent.child, intent.number),
        compiled.plan,
        definition_tenant=compiled.document.tenant,
        inputs=carried,
        at_ms=lane.parts.clock.now_ms(),
        memory_key=None if memory is None else memory.key,
        priority_ceiling=lane.admission.limits.of(above.tenant, compiled.plan.name).priority_ceiling,
    )
    return Made(instance, compiled.plan, () if side is None else (side,), recalled)


def _memory_name(plan: Plan, above: Instance, params: dict[str, Any]) -> MemoryName | None:
    """Whose memory the sub-workflow shares. Raises: NotBorn; TemplateError."""
    if plan.memory_key is None:
        return None
    key = plan.memory_key.render({"inputs": params, "trigger": {}})
    if isinstance(key, int | float) and not isinstance(key, bool):
        key = codec.encode_json(key).decode()
    if not isinstance(key, str) or not key.strip() or len(key) > _KEY_CHARACTERS:
        raise NotBorn(
            "invalid_params", f"`memory.key` of workflow {plan.name!r} gives no text of up to 1,024 characters"
        )
    return MemoryName(above.tenant, plan.name, key, above.space)
