"""Rows as encoded JSON, from an instance and what has happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, get_args

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ..history_records import AuditRecord, CallsRecord
from ..machine.events import AttemptRecord
from ..machine.state import Instance, InstanceStatus, SideValue, plain
from .rows import (
    ActionFields,
    AuditRow,
    CallsRow,
    CallsStepFields,
    EventFields,
    EventOutcome,
    EventsRow,
    InstanceRow,
    PathFields,
    ShareRow,
    SourceFields,
    StepFields,
    StepRow,
    TraceFields,
    UserFields,
    WorkflowFields,
)

_EVENTS = {outcome: EventFields(outcome) for outcome in get_args(EventOutcome)}


def step_row(instance: Instance, record: AttemptRecord, input: Any, output: Any) -> bytes:
    """The row of a finished attempt; its id is `<instance id>:<run path>:<attempt>`. Payloads may be `SideValue`s."""
    started_ms = record.started_at_ms
    finished_at = _time(record.finished_at_ms)
    input_text, input_lines, input_bytes = _text(input)
    output_text, output_lines, output_bytes = _text(output)
    row = StepRow(
        timestamp=finished_at,
        workflow=_recorded_workflow(instance),
        step=StepFields(
            name=record.step,
            path=record.path,
            attempt=record.attempt,
            capability=record.executor,
            outcome=record.outcome,
            finished_at=finished_at,
            ready_at=_time(record.ready_at_ms) if record.ready_at_ms else None,
            started_at=_time(started_ms) if started_ms else None,
            duration_ms=record.finished_at_ms - started_ms if started_ms else None,
            queue_ms=started_ms - record.ready_at_ms if started_ms and record.ready_at_ms else None,
            human_wait_ms=record.human_wait_ms,
            input=input_text,
            output=output_text,
            input_lines=input_lines,
            output_lines=output_lines,
        ),
        tenant=instance.tenant,
        space=instance.space,
        event=_EVENTS[_step_outcome(record.outcome)],
        worker=record.worker or None,
        labels=_label_pairs(instance),
        correlation_id=instance.correlation_id,
        error=record.error,
        usage=record.usage,
        trace=_trace(instance.traceparent),
        calls=record.calls,
        stored_bytes=input_bytes + output_bytes,
    )
    return _encode(row)


def instance_row(instance: Instance, log: Sequence[bytes], log_parts: int) -> bytes:
    """The row of a finished instance; its id is `instance_row_id`. Side values stand in it in full."""
    inputs, inputs_lines, _ = _text(instance.inputs)
    outputs, outputs_lines, _ = _text(instance.outputs)
    finished_at = _time(instance.finished_at_ms)
    times, duration_ms = instance.times, instance.finished_at_ms - instance.created_at_ms
    # Decisions are dated by the owners' clocks, which may disagree.
    human_wait_ms = max(0, min(times.waits.human_ms, duration_ms))
    row = InstanceRow(
        timestamp=finished_at,
        workflow=WorkflowFields(instance.id, instance.workflow, instance.version),
        status=instance.status,
        created_at=_time(instance.created_at_ms),
        finished_at=finished_at,
        duration_ms=duration_ms,
        net_duration_ms=duration_ms - human_wait_ms,
        human_wait_ms=human_wait_ms,
        wait_ms=times.waits.wait_ms,
        queue_ms=times.queue_ms,
        run_ms=times.run_ms,
        tenant=instance.tenant,
        space=instance.space,
        definition_tenant=instance.definition_tenant,
        event=_EVENTS[_instance_outcome(instance.status)],
        inputs=inputs,
        outputs=outputs,
        inputs_lines=inputs_lines,
        outputs_lines=outputs_lines,
        labels=_label_pairs(instance),
        started_by=instance.started_by,
        correlation_id=instance.correlation_id,
        parent_id=instance.parent_id,
        redrives=instance.redrives,
        error=instance.error,
        usage=instance.usage,
        trace=_trace(instance.traceparent),
        instance=Raw(_encode(_without_references(instance))),
        log_parts=log_parts,
        log=Raw(b"[%b]" % b",".join(log)) if log else None,
    )
    return _encode(row)


def instance_row_id(instance: Instance) -> str:
    """The id of its row: one that was brought back has a row for each of its ends."""
    return f"{instance.id}:r{instance.redrives}" if instance.redrives else instance.id


def calls_row(instance: Instance, part: int, record: CallsRecord) -> bytes:
    """A lot of calls; its id is `<instance id>:<run path>:<attempt>:calls:<part>`."""
    row = CallsRow(
        timestamp=_time(record.at_ms),
        workflow=_recorded_workflow(instance),
        step=CallsStepFields(record.path, record.attempt),
        tenant=instance.tenant,
        space=instance.space,
        part=part,
        worker=record.worker,
        token=record.token,
        calls=record.calls,
    )
    return _encode(row)


def audit_row(instance: Instance, record: AuditRecord) -> bytes:
    """What somebody told the instance; its id is `<instance id>:audit:<place of the event in the log>`."""
    row = AuditRow(
        timestamp=_time(record.at_ms),
        event=ActionFields(record.action, "success", record.reason),
        user=UserFields(record.by, record.roles),
        source=SourceFields(record.address) if record.address else None,
        workflow=_recorded_workflow(instance),
        step=PathFields(record.path) if record.path else None,
        tenant=instance.tenant,
        space=instance.space,
        trace=_trace(instance.traceparent),
        details=_details(record),
    )
    return _encode(row)


def _details(record: AuditRecord) -> Any:
    """A record of an earlier release knows no statuses."""
    if not record.before:
        return record.details
    return {"before": {"status": record.before}, "after": {"status": record.after}, **(record.details or {})}


def _recorded_workflow(instance: Instance) -> WorkflowFields:
    """What happens in a share of a foreach belongs to the instance that it is a part of."""
    return WorkflowFields(instance.of or instance.id, instance.workflow, instance.version)


def events_row(instance: Instance, part: int, log: Sequence[bytes]) -> bytes:
    """A part of a long event log; its id is `<instance id>:events:<part>`.

    It is dated by the instance's creation, so that the row is the same whenever it is built again.
    """
    row = EventsRow(
        timestamp=_time(instance.created_at_ms),
        workflow=_recorded_workflow(instance),
        tenant=instance.tenant,
        space=instance.space,
        part=part,
        log=[Raw(entry) for entry in log],
    )
    return _encode(row)


def share_row(instance: Instance, log: Sequence[bytes], log_parts: int) -> bytes:
    """The row of a finished share of a foreach; its id is the share's. It stands beside the parts of its log.

    What the share was given by its parent follows from that one's own record: inputs, trigger and outside are left out.
    """
    own = replace(_without_references(instance), inputs={}, trigger={}, outer=None)
    row = ShareRow(
        timestamp=_time(instance.finished_at_ms),
        workflow=_recorded_workflow(instance),
        tenant=instance.tenant,
        space=instance.space,
        parent_id=instance.parent_id or "",
        instance=Raw(_encode(own)),
        log_parts=log_parts,
        log=[Raw(entry) for entry in log],
    )
    return _encode(row)


def _side_value(value: Any) -> Any:
    if type(value) is SideValue:
        return value.value
    raise NotImplementedError(f"{type(value).__name__} is no JSON value")


_encoder = msgspec.json.Encoder(enc_hook=_side_value)
_encode = _encoder.encode
_result_ref = attrgetter("result_ref")


@lru_cache(maxsize=4_096)
def _time(at_ms: int) -> datetime:
    # Rows of one group write share most of their times.
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _text(value: Any) -> tuple[str | None, str | None, int]:
    """A payload's JSON text, the same with its line breaks real where it has any, and how many bytes the text has."""
    value = plain(value)
    if value is None:
        return None, None, 0
    encoded = _encode(value)
    text = encoded.decode()
    if "\\n" in text or "\\t" in text or "\\r" in text:
        return text, text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r"), len(encoded)
    return text, None, len(encoded)


