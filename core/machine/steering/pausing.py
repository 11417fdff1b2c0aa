"""Pause: nothing is claimable and nothing begins. Attempts in progress go on, and so do timers.

A step that is done meanwhile is not followed; `resume` follows all that are done once more, which does nothing where it
was done before.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from ..attempts.activation import activate, dependencies_done, is_done, offer_again
from ..events import ChildSteered, PauseRequested, ReadyEnded, Refused, ResumeRequested
from ..flow.children import share_out_again
from ..flow.shares import begin_items
from ..state import StepStatus
from ..table import PAUSE, RESUME
from ..turn import Turn


def paused(turn: Turn, event: PauseRequested) -> Refused | None:
    """What is ready leaves the queue; queue timeouts stand still. Children pause too."""
    if turn.paused:
        return None
    if turn.ending is not None or turn.get("queued"):
        what = "is ending" if turn.ending is not None else "is queued, and has not begun"
        return Refused("not_open", f"the instance can't be paused: it {what}")
    for path, state in turn.steps.items():
        if state.status is StepStatus.READY:
            turn.effects.append(ReadyEnded(path))
            turn.put(path, replace(state, wake_at_ms=0))
    _steer_children(turn, "pause", event.reason or f"paused by {event.by}")
    turn.move_instance(PAUSE)
    turn.set("paused_by", event.by)
    return None


def resumed(turn: Turn, event: ResumeRequested) -> Refused | None:
    """What was ready is offered again, and what was due begins."""
    if not turn.paused:
        return None
    turn.move_instance(RESUME)
    turn.set("paused_by", None)
    _steer_children(turn, "resume", event.reason or f"resumed by {event.by}")
    for path, state in list(turn.steps.items()):
        step = turn.step(path)
        if state.status is StepStatus.READY:
            offer_again(turn, path)
        elif state.status is StepStatus.PENDING and dependencies_done(turn, step, step.prefix_of(path)):
            activate(turn, path)
        elif state.flow is not None:
            share_out_again(turn, path)
    turn.done.extend(path for path, state in turn.steps.items() if is_done(state) and path not in turn.done)
    if turn.instance.items is not None:
        begin_items(turn)
    return None


def _steer_children(turn: Turn, how: Literal["pause", "resume"], reason: str) -> None:
    for state in turn.steps.values():
        for child in state.flow.children if state.flow is not None else ():
            turn.effects.append(ChildSteered(child.id, how, reason))
