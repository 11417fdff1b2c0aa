"""The state of an instance: plain values, never changed in place once a transition has returned them.

The structs are stored as they stand (`core.lanes.codec`), with defaults omitted, so a field's default is part of the
stored format. Times are integer milliseconds since the epoch, 0 when not set.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from ...claim.wire import ErrorInfo, Usage
from .times import NO_TIME, Times


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
    """A decision asked for by `requires_approval`, and who gave it. `asked_at_ms` is when the step began to wait,
    `attempt` the one that the decision let begin."""

    decision: Literal["pending", "approved", "rejected", "timed_out"] = "pending"
    asked_at_ms: int = 0
    timeout_at_ms: int = 0
    decided_by: str | None = None
    decided_at_ms: int = 0
    comment: str | None = None
    form: dict[str, Any] | None = None
    attempt: int = 0


class Child(Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """A child instance under way: `id`, which of its parent's children it is (`number`, from 0), and its usage so far.

    The children of a foreach hold some of its items each; a sub-workflow step has one child for each attempt.
    """

    id: str
    number: int = 0
    usage: Usage | None = None
    attempts: int = 0


class Progress(Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a step stands that has steps or children of its own.

    `chosen`: the case of a switch. `iteration`: how many of a while have begun. Of a foreach `count` is how many items
    it has, `begun` how many of its children were begun, `ended` how many succeeded, `failed` how many items failed.
    `children` are those under way, of a sub-workflow step too. `handling`: the step has failed, and its `on_failure`
    steps run. `undoable`: some of the items left something to undo; `undone`: how much of it is undone.
    """

    chosen: str | None = None
    iteration: int = 0
    count: int = 0
    begun: int = 0
    ended: int = 0
    failed: int = 0
    children: tuple[Child, ...] = ()
    handling: bool = False
    undoable: bool = False
    undone: int = 0


class Signal(Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """A signal that came before anything waited for it, kept until something does."""

    name: str
    payload: Any
    at_ms: int
    by: str


class Items(Struct, frozen=True, omit_defaults=True, gc=False):
    """What an instance runs that is a child of a foreach: `values`, the items from number `first` on.

    `path` is the foreach's run path in the parent. `begun` counts the items begun, at most `max_parallel` of which are
    under way at once; `finished` are the indices of those that are no longer, `failed` maps the ones that failed to
    why. Attempts of its steps are counted from `base`, above all that earlier runs of the foreach had. `values_ref`:
    the side document of the values.
    """

    path: str
    first: int
    values: Any
    max_parallel: int
    begun: int = 0
    finished: tuple[int, ...] = ()
    failed: dict[int, ErrorInfo] = {}
    base: int = 0
    values_ref: str | None = None


class StepState(Struct, frozen=True, omit_defaults=True, gc=False):
    """One step of one run, under its run path.

    `attempt` numbers the attempt in progress, or the last one, and never restarts. `token` is that of the current
    lease and 0 when nobody holds the step; a succeeded step keeps the token that won, by which a repeated completion
    is known. `failures` counts attempts that failed, `lost` the leases lost in a row. `activated_at_ms` is when the
    step's `input` was evaluated (its `if`, while it waits for an approval): a rendering at that time, from the same
    results, gives the same input again. `wake_at_ms` is the step's next own timer, whatever its kind. `usage` is the
    current attempt's; `usage_released` the part of it that holders reported who then released the lease. `call_parts`
    counts the lots of calls that heartbeats of the attempt have brought.

    `flow` is for steps that have steps or children of their own. `parts` of a foreach maps the numbers of children that
    have ended to what they left: `{"results": [...], "failures": [[index, type, message]], "undo": [[run path, time of
    completion, input]]}`, or a `SideValue` of that, stored as null under `part_ref`. `seen` is what a step saw
    at its activation of what may change since: `vars` and `signals`, as far as its templates speak of them; and the
    `input` of a compensation that came with what a share left. `handled`: the step has failed, and the instance goes on
    as `on_failure` says. `undone`: how its compensation ended.
    `finished_order` orders the steps that can be undone: how many of the instance's attempts had ended when the step
    was done, or before it began for a foreach.
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
    flow: Progress | None = None
    parts: dict[int, Any] = {}
    seen: dict[str, Any] | None = None
    handled: bool = False
    undone: Literal["", "succeeded", "failed", "skipped"] = ""
    call_parts: int = 0
    finished_order: int = 0


def part_ref(instance_id: str, path: str, attempt: int, number: int) -> str:
    """The side document of what a child of a foreach left."""
    return f"{instance_id}:{path}:{attempt}:{number}"


class Instance(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One run of a definition: the part of the lane document that the machine owns.

    `steps` maps run paths to states: every step of the definition's own list from the start on, those inside steps
    while these run. `tokens` is the last fencing token given out; the next lease gets `tokens + 1`. `priority` is 0
    (first) to 9. `usage` and `attempts` (those that have ended) count the children's too; so does `times`, once these
    have ended.

    `ending` is what the instance is to become once compensations and `on_failure` or `on_cancel` steps are done; it is
    `cancelling` until then, and `undone` says how the compensations went. `signals` holds the last payload of each
    name, `inbox` what nothing has waited for yet. `queued`: it waits for a slot of its concurrency `group`, or for its
    tenant to run less; once more since `queued_at_ms` where it was brought back. `backlogged`: nobody's child, it is
    queued, or since its start none of its steps was leased and it waited for nothing but executors. `redrives` counts
    how often it was brought back. From the first time that anything is done again (`renumbered`), attempts in loops are
    counted from above all that there have been; `earlier` keeps the last attempt of steps outside loops whose states
    have gone, by run path.
    `memory` is what earlier runs with its `memory_key` left, the last of them at `memory_at_ms`; what it has
    `remembered` goes over it for the next one.

    A child names its parent, the step there and which of its children it is; `depth` counts the sub-workflows above.
    `watched`: an instance above has a budget. A child of a foreach has `items`, and in `outer` what its templates see
    of the outside: `steps`, `vars`, `signals`, `item` and `index`; `of` is the instance that it is a part of, under
    whose id its attempts are recorded.
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
    attempts: int = 0
    vars: dict[str, Any] = {}
    signals: dict[str, Any] = {}
    inbox: tuple[Signal, ...] = ()
    memory: Any = None
    memory_ref: str | None = None
    memory_at_ms: int = 0
    queued_at_ms: int = 0
    memory_key: str | None = None
    remembered: dict[str, Any] = {}
    ending: InstanceStatus | None = None
    undone: Literal["", "succeeded", "failed"] = ""
    paused_by: str | None = None
    group: str | None = None
    queued: bool = False
    backlogged: bool = False
    redrives: int = 0
    renumbered: bool = False
    earlier: dict[str, int] = {}
    parent_path: str | None = None
    parent_number: int = 0
    depth: int = 0
    watched: bool = False
    of: str | None = None
    items: Items | None = None
    outer: Any = None
    outer_ref: str | None = None
    times: Times = NO_TIME
