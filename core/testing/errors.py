"""What a test is told when a run can't go on as the test expects. None of them is an outcome of the workflow."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import LeaseholdError


class PlayError(LeaseholdError):
    """Root of the test kit's errors."""


class NoStub(PlayError):
    """A step became ready whose capability nothing in the test stands for, or a list of answers is used up."""


class Stuck(PlayError):
    """Nothing can happen any more, whatever time passes; `waits_for` says what for, one sentence an open step."""

    def __init__(self, waits_for: Iterable[str]) -> None:
        self.waits_for = tuple(waits_for)
        super().__init__("nothing can happen any more, however long one waits: " + "; ".join(self.waits_for))


class Endless(PlayError):
    """The run has taken more events than any test should need."""


class NotApplied(PlayError):
    """What the test asked of the instance was refused; `reason` is that of the machine's refusal (`not_open`, ...)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{detail} ({reason})")
        self.reason = reason


class Unknown(PlayError, KeyError):
    """The run has no step, attempt or child of that path."""

    def __str__(self) -> str:
        return str(self.args[0])
