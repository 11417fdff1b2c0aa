"""An instance's document in its lane, and the side documents it refers to: to bytes and back.

The document is flat: the machine's `Instance` as it stands, then what the engine adds for finding it (indexed fields)
and for safety (`write_id`, `epoch`, `answered_tokens`, log, outbox). Engine fields are spliced in as bytes, since log
and outbox entries were encoded when they arose and never change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from ..history_records import AuditRecord, CallsRecord
from ..machine.events import AttemptRecord
from ..machine.state import Instance, SideValue, StepState, part_ref


class OutboxEntry(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """A history record that is produced and not yet confirmed, and the concrete index that it goes to.

    Of `events` `count` is the number of log entries that the part takes along, `part` its number. Of `audit` they are
    the place of its event in the log: parts that had left, and entries since. Of `calls` `part` numbers the lot. Of
    `memory` `count` is the version of the document that is written.
    """

    kind: Literal["step", "instance", "events", "audit", "calls", "share", "memory"]
    index: str
    record: AttemptRecord | None = None
    part: int = 0
    count: int = 0
    told: AuditRecord | CallsRecord | None = None
    row: Any = None


class Intent(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What an instance wants of a child instance of its own, and has not seen done.

    `begin`: the child is to exist, for the step at `path`: as child `number`, with `count` items from number `first` on
    where the step is a foreach. Any other: it is to be told.
    """

    child: str
    how: Literal["begin", "cancel", "terminate", "pause", "resume"]
    reason: str = ""
    path: str = ""
    number: int = 0
    first: int = 0
    count: int = 0


