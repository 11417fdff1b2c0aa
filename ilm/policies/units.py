"""Elasticsearch's writings of durations (`7d`) and sizes (`50gb`)."""

from __future__ import annotations

import re

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"([0-9]{1,18})(ms|s|m|h|d)")


def time_ms(text: str) -> int | None:
    """The duration in milliseconds; None where the text is none."""
    match = _TIME.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS_MS[match[2]]
