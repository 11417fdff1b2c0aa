"""Durations as the HTTP surface writes them: `250ms`, `30s`, `5m`, `4h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta

Duration = str | timedelta

_SIMPLE = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(duration: Duration) -> int:
    """Whole milliseconds, rounded up. Raises: ValueError for text in another form, or a negative span."""
    if isinstance(duration, timedelta):
        if duration < timedelta(0):
            raise ValueError(f"the duration is {duration}; it must not be negative")
        return -(-duration // timedelta(milliseconds=1))
    match = _SIMPLE.fullmatch(duration)
    if match is None:
        raise ValueError(f"the duration is {duration!r}; write a whole number and a unit, such as 250ms, 30s, 5m, 4h")
    return int(match[1]) * _UNIT_MS[match[2]]


def duration_text(duration: Duration) -> str:
    """The duration as a query parameter holds it. Raises: ValueError, as `duration_ms`."""
    return duration if isinstance(duration, str) and _SIMPLE.fullmatch(duration) else f"{duration_ms(duration)}ms"
