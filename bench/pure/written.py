"""The bytes that an owner would write for a run: every document in full, with its log, outbox and intents.

Each event is a write of its own here, which is the most that it can be: group writes take several along. Counted are
lane documents, side documents, and rows of history, by the same functions that the lanes use; the lines of a bulk that
say what is to be done are not.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...core.history_rows import events_row, instance_row, share_row, step_row
from ...core.lanes import codec
from ...core.lanes.codec import Intent, OutboxEntry
from ...core.lanes.event_log import log_entry
from ...core.lanes.memory.resident import Resident
from ...core.machine import AnyEvent, AttemptEnded, Instance, StepStatus, advance, render_input
from ...core.machine.children import CHILD_ITEMS, foreach_items, foreach_outer, items_child
from ...core.machine.events import ChildEnded, ChildWanted, Effect, InstanceEnded
from ...core.machine.state import SideValue, part_ref
from ...core.replay import Recording
from ...core.settings import LimitSettings
from ...definitions import Plan
from .workloads import Workload

_SIDE_BYTES = LimitSettings().side_document_bytes
_OUTER_BYTES = 1_024
_INDEX = "workflow-steps-000001"
_WRITER = "leasehold-0f3a9c1d"


def foreach_bytes(workload: Workload) -> int:
    """All of them, from the start of the instance to its last row."""
    return _Owner(workload.plan).write(workload.recording)


class _Owner:
    """Goes through a recording as the owner of its lane went, and adds up what it writes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bytes = 0

    def write(self, recording: Recording) -> int:
        first = recording.first(self._plan)
        inputs, ref = self._carried(f"{first.id}:inputs", first.inputs)
        self._run(recording, replace(first, inputs=inputs, inputs_ref=ref))
        return self._bytes

    def _run(self, recording: Recording, first: Instance) -> None:
        resident = Resident(None, first, self._plan)
        for event in recording.events:
            resident.outbox = {}
            if resident.log_part_due():
                self._cut_log(resident)
            stored = self._stored(resident.instance, event)
            transition = advance(resident.instance, self._plan, stored)
            resident.append_log(log_entry(event, resident.instance))
            resident.instance = transition.instance
            intents = [self._follow(resident, effect) for effect in transition.effects]
            self._document(resident, [intent for intent in intents if intent is not None])
            self._begin_shares(recording, transition.effects, resident.instance)

    def _begin_shares(self, recording: Recording, effects: tuple[Effect, ...], parent: Instance) -> None:
        for effect in effects:
            if type(effect) is ChildWanted:
                share = recording.shares[effect.child.id]
                items = foreach_items(parent, self._plan, effect.path)[effect.first : effect.first + effect.count]
                values, _ = self._carried(f"{effect.child.id}:items", items)
                outer = foreach_outer(parent, self._plan, effect.path)
                assert len(codec.encode_json(outer)) <= _OUTER_BYTES
                at_ms = share.instance.created_at_ms
                self._run(share, items_child(parent, self._plan, effect, values, outer, at_ms=at_ms))

    def _stored(self, parent: Instance, event: AnyEvent) -> AnyEvent:
        """What a share left stands in the parent's document if all that its shares leave may stand there."""
        if type(event) is not ChildEnded:
            return event
        flow = parent.steps[event.path].flow
        assert flow is not None
        number = next(child.number for child in flow.children if child.id == event.child)
        ref = part_ref(parent.id, event.path, parent.steps[event.path].attempt, number)
        result, _ = self._carried(ref, event.result, times=-(-flow.count // CHILD_ITEMS))
        return replace(event, result=result)

    def _carried(self, ref: str, value: Any, *, times: int = 1) -> tuple[Any, str | None]:
        """The value as the instance carries it: a large one is in a side document, which is written once."""
        encoded = codec.encode_json(value)
        if times * len(encoded) <= _SIDE_BYTES:
            return value, None
        self._bytes += len(codec.encode_side(ref.partition(":")[0], encoded))
        return SideValue(ref, value), ref

    def _follow(self, resident: Resident, effect: Effect) -> bytes | None:
        """Put what follows into the outbox; the intent to begin a child is returned."""
        instance = resident.instance
        if type(effect) is AttemptEnded:
            record = effect.record
            given = render_input(instance, self._plan, record.path)
            self._bytes += len(step_row(instance, record, given, effect.output))
            row_id = f"{instance.of or instance.id}:{record.path}:{record.attempt}"
            resident.put_outbox(row_id, OutboxEntry("step", _INDEX, record), None)
        elif type(effect) is InstanceEnded:
            row = share_row if instance.items is not None else instance_row
            self._bytes += len(row(instance, resident.log, resident.log_parts))
            resident.put_outbox(instance.id, OutboxEntry("instance", _INDEX), None)
        elif type(effect) is ChildWanted:
            child = effect.child
            intent = Intent(child.id, "begin", "", effect.path, child.number, effect.first, effect.count)
            return codec.encode(intent)
        return None

    def _cut_log(self, resident: Resident) -> None:
        """A part of the log leaves for history."""
        self._bytes += len(events_row(resident.instance, resident.log_parts + 1, resident.log))
        resident.drop_log_part(len(resident.log))

    def _document(self, resident: Resident, intents: list[bytes]) -> None:
        instance = resident.instance
        ready = [path for path, state in instance.steps.items() if state.status is StepStatus.READY]
        self._bytes += len(
            codec.encode_document(
                instance,
                write_id=f"{_WRITER}.3.{instance.tokens + 1_000}",
                epoch=3,
                writer=_WRITER,
                answered_tokens=instance.tokens,
                updated_at_ms=instance.created_at_ms,
                wake_at_ms=0,
                ready=[self._plan.step(path).executor for path in ready],
                rank=instance.created_at_ms if ready else None,
                held=True,
                log_parts=resident.log_parts,
                log=resident.log,
                outbox=[record.encoded for record in resident.outbox.values()],
                intents=intents,
            )
        )
