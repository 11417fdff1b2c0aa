"""Plain scalars of YAML 1.2's core schema: what is null, a boolean or a number, and what is text."""

from __future__ import annotations

import math
import re

INTEGER_MAX = 2**63 - 1

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

Scalar = str | int | float | bool | None


def plain_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar; `on`, `no` and dates are text. Raises: ValueError for what JSON lacks."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("the number is too large")
        return number
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is not a JSON number")
    return text


def _integer(text: str) -> int:
    number = INTEGER_MAX + 1 if len(text) > 40 else int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if abs(number) > INTEGER_MAX:
        raise ValueError("the integer does not fit in 64 bits; quote it to have it as text")
    return number
