"""Durations (`7d`) and sizes (`50gb`) as Elasticsearch writes them.

Whatever is read here is read by Elasticsearch to the same number. Four things that it lets pass are refused, since
they are mistakes in a policy: negative values, which it takes for none at all; numbers beyond what it can hold, which
it cuts down; parts of milliseconds; and spaces and numbers that only Java's parsers know (`+7d`, `0x1p3gb`).

Source: org.elasticsearch.core.TimeValue.parseTimeValue and org.elasticsearch.common.unit.ByteSizeValue
.parseBytesSizeValue of 8.19.
"""

from __future__ import annotations

import re

TIME_WORDS = 'a duration such as "90m", "12h" or "7d"'
SIZE_WORDS = 'a size such as "500mb" or "50gb"'

LONG_MAX = 2**63 - 1

_NANOS = {
    "nanos": 1,
    "micros": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_NANOS_IN_A_MS = 1_000_000
# Units may be written in capitals, but for the minute: `M` is a month elsewhere.
_TIME = re.compile(r"([0-9]{1,19})((?i:nanos|micros|ms|s|h|d)|m)", re.ASCII)

_BYTES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_WHOLE_SIZE = re.compile(r"([0-9]{1,19})([bkmgtp]|[kmgtp]b)", re.ASCII | re.IGNORECASE)
_BROKEN_SIZE = re.compile(r"([0-9]{1,19}\.[0-9]{1,19})([kmgtp])b?", re.ASCII | re.IGNORECASE)


def time_ms(text: str) -> int | None:
    """The duration in milliseconds; None where the text is none, or not a whole number of them."""
    if text == "0":
        return 0
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    nanos = int(match[1]) * _NANOS[match[2].lower()]
    ms, rest = divmod(nanos, _NANOS_IN_A_MS)
    return ms if not rest and nanos <= LONG_MAX else None


def time_text(ms: int) -> str:
    """The shortest writing that `time_ms` reads back as the same milliseconds."""
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(ms * _NANOS_IN_A_MS, _NANOS[unit])
        if ms and not rest:
            return f"{count}{unit}"
    return f"{ms}ms"


def is_told_wholly(ms: int) -> bool:
    """Whether `TimeValue.toString` tells the duration with a whole number: 36 hours are `1.5d` to it."""
    return ms * _NANOS_IN_A_MS % max(nanos for nanos in _NANOS.values() if nanos <= max(ms, 1) * _NANOS_IN_A_MS) == 0


def size_bytes(text: str) -> int | None:
    """The size in whole bytes, rounded down; None where the text is none. Only bytes (`b`) can't have a fraction."""
    if text == "0":
        return 0
    whole = _WHOLE_SIZE.fullmatch(text)
    if whole is not None:
        size = int(whole[1]) * _BYTES[whole[2][0].lower()]
    else:
        broken = _BROKEN_SIZE.fullmatch(text)
        if broken is None:
            return None
        # In floating point, as there.
        size = int(float(broken[1]) * _BYTES[broken[2].lower()])
    return size if size <= LONG_MAX else None


def size_text(size: int) -> str:
    """The shortest writing that `size_bytes` reads back as the same bytes."""
    for unit in "ptgmk":
        count, rest = divmod(size, _BYTES[unit])
        if size and not rest:
            return f"{count}{unit}b"
    return f"{size}b"


def is_told_exactly(size: int) -> bool:
    """Whether `ByteSizeValue.toString` tells the size exactly: it has one decimal, and 1500 MB are `1.4gb` to it."""
    return size * 10 % max(count for count in _BYTES.values() if count <= max(size, 1)) == 0
