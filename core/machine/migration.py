"""A live instance goes on under another version of its definition.

Whether it may is for a replay to say (`core.replay.compare`): the past must be the same under both versions. What lies
ahead then follows from the new one: timers, approvals' timeouts, the deadline, and the steps that have not begun.
"""

from __future__ import annotations

from msgspec.structs import replace

from .state import Instance, StepState, StepStatus


def carried_over(current: Instance, replayed: Instance) -> Instance:
    """The instance under the version that `replayed` came out of, where both have the same past.

    Values stay where they are stored. The deadline of a child is a matter of its parent's as well, so it stays.
    """
    return replace(
        current,
        version=replayed.version,
        steps={path: _carried(current.steps.get(path), state) for path, state in replayed.steps.items()},
        deadline_ms=current.deadline_ms if current.parent_id else replayed.deadline_ms,
    )


def _carried(current: StepState | None, replayed: StepState) -> StepState:
    if current is None or replayed.status is StepStatus.PENDING:
        return replayed
    return replace(
        current,
        wake_at_ms=replayed.wake_at_ms,
        approval=replayed.approval,
        seen=replayed.seen,
        finished_order=replayed.finished_order,
    )
