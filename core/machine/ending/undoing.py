"""What an instance has done that can be undone, and in which order it was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....definitions.plan import Plan
from ..state import StepState, StepStatus, plain

SUFFIX = ".compensate"


@dataclass(frozen=True, slots=True, order=True)
class Undo:
    """One step that can be undone. `left_by`: the foreach whose share it was done in, empty for one of this instance;
    the `input` of its compensation is known then.

    They are ordered by when they were done; within a millisecond by how many attempts had ended before them, those of a
    foreach before it began, and its shares one after the other.
    """

    at_ms: int
    order: tuple[int, int, int]
    path: str
    left_by: str = ""
    input: Any = field(default=None, compare=False)


def is_undo(name: str) -> bool:
    """Whether a step of that name is a compensation: no other name holds a dot."""
    return name.endswith(SUFFIX)


def left_to_undo(plan: Plan, states: Mapping[str, StepState]) -> list[Undo]:
    """What is done and not undone, in the order in which it was done."""
    found: list[Undo] = []
    for path, state in states.items():
        if state.flow is not None and state.flow.undoable:
            found += _left(path, state)[state.flow.undone :]
        if state.status is not StepStatus.SUCCEEDED or state.undone or is_undo(path):
            continue
        if plan.step(path).compensation is not None:
            found.append(Undo(state.finished_at_ms, (state.finished_order, -1, 0), path))
    return sorted(found)


def _left(path: str, state: StepState) -> list[Undo]:
    """What the shares of a foreach left to be undone, in the order in which it is: the last done comes first."""
    left = [
        Undo(at_ms, (state.finished_order, number, position), inner, path, input)
        for number in state.parts
        for position, (inner, at_ms, input) in enumerate(plain(state.parts[number])["undo"])
    ]
    return sorted(left, reverse=True)
