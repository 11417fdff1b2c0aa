"""Steps that wait for a time or for a signal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ....claim.wire import ErrorInfo
from ....definitions.plan import StepPlan, Wait, WaitForSignal
from ....definitions.timestamps import timestamp
from ..events import Refused, Signalled
from ..reckoning import waited
from ..seeing.rendering import render_now
from ..state import Signal, StepState, StepStatus
from ..table import SIGNAL_LATE
from ..turn import Turn
from .ends import fail, open_step, succeed

SIGNALS_MAX = 1_000
"""So many signals are kept that nothing has waited for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def begin_wait(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Until a time, at least a millisecond from now: a timer that an event sets is never due in that event."""
    flow = step.flow
    assert isinstance(flow, Wait)
    until_ms = turn.at_ms + flow.wait_ms
    if flow.until is not None:
        given = render_now(turn, path, step, flow.until)
        try:
            until_ms = (timestamp(given) - _EPOCH) // timedelta(milliseconds=1)
        except ValueError as error:
            open_step(turn, path, step, **changes)
            fail(turn, path, ErrorInfo("until", f"`until` gave {str(given)[:100]!r}: {error}"))
            return
    open_step(turn, path, step, **{"wake_at_ms": max(turn.at_ms + 1, until_ms), **changes})


def begin_signal(turn: Turn, path: str, step: StepPlan, **changes: Any) -> None:
    """Take the first signal of that name that is kept, or wait for one."""
    flow = step.flow
    assert isinstance(flow, WaitForSignal)
    open_step(turn, path, step, **changes)
    inbox: tuple[Signal, ...] = turn.get("inbox")
    for at, signal in enumerate(inbox):
        if signal.name == flow.signal:
            turn.set("inbox", inbox[:at] + inbox[at + 1 :])
            succeed(turn, path, signal.payload)
            return


def signalled(turn: Turn, event: Signalled) -> Refused | None:
    """The first step in order that waits for the name gets it; it is kept where none does."""
    waiting = _waiting_for(turn, event.name)
    if waiting is None:
        inbox: tuple[Signal, ...] = turn.get("inbox")
        if len(inbox) >= SIGNALS_MAX:
            detail = f"{len(inbox)} signals are kept already that nothing has waited for; at most {SIGNALS_MAX} are"
            return Refused("full", detail)
        turn.set("inbox", (*inbox, Signal(event.name, event.payload, event.at_ms, event.by)))
    turn.set("signals", {**turn.get("signals"), event.name: event.payload})
    if waiting is not None:
        waited(turn, waiting, turn.steps[waiting])
        succeed(turn, waiting, event.payload)
    return None


def signal_late(turn: Turn, path: str, step: StepPlan) -> None:
    """No signal came within the step's timeout."""
    flow = step.flow
    assert isinstance(flow, WaitForSignal)
    if flow.on_timeout == "continue":
        turn.move(path, SIGNAL_LATE, wake_at_ms=0, finished_at_ms=turn.at_ms)
        turn.done.append(path)
    else:
        fail(turn, path, ErrorInfo("timeout", f"no signal {flow.signal!r} came within {step.timeout_ms} ms"))


def waits_for_signal(step: StepPlan, state: StepState) -> str | None:
    """The name of the signal that the step waits for now."""
    flow = step.flow
    if state.status is not StepStatus.WAITING or not isinstance(flow, WaitForSignal):
        return None
    begun = state.attempt > 0 and not (state.flow is not None and state.flow.handling)
    return flow.signal if begun and (state.approval is None or state.approval.decision != "pending") else None


def _waiting_for(turn: Turn, name: str) -> str | None:
    for path, state in turn.steps.items():
        if state.status is StepStatus.WAITING and waits_for_signal(turn.step(path), state) == name:
            return path
    return None
