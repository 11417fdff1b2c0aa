"""What a turn adds to the instance's `Times`, beside what attempts took (`Turn.record`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ...definitions.plan import Wait, WaitForSignal
from .state import StepState, StepStatus
from .times import Times, with_child

if TYPE_CHECKING:
    from .turn import Turn


def waited(turn: Turn, path: str, state: StepState) -> None:
    """A step ends, in whatever way: if it was waiting for a time or a signal, that was its wait."""
    if state.status is not StepStatus.WAITING or not isinstance(turn.step(path).flow, Wait | WaitForSignal):
        return
    asks = state.approval is not None and state.approval.decision == "pending"
    handled = state.flow is not None and state.flow.handling
    if not asks and not handled:
        waits = turn.times.waits
        turn.waits(replace(waits, wait_ms=waits.wait_ms + max(0, turn.at_ms - state.activated_at_ms)))


def child_took(turn: Turn, child: Times | None) -> None:
    """A child has ended; None where it was recorded by a release that counted no times."""
    if child is not None:
        turn.times = with_child(turn.times, child)
