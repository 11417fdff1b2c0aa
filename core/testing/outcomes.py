"""What a stub says: how an attempt ends, when, and what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from ...claim.wire import Call, Usage
from ...definitions.durations import duration_ms


@dataclass(frozen=True, slots=True)
class Failure:
    """The attempt fails with an error type, which `retry.on` and `on_failure` see. `retryable: false` ends the step."""

    type: str
    message: str = ""
    retryable: bool = True
    usage: Usage | None = None
    calls: Sequence[Call] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """The attempt succeeds with `result`, and reports usage or calls along with it. A bare value is one without."""

    result: Any = None
    usage: Usage | None = None
    calls: Sequence[Call] = ()


@dataclass(frozen=True, slots=True)
class Takes:
    """The attempt lasts `duration` (`5m`, or a `timedelta`), its lease renewed, and ends with `outcome`."""

    duration: str | timedelta
    outcome: Any = None


class Silence(Enum):
    """Ends of an attempt that bring nothing."""

    NO_ANSWER = "no answer"
    RELEASED = "released"


NO_ANSWER = Silence.NO_ANSWER
"""The executor is never heard of again: its lease is lost when the lease time has passed."""

RELEASED = Silence.RELEASED
"""The executor gives its lease back: the attempt does not count, and the step is claimed again."""


class Absence(Enum):
    NOBODY = "nobody"


NOBODY = Absence.NOBODY
"""In place of a stub: no executor with that capability is there, so its steps stay ready."""


def span_ms(duration: str | timedelta) -> int:
    """The duration in milliseconds. Raises: ValueError with a sentence for a text that is none."""
    if isinstance(duration, timedelta):
        return duration // timedelta(milliseconds=1)
    return duration_ms(duration)
