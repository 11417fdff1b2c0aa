"""What a failed attempt leads to: another one after a backoff, or the end of the step and with it of the instance."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...claim.wire import Call, ErrorInfo
from .budgets import absorb, overspent
from .events import AttemptOutcome, Failed, Refused
from .finishing import fail_instance
from .retry import retry_delay_ms
from .state import StepState
from .table import BACK_OFF, FAIL, StepMove
from .turn import Turn


def failed(turn: Turn, event: Failed) -> Refused | None:
    """The executor gives up. A budget that its usage overspends ends the instance whatever the retry policy says."""
    state = turn.held(event.path, event.token)
    if isinstance(state, Refused):
        return state
    if event.usage is not None:
        state = turn.put(event.path, absorb(turn, state, event.usage))
    spent = overspent(turn)
    if spent is None:
        random = event.random if event.retryable else None
        state = replace(state, lost=0)
        fail_attempt(turn, event.path, state, "failed", event.error, random=random, calls=event.calls)
        return None
    turn.record(event.path, state, "failed", error=event.error, calls=event.calls)
    _end_step(turn, event.path, FAIL, event.error, failures=state.failures + 1)
    fail_instance(turn, spent)
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
    """Record the attempt and retry the step if its policy allows; `random` None forbids it."""
    turn.record(path, state, outcome, error=error, calls=calls)
    failures = state.failures + 1
    delay_ms = None if random is None else retry_delay_ms(turn.step(path).retry, failures, error.type, random)
    if delay_ms is None:
        fail_step(turn, path, FAIL, error, failures=failures)
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
        wake_at_ms=turn.at_ms + delay_ms,
    )


def fail_step(turn: Turn, path: str, move: StepMove, error: ErrorInfo, **changes: Any) -> None:
    """The step has failed for good, and the instance with it."""
    _end_step(turn, path, move, error, **changes)
    fail_instance(turn, ErrorInfo(error.type, f"step {path!r} failed: {error.message or error.type}"))


def _end_step(turn: Turn, path: str, move: StepMove, error: ErrorInfo, **changes: Any) -> None:
    turn.move(path, move, error=error, token=0, lease_ttl_ms=0, wake_at_ms=0, finished_at_ms=turn.at_ms, **changes)
