"""The state of an instance: plain values, never changed in place once a transition has returned them.

The structs are stored as they stand (`core.lanes.codec`), with defaults omitted, so a field's default is part of the
stored format. Times are integer milliseconds since the epoch, 0 when not set.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from ...claim.wire import ErrorInfo, Usage


class InstanceStatus(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"


FINAL_INSTANCE = frozenset(
    {InstanceStatus.SUCCEEDED, InstanceStatus.FAILED, InstanceStatus.CANCELLED, InstanceStatus.TERMINATED}
)


class StepStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    CLAIMED = "claimed"
    BACKING_OFF = "backing_off"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


FINAL_STEP = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})


class SideValue:
    """A value too large for the instance's document: it lives in a side document of the same lane, named by `ref`.

    The machine carries it about and hands `value` to templates; the codec stores only the reference.
    """

    __slots__ = ("ref", "value")

    def __init__(self, ref: str, value: Any) -> None:
        self.ref = ref
        self.value = value


def plain(value: Any) -> Any:
    """The value itself, wherever it is stored."""
    return value.value if type(value) is SideValue else value


class Approval(Struct, frozen=True, omit_defaults=True, gc=False):
    """A decision asked for by `requires_approval`, and who gave it. `asked_at_ms` is when the step began to wait."""

    decision: Literal["pending", "approved", "rejected", "timed_out"] = "pending"
    asked_at_ms: int = 0
    timeout_at_ms: int = 0
    decided_by: str | None = None
    decided_at_ms: int = 0
    comment: str | None = None
    form: dict[str, Any] | None = None


class StepState(Struct, frozen=True, omit_defaults=True, gc=False):
    """One step of one run, under its run path.

    `attempt` numbers the attempt in progress, or the last one, and never restarts. `token` is that of the current
    lease and 0 when nobody holds the step; a succeeded step keeps the token that won, by which a repeated completion
    is known. `failures` counts attempts that failed, `lost` the leases lost in a row. `activated_at_ms` is when the
    step's `input` was evaluated (its `if`, while it waits for an approval): a rendering at that time, from the same
    results, gives the same input again. `wake_at_ms` is the step's next own timer, whatever its kind. `usage` is the
    current attempt's; `usage_released` the part of it that holders reported who then released the lease.
    """

    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    token: int = 0
    failures: int = 0
    lost: int = 0
    activated_at_ms: int = 0
    ready_at_ms: int = 0
    claimed_at_ms: int = 0
    finished_at_ms: int = 0
    wake_at_ms: int = 0
    lease_ttl_ms: int = 0
    worker: str | None = None
    result: Any = None
    result_ref: str | None = None
    error: ErrorInfo | None = None
    checkpoint: Any = None
    usage: Usage | None = None
    approval: Approval | None = None
    usage_released: Usage | None = None


class Instance(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One run of a definition: the part of the lane document that the machine owns.

    `steps` maps run paths to states and holds every step from the start on. `tokens` is the last fencing token given
    out; the next lease gets `tokens + 1`. `priority` is 0 (first) to 9.
    """

    id: str
    workflow: str
    version: int
    definition_tenant: str
    tenant: str
    space: str
    status: InstanceStatus = InstanceStatus.RUNNING
    priority: int = 5
    created_at_ms: int
    deadline_ms: int = 0
    finished_at_ms: int = 0
    tokens: int = 0
    steps: dict[str, StepState] = {}
    inputs: Any = {}
    inputs_ref: str | None = None
    trigger: Any = {}
    trigger_ref: str | None = None
    outputs: Any = None
    outputs_ref: str | None = None
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    labels: dict[str, str] = {}
    started_by: str = ""
    correlation_id: str | None = None
    traceparent: str | None = None
    parent_id: str | None = None
