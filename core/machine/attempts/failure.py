"""What a failed attempt leads to: another one after a backoff, or what the step's `on_failure` says."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ....claim.wire import Call, ErrorInfo
from ..budgets import bill, overspent
from ..events import AttemptOutcome, Failed, Refused
from ..state import Progress, StepState
from ..table import BACK_OFF, FAIL, FAIL_INSIDE, HANDLE, StepMove
from ..turn import Turn
from .retry import retry_delay_ms


def failed(turn: Turn, event: Failed) -> Refused | None:
    """The executor gives up. A budget that its usage overspends fails the instance, whatever the step's definition says
    about retries and failures."""
    state = turn.held(event.path, event.token)
    if isinstance(state, Refused):
        return state
    state = turn.put(event.path, bill(turn, event.path, state, event.usage))
    turn.spent = overspent(turn, ended=1)
    if turn.spent is None:
        random = event.random if event.retryable else None
        state = replace(state, lost=0)
        fail_attempt(turn, event.path, state, "failed", event.error, random=random, calls=event.calls)
        return None
    turn.record(event.path, state, "failed", error=event.error, calls=event.calls)
    _end_step(turn, event.path, FAIL, event.error, failures=state.failures + 1)
    return None


def fail_attempt(
    turn: Turn,
    path: str,
    state: StepState,
    outcome: AttemptOutcome,
    error: ErrorInfo,
    *,
    random: float | None,
    calls: tuple[Call, ...] = (),
) -> None:
    """Record the attempt, if an executor ran it, and retry the step if its policy allows; `random` None forbids it."""
    if turn.step(path).flow is None:
        turn.record(path, state, outcome, error=error, calls=calls)
    failures = state.failures + 1
    delay_ms = None if random is None else retry_delay_ms(turn.step(path).retry, failures, error.type, random)
    if delay_ms is None:
        fail_step(turn, path, FAIL if state.token else FAIL_INSIDE, error, failures=failures)
        return
    turn.move(
        path,
        BACK_OFF,
        failures=failures,
        lost=state.lost,
        error=error,
        token=0,
        lease_ttl_ms=0,
        worker=None,
        usage=None,
        usage_released=None,
        call_parts=0,
        wake_at_ms=turn.at_ms + delay_ms,
    )


def fail_step(turn: Turn, path: str, move: StepMove, error: ErrorInfo, **changes: Any) -> None:
    """The step has failed for good: what its `on_failure` says follows, or the failure of what it stands in."""
    on_failure = turn.step(path).on_failure
    if on_failure == "fail":
        _end_step(turn, path, move, error, **changes)
        turn.failed.append((path, error))
    elif on_failure == "continue":
        _end_step(turn, path, move, error, handled=True, **changes)
        turn.done.append(path)
    else:
        state = turn.steps[path]
        flow = replace(state.flow or Progress(), handling=True)
        turn.move(
            path,
            HANDLE,
            **{**_CLOSED, **changes, "error": error, "flow": flow, "finished_at_ms": turn.at_ms},
        )
        turn.enter(on_failure, f"{path}.on_failure.")


_CLOSED: dict[str, Any] = {"token": 0, "lease_ttl_ms": 0, "wake_at_ms": 0}


def _end_step(turn: Turn, path: str, move: StepMove, error: ErrorInfo, **changes: Any) -> None:
    turn.move(path, move, **{**_CLOSED, **changes, "error": error, "finished_at_ms": turn.at_ms})
