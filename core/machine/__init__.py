"""The machine: what becomes of an instance when something happens to it.

`advance(instance, plan, event)` is a pure function. It does no I/O, reads no clock and draws no random number but the
ones in the event, so the same events give the same instance in every process and at any later time: replay, simulation
and the retry of a write that lost its race all rest on that. Instances are values. `advance` shares with the old one
what did not change, so an event costs what it touches, whatever happened before it.

One event is one `Turn`, the only thing here that is changed in place. It goes through three stages:

1. The event's own function, which `dispatch` finds (in `attempts`, `flow` or `steering`), changes the step that it
   names, or refuses. A refusal, and a repeat of what stands already, return the very instance given.
2. `settling.follow` does what follows: dependents of what is done are activated (`attempts.activation`: `if` decides on
   skipping, `requires_approval` makes the step wait, then it is ready, or begins in `flow` where no executor runs it);
   a block whose steps are done, or one of which failed for good, is news for the step that it stands in.
3. `ending.finishing` says whether what is open makes the instance running or waiting; when nothing is open, it renders
   `outputs` and the instance has succeeded. An instance that is to fail or be cancelled winds down: leases end,
   children are told, `ending.compensation` undoes what can be undone, closing steps run; then it ends.

Statuses change by the moves of `table` alone; an event that finds a step in another status is refused.

Rules that the shell and the executors rely on:

- **Tokens** only grow within an instance, and none is given out twice, released leases included. A succeeded step keeps
  the token that won, so a completion whose answer was lost is acknowledged when it is sent again. Cancelling what is
  cancelled, terminating what is terminated and the same decision by the same person are repeats likewise.
- **Attempts** are numbered 1, 2, 3 and never restart. Each of an executor ends in one `AttemptEnded`, but for released
  ones: they leave no row, the next claim has their number, and the usage that they reported is carried over to it.
- **Retries**: attempts that failed, ran into `timeout`, or lost a lease once too often count against `retry.max`; the
  policy is asked for each. A lost lease gives a new attempt at once, `MAX_LOST_LEASES` times in a row; an attempt that
  failed or ran into `timeout` ends the row. `queue_timeout`, `template`, `rejected` and `approval_timeout` are never
  retried.
- **Timers** act when `TimerFired` says so, not before: a completion that is applied before it counts, however late.
  What is due fires by due time, then in the order of the steps. A timer that an event sets is never due in that event.
- **Usage** is cumulative for an attempt, in heartbeats and at its end alike; the largest figures stand. A budget is
  spent when the sum exceeds it; reaching it is fine. The completion that overspends it keeps its result.
- **Inputs** are not stored: a step sees what is final when it is activated and keeps what is not (`seen`), and
  `activated_at_ms` is `now` in its templates, so `render_input` gives the same again. An attempt after the first has
  the input of the first.
- **Children** are instances of their own. The step that has them names them before they begin (`ChildWanted`, carried
  out when that stands) and keeps them listed until `ChildEnded`, cancelled or not; an instance ends after its children,
  unless it is terminated, can't be stored, or a `succeed` step ends it. `children` says what a child begins with and
  what the items of a foreach leave.
- **Effects** come in the order in which things happened. `LeaseEnded` tells of leases that the machine took away, not
  of those that their executors ended. `InstanceEnded` comes once in an instance's life, last.
"""

from .attempts.leases import MAX_LOST_LEASES
from .attempts.timers import next_wake_ms
from .children import (
    CHILD_ITEMS,
    MAX_DEPTH,
    child_id,
    foreach_items,
    foreach_outer,
    is_watched,
    items_child,
    items_left,
    share_of,
)
from .creation import new_instance
from .dispatch import advance
from .events import (
    Admitted,
    AnyEvent,
    AttemptEnded,
    AttemptRecord,
    CallsMade,
    CancelRequested,
    ChildEnded,
    ChildRefused,
    ChildReported,
    ChildSteered,
    ChildWanted,
    Claimed,
    Completed,
    Decided,
    Effect,
    Failed,
    Heartbeat,
    InstanceEnded,
    LeaseEnded,
    LeaseExpired,
    PauseRequested,
    ReadyEnded,
    Refused,
    Rejected,
    Released,
    ResumeRequested,
    RetryRequested,
    Signalled,
    SkipRequested,
    Started,
    StepReady,
    TerminateRequested,
    TimerFired,
    Transition,
)
from .seeing.context import render_input, with_values
from .state import (
    FINAL_INSTANCE,
    FINAL_STEP,
    Approval,
    Instance,
    InstanceStatus,
    SideValue,
    StepState,
    StepStatus,
    plain,
)
from .table import INSTANCE_MOVES, STEP_MOVES, InstanceMove, StepMove
from .views import instance_view, step_view

__all__ = [
    "CHILD_ITEMS",
    "FINAL_INSTANCE",
    "FINAL_STEP",
    "INSTANCE_MOVES",
    "MAX_DEPTH",
    "MAX_LOST_LEASES",
    "STEP_MOVES",
    "Admitted",
    "AnyEvent",
    "Approval",
    "AttemptEnded",
    "AttemptRecord",
    "CallsMade",
    "CancelRequested",
    "ChildEnded",
    "ChildRefused",
    "ChildReported",
    "ChildSteered",
    "ChildWanted",
    "Claimed",
    "Completed",
    "Decided",
    "Effect",
    "Failed",
    "Heartbeat",
    "Instance",
    "InstanceEnded",
    "InstanceMove",
    "InstanceStatus",
    "LeaseEnded",
    "LeaseExpired",
    "PauseRequested",
    "ReadyEnded",
    "Refused",
    "Rejected",
    "Released",
    "ResumeRequested",
    "RetryRequested",
    "SideValue",
    "Signalled",
    "SkipRequested",
    "Started",
    "StepMove",
    "StepReady",
    "StepState",
    "StepStatus",
    "TerminateRequested",
    "TimerFired",
    "Transition",
    "advance",
    "child_id",
    "foreach_items",
    "foreach_outer",
    "instance_view",
    "is_watched",
    "items_child",
    "items_left",
    "new_instance",
    "next_wake_ms",
    "plain",
    "render_input",
    "share_of",
    "step_view",
    "with_values",
]
