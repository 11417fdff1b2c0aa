"""What an ended child tells its parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ....claim.wire import ErrorInfo
from ....definitions.templates import TemplateError
from ...machine.children import CHILD_ITEMS, child_id, items_left, leaves
from ...machine.events import ChildEnded
from ...machine.seeing.context import template_error
from ...machine.state import Instance, InstanceStatus, SideValue, StepState, part_ref, plain
from .. import codec
from ..memory.resident import Resident
from .known import child_at

if TYPE_CHECKING:
    from ..lane import Lane

SideDocument = tuple[str, bytes]


def ended_event(lane: Lane, parent: Instance, child: Resident) -> tuple[ChildEnded, tuple[SideDocument, ...]]:
    """The event for the parent, and the side documents to be written with it."""
    instance = child.instance
    path = instance.parent_path or ""
    status, error = instance.status, instance.error
    step = parent.steps.get(path)
    result: Any = None
    sides: tuple[SideDocument, ...] = ()
    if step is not None and child_at(step, child.id) is not None and leaves(instance, child.plan):
        try:
            value = _left(child)
        except TemplateError as failure:
            status, error = InstanceStatus.FAILED, template_error(failure)
        else:
            result, sides = _carried(lane, parent, path, step, instance, value)
    event = ChildEnded(
        lane.parts.clock.now_ms(),
        path,
        child.id,
        status.value,
        result,
        error if error is not None or status is InstanceStatus.SUCCEEDED else ErrorInfo(status.value),
        instance.usage,
        instance.attempts,
        lane.parts.random.random(),
        instance.times,
    )
    return event, sides


def _left(child: Resident) -> Any:
    """A share's results, or a sub-workflow's outputs. Raises: TemplateError."""
    if child.instance.items is not None:
        return items_left(child.instance, child.plan)
    return plain(child.instance.outputs)


def _carried(
    lane: Lane, parent: Instance, path: str, step: StepState, child: Instance, value: Any
) -> tuple[Any, tuple[SideDocument, ...]]:
    """The value as the parent carries it: in its own document, if all that its children leave may stand there."""
    if child.id != child_id(parent.id, path, step.attempt, child.parent_number):
        # It belongs to an earlier attempt, whose results nobody asks for.
        return None, ()
    encoded = _encode(value)
    count = 1 if step.flow is None or child.items is None else -(-step.flow.count // CHILD_ITEMS)
    if count * len(encoded) <= lane.parts.settings.limits.side_document_bytes:
        return msgspec.json.decode(encoded), ()
    ref = part_ref(parent.id, path, step.attempt, child.parent_number)
    return SideValue(ref, msgspec.json.decode(encoded)), ((ref, codec.encode_side(parent.id, encoded)),)


def _in_full(value: Any) -> Any:
    """A `SideValue` of the child's goes with the child's documents: its value comes along."""
    if type(value) is SideValue:
        return value.value
    raise NotImplementedError(f"{type(value).__name__} is no JSON value")


_encode = msgspec.json.Encoder(enc_hook=_in_full).encode
