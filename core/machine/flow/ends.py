"""How a step without an executor begins and ends, whatever its kind."""

from __future__ import annotations

from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import StepPlan
from ..attempts.failure import fail_step
from ..ending.cancelling import cancel_open, end_children
from ..seeing.rendering import seen_by
from ..state import Progress, SideValue
from ..table import BEGIN, DONE, FAIL_INSIDE
from ..turn import Turn


def open_step(turn: Turn, path: str, step: StepPlan, flow: Progress | None = None, **changes: Any) -> None:
    """The step waits from now on, for its `timeout` at most; `wake_at_ms` among the changes says otherwise."""
    state = turn.steps[path]
    timing = {"wake_at_ms": turn.at_ms + step.timeout_ms if step.timeout_ms else 0}
    given = state.seen is not None and "input" in state.seen
    facts = {
        "attempt": state.attempt + 1,
        "activated_at_ms": turn.at_ms,
        "seen": state.seen if given else seen_by(turn, step),
        "error": None,
        "flow": flow,
    }
    turn.move(path, BEGIN, **{**timing, **facts, **changes})


def succeed(turn: Turn, path: str, result: Any = None, **changes: Any) -> None:
    """The step is done."""
    if turn.step(path).compensation is not None:
        changes["finished_order"] = turn.attempts
    turn.move(
        path,
        DONE,
        result=result,
        result_ref=result.ref if type(result) is SideValue else None,
        finished_at_ms=turn.at_ms,
        wake_at_ms=0,
        error=None,
        **changes,
    )
    turn.done.append(path)


def fail(turn: Turn, path: str, error: ErrorInfo, **changes: Any) -> None:
    """The step has failed for good; what is under way inside it ends."""
    cancel_inside(turn, path, error)
    fail_step(turn, path, FAIL_INSIDE, error, **changes)


def cancel_inside(turn: Turn, path: str, error: ErrorInfo) -> None:
    """What is open inside a step ends before it is done; its children are told."""
    cancel_open(turn, f"{path}.", error)
    cancel_open(turn, f"{path}[", error)
    end_children(turn, turn.steps[path], error)


def failed_inside(path: str, error: ErrorInfo) -> ErrorInfo:
    """A step's error as that of what it stands in: told once, with the innermost step's name."""
    if error.message.startswith("step '"):
        return error
    return ErrorInfo(error.type, f"step {path!r} failed: {error.message or error.type}")
