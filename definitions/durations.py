"""Durations as the language writes them, `250ms 30s 5m 4h 7d` or ISO 8601 (`PT30S`), and in milliseconds."""

from __future__ import annotations

import re

DURATION_MAX_MS = 3_650 * 86_400_000
"""Ten years: beyond any real timeout, and far within the range of timestamps."""

WRITINGS = "a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S"

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHORT = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_ISO = re.compile(
    r"P(?:(?P<weeks>\d{1,6})W|(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,12})(?:[.,](?P<fraction>\d{1,3}))?S)?)?)",
    re.ASCII,
)
PATTERN = (
    r"^(?:[0-9]{1,15}(?:ms|s|m|h|d)|P(?:[0-9]+W|(?=.)(?:[0-9]+D)?"
    r"(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:[.,][0-9]{1,3})?S)?)?))$"
)
"""For JSON Schema: the same as `duration_ms` accepts, but for the bound."""


def duration_ms(text: str) -> int:
    """The duration in milliseconds. Raises: ValueError with a sentence that says what is allowed."""
    short = _SHORT.fullmatch(text)
    found = int(short[1]) * _UNITS_MS[short[2]] if short else _iso_ms(text)
    if found is None:
        raise ValueError(_advice(text[:100]))
    if found > DURATION_MAX_MS:
        raise ValueError("longer than 3650d, the longest duration")
    return found


def duration_text(ms: int) -> str:
    """The shortest writing that `duration_ms` reads back as the same milliseconds."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms"


def _iso_ms(text: str) -> int | None:
    match = _ISO.fullmatch(text)
    if match is None or text == "P":
        return None
    part = {name: int(digits) for name, digits in match.groupdict(default="0").items() if name != "fraction"}
    seconds = ((part["weeks"] * 7 + part["days"]) * 24 + part["hours"]) * 3_600 + part["minutes"] * 60 + part["seconds"]
    return seconds * 1_000 + int((match["fraction"] or "").ljust(3, "0"))


def _advice(text: str) -> str:
    if "{{" in text:
        return "a duration is fixed: templates are not evaluated here"
    if re.fullmatch(r"[0-9.]+", text, re.ASCII):
        return f"{text[:20]} has no unit: write {text[:20]}s or {text[:20]}ms"
    if re.fullmatch(r"P(?:\d+Y)?(?:\d+M)?.*", text, re.ASCII) and re.search(r"\dY|^P\d+M", text):
        return "years and months have no fixed length: write days"
    if re.fullmatch(r"(?:[0-9.]+\s*(?:ms|s|m|h|d)\s*){2,}", text):
        return "a duration has one number and one unit, as in 90m"
    return f"not {WRITINGS}"
