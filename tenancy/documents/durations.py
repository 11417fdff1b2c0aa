"""Durations as documents write them, `250ms 30s 5m 4h 7d`, and in milliseconds."""

from __future__ import annotations

import re

DURATION_MAX_MS = 7 * 86_400_000
WRITINGS = "a duration such as 250ms, 30s, 5m, 4h or 7d"
PATTERN = r"^[0-9]{1,9}(?:ms|s|m|h|d)$"

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")


def duration_ms(text: str) -> int | None:
    """The duration in milliseconds; None where the text is none."""
    match = _DURATION.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS_MS[match[2]]


def duration_text(ms: int) -> str:
    """The shortest writing that `duration_ms` reads back as the same milliseconds."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms"
