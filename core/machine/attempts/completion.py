"""An executor delivers a step's result."""

from __future__ import annotations

from msgspec.structs import replace

from ..budgets import bill, overspent
from ..events import Completed, Refused
from ..state import Instance, SideValue, StepStatus
from ..table import COMPLETE
from ..turn import Turn


def completed(turn: Turn, event: Completed) -> Refused | None:
    """The step succeeds. A budget that its usage overspends fails the instance; the result stays recorded."""
    if is_repeat(turn.instance, event):
        return None
    path = event.path
    state = turn.held(path, event.token)
    if isinstance(state, Refused):
        return state
    step = turn.step(path)
    if event.usage is not None or step.cost:
        state = turn.put(path, bill(turn, path, state, event.usage))
    turn.record(path, state, "succeeded", calls=event.calls, output=event.result)
    succeeded = replace(
        state,
        status=COMPLETE.target,
        result=event.result,
        result_ref=event.result.ref if type(event.result) is SideValue else None,
        finished_at_ms=turn.at_ms,
        finished_order=turn.attempts if step.compensation is not None else 0,
        wake_at_ms=0,
        lease_ttl_ms=0,
        lost=0,
        error=None,
        checkpoint=None,
    )
    turn.moved(path, COMPLETE, succeeded)
    turn.done.append(path)
    turn.spent = overspent(turn)
    return None


def is_repeat(instance: Instance, event: Completed) -> bool:
    """Whether the step succeeded under this very token before: the same report again, its answer was lost."""
    state = instance.steps.get(event.path)
    return state is not None and state.status is StepStatus.SUCCEEDED and state.token == event.token
