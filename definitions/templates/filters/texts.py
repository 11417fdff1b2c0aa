"""Filters on texts and numbers whose results could grow without bound in Jinja2's own form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ...words import kind
from ..meter import Meter, finite
from ..methods import replaced
from ..operations import joined, text_of
from .grouping import attribute_of

_WIDTH_MAX = 10_000
_INDENT_MAX = 100
_PRECISION_MAX = 15
_CONVERSION = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(?P<width>\*|\d*)(?:\.(?P<precision>\*|\d*))?")


def joined_items(meter: Meter, value: Any, d: Any = "", attribute: Any = None) -> str:
    """`join`: the items of a list as texts, `d` between them."""
    if not isinstance(value, str | list | tuple | Mapping):
        raise TypeError(f"join takes a list, not {kind(value)}")
    items = list(value) if attribute is None else [attribute_of(item, attribute) for item in value]
    return joined(meter, text_of(meter, d), [text_of(meter, item) for item in items])


def replaced_text(meter: Meter, value: Any, old: Any, new: Any, count: Any = None) -> str:
    """`replace`: every occurrence, or the first `count`."""
    text, old, new = (text_of(meter, part) for part in (value, old, new))
    return replaced(meter, text, old, new, -1 if count is None else count)


def centered(meter: Meter, value: Any, width: Any = 80) -> str:
    """`center`: in a field of so many characters."""
    text = text_of(meter, value)
    meter.text(_bounded("center's width", width, _WIDTH_MAX))
    return text.center(width)


def indented(meter: Meter, value: Any, width: Any = 4, first: bool = False, blank: bool = False) -> str:
    """`indent`: each line but the first by so many spaces, or by a text; `blank`: empty lines too."""
    text = text_of(meter, value)
    indention = width if isinstance(width, str) else " " * _bounded("indent's width", width, _INDENT_MAX)
    _bounded("indent's text", len(indention), _INDENT_MAX)
    lines = text.splitlines() or [""]
    meter.text(len(text) + len(indention) * len(lines))
    begun = [line if not (line or blank) else indention + line for line in lines[1:]]
    return "\n".join([(indention if first else "") + lines[0], *begun])


def truncated(
    meter: Meter, value: Any, length: Any = 255, killwords: bool = False, end: Any = "...", leeway: Any = 5
) -> str:
    """`truncate`: at most `length` characters, `end` included, where the text has more than `leeway` above it."""
    text, tail = text_of(meter, value), text_of(meter, end)
    if not isinstance(length, int) or not isinstance(leeway, int) or length < len(tail):
        raise TypeError("truncate takes a length that is not less than that of its `end`")
    if len(text) <= length + leeway:
        return text
    cut = text[: length - len(tail)]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + tail


def formatted(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> str:
    """`format`: printf's conversions, with widths up to 10,000."""
    if not isinstance(value, str):
        raise TypeError(f"format takes a text, not {kind(value)}")
    if args and kwargs:
        raise TypeError("format takes values by place or by name, not both")
    conversions = list(_CONVERSION.finditer(value))
    meter.charge(10 + 2 * len(conversions))
    for conversion in conversions:
        for part in ("width", "precision"):
            digits = conversion[part] or "0"
            if digits == "*" or len(digits) > 5 or int(digits) > _WIDTH_MAX:
                raise TypeError(f"format's widths are numbers up to {_WIDTH_MAX}, not {digits[:20]}")
            meter.text(int(digits))
    values = [_printable(meter, argument) for argument in (*args, *kwargs.values())]
    longest = max((len(text) for text in values if isinstance(text, str)), default=0)
    meter.text(len(value) + longest * len(conversions))
    given = dict(zip(kwargs, values, strict=True)) if kwargs else tuple(values)
    made: str = value % given
    return made


def _printable(meter: Meter, value: Any) -> Any:
    return finite(value) if isinstance(value, int | float) and not isinstance(value, bool) else text_of(meter, value)


def rounded(meter: Meter, value: Any, precision: Any = 0, method: Any = "common") -> float:
    """`round`: `common`, `ceil` or `floor`, to so many digits; always a number with a fraction part, as in Jinja2."""
    if not isinstance(value, int | float):
        raise TypeError(f"round takes a number, not {kind(value)}")
    if not isinstance(precision, int) or abs(precision) > _PRECISION_MAX:
        raise TypeError(f"round's precision is an integer up to {_PRECISION_MAX}")
    if method == "common":
        return finite(round(value, precision))
    if method not in {"ceil", "floor"}:
        raise TypeError("round's method is common, ceil or floor")
    scale = 10**precision
    return finite((math.ceil if method == "ceil" else math.floor)(value * scale) / scale)


def _bounded(what: str, number: Any, most: int) -> int:
    if not isinstance(number, int) or number > most:
        found = number if isinstance(number, int) else kind(number)
        raise TypeError(f"{what} is an integer up to {most}, not {found}")
    return number
