"""History rows: what is written to `workflow-steps`, `workflow-instances`, `workflow-events` and `workflow-audit`.

Field names are API (docs/history.md; the mappings are `ilm.steps`, `ilm.instances` and `ilm.trail`). Times are ISO 8601
in UTC. Input and output are JSON text in a field of their own name, so that any shape is searchable and none adds a
field; where that text holds escaped line breaks, `*_lines` repeats it with real ones for the index to read.
`rows` are the structs, `making` fills and encodes them, `reading` takes from encoded ones. Pure.
"""

from .making import audit_row, calls_row, events_row, instance_row, instance_row_id, share_row, step_row
from .reading import instance_of_row, stripped_row
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

__all__ = [
    "ActionFields",
    "AuditRow",
    "CallsRow",
    "CallsStepFields",
    "EventFields",
    "EventOutcome",
    "EventsRow",
    "InstanceRow",
    "PathFields",
    "ShareRow",
    "SourceFields",
    "StepFields",
    "StepRow",
    "TraceFields",
    "UserFields",
    "WorkflowFields",
    "audit_row",
    "calls_row",
    "events_row",
    "instance_of_row",
    "instance_row",
    "instance_row_id",
    "share_row",
    "step_row",
    "stripped_row",
]
