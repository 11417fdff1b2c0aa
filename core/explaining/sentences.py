"""Small words for causes: times, spans, counts, lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_LISTED = 5


def at(at_ms: int) -> str:
    """A time, to the second."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def after(span_ms: int) -> str:
    """How long it is till then, in its largest unit."""
    if span_ms <= 0:
        return "now"
    for unit_ms, unit in _UNITS:
        if span_ms >= unit_ms:
            return f"in {span_ms // unit_ms} {unit}"
    return "in under a second"


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED]) or "nobody"
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"