def _label_pairs(instance: Instance) -> list[str]:
    return [f"{key}={value}" for key, value in instance.labels.items()] if instance.labels else []


def _trace(traceparent: str | None) -> TraceFields | None:
    """The trace id of a W3C `traceparent`: its second part."""
    parts = traceparent.split("-") if traceparent else ()
    return TraceFields(parts[1]) if len(parts) >= 4 and len(parts[1]) == 32 else None


def _step_outcome(outcome: str) -> EventOutcome:
    if outcome == "succeeded":
        return "success"
    return "unknown" if outcome == "cancelled" else "failure"


def _instance_outcome(status: InstanceStatus) -> EventOutcome:
    if status is InstanceStatus.SUCCEEDED:
        return "success"
    return "failure" if status is InstanceStatus.FAILED else "unknown"


def _without_references(instance: Instance) -> Instance:
    """Side documents go with the lane document, so the row's instance names none."""
    if any(map(_result_ref, instance.steps.values())):
        steps = {path: replace(step, result_ref=None) for path, step in instance.steps.items()}
        instance = replace(instance, steps=steps)
    if instance.inputs_ref or instance.trigger_ref or instance.outputs_ref or instance.outer_ref:
        instance = replace(instance, inputs_ref=None, trigger_ref=None, outputs_ref=None, outer_ref=None)
    if instance.memory_ref:
        instance = replace(instance, memory_ref=None)
    if instance.items is not None and instance.items.values_ref:
        instance = replace(instance, items=replace(instance.items, values_ref=None))
    return instance