class Bookkeeping(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the engine keeps beside the instance.

    `write_id` names this very write and is never used again. `epoch` is the lane epoch it was written under.
    `answered_tokens`: leases above it were granted in this write, so their holders know of them only if it was
    acknowledged behind the fence. `held`: the owner has to hold the instance in memory. `log_parts` counts the parts of
    the event log that have left for history. `intents` are carried out once they stand here. `strays` are
    side documents that the instance no longer refers to; the next write deletes them.
    """

    write_id: str
    epoch: int
    answered_tokens: int = 0
    held: bool = False
    log_parts: int = 0
    log: list[Raw] = []
    outbox: list[OutboxEntry] = []
    intents: list[Intent] = []
    strays: list[str] = []


class _Engine(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False, tag_field="kind", tag="instance"):
    """What `encode_document` puts beside the instance, but for lists: what finds it, and `Bookkeeping`."""

    write_id: str
    epoch: int
    writer: str
    answered_tokens: int
    updated_at_ms: int
    wake_at_ms: int = 0
    ready: list[str] = []
    rank: int | None = None
    held: bool = False
    label_pairs: list[str] = []
    log_parts: int = 0


class _SideDocument(Struct, frozen=True):
    kind: str
    side_of: str
    value: Raw


class _SideContent(Struct, frozen=True):
    value: Any


def _no_side_values(value: Any) -> None:
    """A `SideValue` is stored elsewhere: only its reference stands in the document."""
    if type(value) is not SideValue:
        raise NotImplementedError(f"{type(value).__name__} is no JSON value")


_encoder = msgspec.json.Encoder(enc_hook=_no_side_values)
_plain_encoder = msgspec.json.Encoder()
_instance_decoder = msgspec.json.Decoder(Instance)
_bookkeeping_decoder = msgspec.json.Decoder(Bookkeeping)
_side_decoder = msgspec.json.Decoder(_SideContent)

encode = _encoder.encode
encode_json = _plain_encoder.encode


def encode_document(
    instance: Instance,
    *,
    write_id: str,
    epoch: int,
    writer: str,
    answered_tokens: int,
    updated_at_ms: int,
    wake_at_ms: int,
    ready: list[str],
    rank: int | None,
    held: bool,
    log_parts: int,
    log: Sequence[bytes],
    outbox: Sequence[bytes],
    intents: Sequence[bytes] = (),
    strays: Sequence[str] = (),
) -> bytes:
    """The lane document as one JSON object."""
    engine = _Engine(
        write_id=write_id,
        epoch=epoch,
        writer=writer,
        answered_tokens=answered_tokens,
        updated_at_ms=updated_at_ms,
        wake_at_ms=wake_at_ms,
        ready=ready,
        rank=rank,
        held=held,
        label_pairs=[f"{key}={value}" for key, value in instance.labels.items()] if instance.labels else [],
        log_parts=log_parts,
    )
    parts = [_encoder.encode(instance)[:-1], b",", _plain_encoder.encode(engine)[1:-1]]
    if log:
        parts += (b',"log":[', b",".join(log), b"]")
    if outbox:
        parts += (b',"outbox":[', b",".join(outbox), b"]")
    if intents:
        parts += (b',"intents":[', b",".join(intents), b"]")
    if strays:
        parts += (b',"strays":', _plain_encoder.encode(strays))
    parts.append(b"}")
    return b"".join(parts)


def decode_document(source: bytes) -> tuple[Instance, Bookkeeping]:
    """The instance and its bookkeeping. Side values are references still: see `side_refs` and `with_side_values`."""
    return _instance_decoder.decode(source), _bookkeeping_decoder.decode(source)


def encode_side(instance_id: str, value: bytes) -> bytes:
    """A side document holding one value (already JSON)."""
    return _plain_encoder.encode(_SideDocument("side", instance_id, Raw(value)))


def decode_side(source: bytes) -> Any:
    return _side_decoder.decode(source).value


def outer_ref(instance_id: str, path: str, attempt: int) -> str:
    """The side document of what all children of one foreach see of the outside. It is their parent's."""
    return f"{instance_id}:{path}:{attempt}:outer"


def side_refs(instance: Instance) -> list[str]:
    """The ids of the side documents whose values the instance works with, some of which may be its parent's."""
    named = (instance.inputs_ref, instance.trigger_ref, instance.outputs_ref, instance.memory_ref)
    refs = [ref for ref in named if ref]
    if instance.outer_ref:
        refs.append(instance.outer_ref)
    if instance.items is not None and instance.items.values_ref:
        refs.append(instance.items.values_ref)
    for path, step in instance.steps.items():
        if step.result_ref:
            refs.append(step.result_ref)
        if step.parts:
            refs += [part_ref(instance.id, path, step.attempt, number) for number in _apart(step)]
    return refs


def own_refs(instance: Instance) -> list[str]:
    """The ids of the side documents that are deleted with the instance; some of them may never have been."""
    own = f"{instance.id}:"
    refs = [ref for ref in side_refs(instance) if ref.startswith(own)]
    for path, step in instance.steps.items():
        if step.flow is not None and step.flow.count:
            refs += [outer_ref(instance.id, path, attempt) for attempt in range(1, max(step.attempt, 1) + 1)]
    return refs


def with_side_values(instance: Instance, values: Mapping[str, Any]) -> Instance:
    """The instance with every reference replaced by a `SideValue`. `values` holds what `side_refs` names."""

    def side(ref: str | None, inline: Any) -> Any:
        return SideValue(ref, values[ref]) if ref else inline

    def step_with_value(path: str, step: StepState) -> StepState:
        if step.result_ref:
            step = msgspec.structs.replace(step, result=side(step.result_ref, None))
        if step.parts:
            refs = {number: part_ref(instance.id, path, step.attempt, number) for number in _apart(step)}
            parts = {number: side(refs.get(number), part) for number, part in step.parts.items()}
            step = msgspec.structs.replace(step, parts=parts)
        return step

    items = instance.items
    if items is not None and items.values_ref:
        items = msgspec.structs.replace(items, values=side(items.values_ref, None))
    return msgspec.structs.replace(
        instance,
        inputs=side(instance.inputs_ref, instance.inputs),
        trigger=side(instance.trigger_ref, instance.trigger),
        outputs=side(instance.outputs_ref, instance.outputs),
        memory=side(instance.memory_ref, instance.memory),
        outer=side(instance.outer_ref, instance.outer),
        items=items,
        steps={path: step_with_value(path, step) for path, step in instance.steps.items()},
    )


def _apart(step: StepState) -> list[int]:
    """The numbers of a foreach's parts that lie in side documents: such a part is stored as null, and none is null."""
    return [number for number, part in step.parts.items() if part is None or type(part) is SideValue]
