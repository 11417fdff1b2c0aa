"""Timestamps in templates: ISO 8601 texts in UTC with milliseconds, as in `2026-03-01T12:00:00.000Z`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from .words import kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT_CHARS = 100
_NUMERIC = frozenset("YmdHMSjuVGIy")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def timestamp(value: Any) -> datetime:
    """The time that an ISO 8601 text (UTC where it names no zone) or epoch milliseconds stand for.

    Raises: ValueError with a sentence.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{kind(value)} is no timestamp")
    try:
        if isinstance(value, int):
            return _EPOCH + timedelta(milliseconds=value)
        if len(value) < 10 or len(value) > 40:
            raise ValueError
        found = datetime.fromisoformat(value)
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("a timestamp is written 2026-03-01, 2026-03-01T12:00:00Z or in epoch milliseconds") from None


def iso_text(time: datetime) -> str:
    """The time as templates see it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def formatted_date(value: Any, form: Any) -> str | int:
    """The timestamp in a form: `iso`, `epoch_ms`, `epoch_s`, or a pattern such as `%Y-%m-%d %H:%M`.

    Patterns know `%Y %m %d %H %M %S %L` (milliseconds) `%j %y %I %p %A %a %B %b %u %V %G %%`; names are English.
    """
    time = timestamp(value)
    if form == "iso":
        return iso_text(time)
    if form in ("epoch_ms", "epoch_s"):
        return (time - _EPOCH) // timedelta(milliseconds=1 if form == "epoch_ms" else 1000)
    if not isinstance(form, str) or not 0 < len(form) <= _FORMAT_CHARS or not form.isascii():
        raise ValueError(f"a date's form is iso, epoch_ms, epoch_s or a pattern of up to {_FORMAT_CHARS} characters")
    return re.sub(r"%(.?)", lambda directive: _part(time, directive[1]), form, flags=re.DOTALL)


def _part(time: datetime, letter: str) -> str:
    if letter == "Y":
        return f"{time.year:04}"
    if letter in _NUMERIC:
        return time.strftime(f"%{letter}")
    named = {
        "L": f"{time.microsecond // 1000:03}",
        "p": "AM" if time.hour < 12 else "PM",
        "A": _WEEKDAYS[time.weekday()],
        "a": _WEEKDAYS[time.weekday()][:3],
        "B": _MONTHS[time.month - 1],
        "b": _MONTHS[time.month - 1][:3],
        "%": "%",
    }
    if letter not in named:
        raise ValueError(f"a date's pattern does not know %{letter}")
    return named[letter]
