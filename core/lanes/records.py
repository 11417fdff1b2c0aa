"""The history records that a lane's instances leave: their entries in the outbox, and the rows that these become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..history_records import AuditRecord, CallsRecord
from ..history_rows import audit_row, calls_row, events_row, instance_row, share_row, step_row
from ..machine.events import AttemptEnded, AttemptRecord, CallsMade
from ..machine.state import Instance
from .children.known import is_share
from .codec import OutboxEntry
from .memory.loading import row_id_of
from .remembering import leaves_memory, left_at_ms, memory_row

if TYPE_CHECKING:
    from .lane import Lane
    from .memory.resident import Resident


class Records:
    """Puts one lane's records into the outboxes of their instances, and builds their rows again when they are gone."""

    def __init__(self, lane: Lane) -> None:
        self._index = lane.parts.history.index
        self._keys = lane.parts.names.keys
        self._clock = lane.parts.clock
        self._remembering = lane.remembering

    def attempt_ended(self, resident: Resident, effect: AttemptEnded, before: Instance) -> None:
        """A row for the attempt; `before` is the instance as it was when the attempt ended."""
        record = effect.record
        resident.lane.quotas.lease_ended(resident, record.path)
        row_id = f"{resident.id}:{record.path}:{record.attempt}"
        entry = OutboxEntry("step", self._index("step"), record)
        row = step_row(resident.instance, record, resident.input_of(before, record.path), effect.output)
        resident.put_outbox(row_id, entry, row)
        # The next attempt's StepReady brings the input again.
        resident.inputs.pop(record.path, None)

    def calls_made(self, resident: Resident, effect: CallsMade) -> None:
        """A row for a lot of calls that a heartbeat brought."""
        state = resident.instance.steps[effect.path]
        now_ms = self._clock.now_ms()
        record = CallsRecord(effect.path, effect.attempt, state.token, now_ms, state.worker or "", effect.calls)
        entry = OutboxEntry("calls", self._index("calls"), part=effect.part, told=record)
        resident.put_outbox(row_id_of(resident.instance, entry), entry, None)

    def instance_ended(self, resident: Resident) -> None:
        """A row for the instance; what it has remembered is given to the next run with its memory key."""
        instance = resident.instance
        kind: Literal["share", "instance"] = "share" if is_share(instance) else "instance"
        entry = OutboxEntry(kind, self._index(kind))
        resident.put_outbox(row_id_of(instance, entry), entry, None)
        if leaves_memory(instance):
            entry = OutboxEntry("memory", self._keys, count=left_at_ms(instance))
            resident.put_outbox(row_id_of(instance, entry), entry, memory_row(instance))
            self._remembering.left(instance)

    def cut_log(self, resident: Resident) -> None:
        """Send the log so far to history, so that the bytes written for an event do not grow with those before it."""
        part = resident.log_parts + 1
        entry = OutboxEntry("events", self._index("events"), None, part, len(resident.log))
        resident.put_outbox(f"{resident.id}:events:{part}", entry, None)

    def audit(self, resident: Resident, record: AuditRecord) -> None:
        """The event that was applied just now was somebody's order: a row of the trail goes with its write.

        Its id is the event's place in the log, so it is the same however often the event is applied or delivered.
        """
        entry = OutboxEntry(
            "audit", self._index("audit"), part=resident.log_parts, count=len(resident.log), told=record
        )
        resident.put_outbox(row_id_of(resident.instance, entry), entry, None)

    def row(self, resident: Resident, row_id: str, entry: OutboxEntry) -> bytes:
        """The body of an outbox record, built again where memory no longer holds it."""
        known = resident.outbox.get(row_id)
        if known is not None and known.row is not None:
            return known.row
        if entry.kind == "instance":
            return instance_row(resident.instance, resident.log, resident.log_parts)
        if entry.kind == "memory":
            return memory_row(resident.instance)
        if entry.kind == "share":
            return share_row(resident.instance, resident.log, resident.log_parts)
        if entry.kind == "events":
            return events_row(resident.instance, entry.part, resident.log[: entry.count])
        if isinstance(entry.told, AuditRecord):
            return audit_row(resident.instance, entry.told)
        if isinstance(entry.told, CallsRecord):
            return calls_row(resident.instance, entry.part, entry.told)
        assert entry.record is not None
        return attempt_row(resident, resident.instance, entry.record)


def attempt_row(resident: Resident, instance: Instance, record: AttemptRecord) -> bytes:
    """The row of an attempt, from an instance that holds its step."""
    output = instance.steps[record.path].result if record.outcome == "succeeded" else None
    return step_row(resident.instance, record, resident.input_of(instance, record.path), output)
