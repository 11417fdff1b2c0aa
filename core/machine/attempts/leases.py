"""Leases: taken, renewed with news, given back, lost."""

from __future__ import annotations

from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ..budgets import absorb, overspent
from ..events import CallsMade, Claimed, Heartbeat, LeaseEnded, LeaseExpired, Refused, Released
from ..state import StepStatus
from ..table import CLAIM, LOSE, RELEASE
from ..turn import Turn, unknown_step
from .activation import ready_again
from .failure import fail_attempt

MAX_LOST_LEASES = 3
"""So many leases in a row may be lost without counting as a failure."""


def claimed(turn: Turn, event: Claimed) -> Refused | None:
    """A new attempt begins under a token that no lease of this instance had before."""
    path, at_ms = event.path, event.at_ms
    state = turn.steps.get(path)
    if state is None:
        return unknown_step(path)
    if state.status is not StepStatus.READY:
        held = state.token if state.status is StepStatus.CLAIMED else 0
        return Refused("not_open", f"step {path!r} can't be claimed: it is {state.status.value}", held)
    if state.ready_at_ms > at_ms:
        return Refused("not_open", f"step {path!r} can't be claimed before {state.ready_at_ms}; it is {at_ms}")
    turn.tokens += 1
    timeout_ms = turn.step(path).timeout_ms
    leased = replace(
        state,
        status=CLAIM.target,
        attempt=state.attempt + 1,
        token=turn.tokens,
        claimed_at_ms=at_ms,
        wake_at_ms=at_ms + timeout_ms if timeout_ms else 0,
        lease_ttl_ms=event.lease_ttl_ms,
        worker=event.worker,
    )
    turn.moved(path, CLAIM, leased)
    return None


def heartbeat(turn: Turn, event: Heartbeat) -> Refused | None:
    """Keep the checkpoint for the next attempt and the usage for the budgets, hand calls on; without these nothing."""
    state = turn.held(event.path, event.token)
    if isinstance(state, Refused):
        return state
    if event.checkpoint is not None:
        state = replace(state, checkpoint=event.checkpoint)
    if event.usage is not None:
        state = absorb(turn, state, event.usage)
    if event.calls:
        state = replace(state, call_parts=state.call_parts + 1)
        turn.effects.append(CallsMade(event.path, state.attempt, state.call_parts, event.calls))
    if state is not turn.steps[event.path]:
        turn.put(event.path, state)
    if event.usage is not None:
        turn.spent = overspent(turn)
    return None


def released(turn: Turn, event: Released) -> Refused | None:
    """The attempt does not count and leaves no row; its token stays burnt, and what it used stays counted."""
    state = turn.held(event.path, event.token)
    if isinstance(state, Refused):
        return state
    ready_again(turn, event.path, RELEASE, attempt=state.attempt - 1, usage_released=state.usage)
    return None


def lease_expired(turn: Turn, event: LeaseExpired) -> Refused | None:
    """A new attempt at once. From the fourth loss in a row on it is a failure of type `lease_lost`, like any other."""
    path = event.path
    state = turn.held(path, event.token)
    if isinstance(state, Refused):
        return state
    error = ErrorInfo("lease_lost", f"no heartbeat came within {state.lease_ttl_ms} ms")
    turn.effects.append(LeaseEnded(path, state.token, f"{error.type}: {error.message}"))
    if state.lost >= MAX_LOST_LEASES:
        fail_attempt(turn, path, state, "lease_lost", error, random=event.random)
        return None
    turn.record(path, state, "lease_lost", error=error)
    ready_again(turn, path, LOSE, lost=state.lost + 1, usage=None, usage_released=None, call_parts=0)
    return None
