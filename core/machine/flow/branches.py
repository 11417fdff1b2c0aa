"""Steps that choose or split: `switch` and `parallel`."""

from __future__ import annotations

from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import Block, Parallel, StepPlan, Switch
from ..ending.cancelling import cancel_open
from ..seeing.rendering import render_now
from ..state import FINAL_STEP, Progress, StepStatus
from ..table import DONE_STEP
from ..turn import Turn
from .ends import cancel_inside, fail, failed_inside, open_step, succeed

OTHERWISE = "else"


def begin_switch(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """The case whose key is the value, as text, else `else`; nothing where there is neither."""
    flow = step.flow
    assert isinstance(flow, Switch)
    chosen = case_key(render_now(turn, path, step, flow.value))
    block = flow.cases.get(chosen)
    if block is None:
        chosen, block = OTHERWISE, flow.otherwise
    open_step(turn, path, step, Progress(chosen=None if block is None else chosen), **changes)
    if block is None:
        succeed(turn, path)
    else:
        turn.enter(block, f"{path}.{chosen}.")


def case_key(value: Any) -> str:
    """A value as the key of a case is written: null, true and false as in YAML, whole numbers without a fraction."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def begin_parallel(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """All branches begin at once."""
    flow = step.flow
    assert isinstance(flow, Parallel)
    open_step(turn, path, step, Progress(), **changes)
    for key, block in flow.branches.items():
        turn.enter(block, f"{path}.{key}.")


def branch_done(turn: Turn, owner: str, step: StepPlan) -> None:
    """A case is done, or a branch: then as many as are needed may be, and the others are cancelled."""
    flow = step.flow
    if not isinstance(flow, Parallel):
        succeed(turn, owner)
        return
    done = sum(_outcome(turn, block, f"{owner}.{key}.") == "done" for key, block in flow.branches.items())
    if done >= flow.needed:
        cancel_inside(turn, owner, ErrorInfo("not_needed", f"{flow.needed} branches of {owner!r} are done"))
        succeed(turn, owner)


def branch_failed(turn: Turn, owner: str, step: StepPlan, prefix: str, path: str, error: ErrorInfo) -> None:
    """A step in a branch has failed: so has the branch, and the step where too few branches are left."""
    flow = step.flow
    cancel_open(turn, prefix, error)
    if isinstance(flow, Parallel):
        outcomes = [_outcome(turn, block, f"{owner}.{key}.") for key, block in flow.branches.items()]
        if len(outcomes) - outcomes.count("failed") >= flow.needed:
            return
    fail(turn, owner, failed_inside(path, error))


def _outcome(turn: Turn, block: Block, prefix: str) -> str:
    """Of a branch: `open`, `done` or `failed`; one that has not begun is open."""
    states = [turn.steps.get(prefix + name) for name in block.names]
    if any(state is None for state in states):
        return "open"
    known = [state for state in states if state is not None]
    if any(state.status is StepStatus.FAILED and not state.handled for state in known):
        return "failed"
    if any(state.status is StepStatus.CANCELLED for state in known):
        return "failed"
    if all(state.status in DONE_STEP or state.handled for state in known):
        return "done"
    assert any(state.status not in FINAL_STEP for state in known)
    return "open"
