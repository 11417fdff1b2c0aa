"""Operators, comparisons, loops and text, each paying before it makes anything large."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Undefined

from ..words import kind
from .meter import Meter, finite

_POWER_MAX = 64
_USUAL = frozenset({str, int, bool, float, type(None), list, dict, tuple})
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "eq": ("==", operator.eq),
    "ne": ("!=", operator.ne),
    "lt": ("<", operator.lt),
    "lteq": ("<=", operator.le),
    "gt": (">", operator.gt),
    "gteq": (">=", operator.ge),
    "in": ("in", lambda left, right: left in right),
    "notin": ("not in", lambda left, right: left not in right),
}


def present(value: Any) -> Any:
    """The value, which must exist and be one of JSON's. Raises: UndefinedError, TypeError."""
    if type(value) in _USUAL or isinstance(value, str | int | float | list | tuple | Mapping):
        return value
    if isinstance(value, Undefined):
        raise value._undefined_exception(value._undefined_message)
    raise TypeError(f"{kind(value)} is not a value to work with")


def text_of(meter: Meter, value: Any) -> str:
    """A value inside a text: strings as they are, anything else as JSON."""
    if isinstance(value, str):
        meter.text(len(value))
        return value
    if isinstance(value, bool | int | float) or value is None:
        return json.dumps(value)
    if type(value) is Undefined:
        return ""  # `x if y` without an else, as in Jinja2; a name that does not exist is of a stricter type
    present(value)
    meter.walk(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_mapping)
    meter.text(len(text))
    return text


def concatenated(meter: Meter, values: tuple[Any, ...]) -> str:
    """What `~` makes of its operands."""
    return joined(meter, "", [text_of(meter, value) for value in values])


def joined(meter: Meter, separator: str, texts: list[str]) -> str:
    meter.text(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def calculated(meter: Meter, symbol: str, left: Any, right: Any) -> Any:
    """What `+ - * / // % **` make of two operands: numbers, or text and lists where that has a meaning."""
    present(left)
    present(right)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _number(symbol, left, right)
    if symbol == "+" and isinstance(left, str) and isinstance(right, str):
        meter.text(len(left) + len(right))
        return left + right
    if symbol == "+" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
        meter.charge(len(left) + len(right))
        return [*left, *right]
    if symbol == "*" and isinstance(right, int) and isinstance(left, str | list | tuple):
        return _repeated(meter, left, right)
    if symbol == "*" and isinstance(left, int) and isinstance(right, str | list | tuple):
        return _repeated(meter, right, left)
    advice = "; `~` joins texts" if symbol == "+" and isinstance(left, str) != isinstance(right, str) else ""
    raise TypeError(f"{kind(left)} {symbol} {kind(right)} has no meaning{advice}")


def _number(symbol: str, left: int | float, right: int | float) -> int | float:
    if symbol == "**" and abs(right) > _POWER_MAX and abs(left) > 1:
        raise ValueError(f"an exponent may be at most {_POWER_MAX}")
    result = _ARITHMETIC[symbol](left, right)
    if not isinstance(result, int | float):
        raise ValueError(f"{left} {symbol} {right} is not a real number")
    return finite(result)


def _repeated(meter: Meter, value: Any, times: int) -> Any:
    length = len(value) * max(times, 0)
    if isinstance(value, str):
        meter.text(length)
        return value * times
    meter.charge(length)
    return list(value) * times


def negated(symbol: str, value: Any) -> int | float:
    """What `-` and `+` before an operand make of it."""
    present(value)
    if not isinstance(value, int | float):
        raise TypeError(f"{symbol} before {kind(value)} has no meaning")
    return finite(-value if symbol == "-" else +value)


def compared(meter: Meter, left: Any, operators: str, operands: tuple[Any, ...]) -> bool:
    """A chain of comparisons, `a < b <= c`: true when each holds. `operators` are Jinja2's names, spaces between."""
    present(left)
    for name, right in zip(operators.split(" "), operands, strict=True):
        present(right)
        if not _holds(meter, left, name, right):
            return False
        left = right
    return True


def _holds(meter: Meter, left: Any, name: str, right: Any) -> bool:
    symbol, compare = _COMPARISONS[name]
    _pay_for_comparison(meter, left, right, searching=name.endswith("in"))
    try:
        return bool(compare(left, right))
    except TypeError:
        raise TypeError(f"{kind(left)} {symbol} {kind(right)} has no meaning") from None


def _pay_for_comparison(meter: Meter, left: Any, right: Any, *, searching: bool) -> None:
    if not searching:
        if isinstance(left, str) and isinstance(right, str):
            meter.text(min(len(left), len(right)))
        elif isinstance(left, list | tuple | Mapping) and isinstance(right, list | tuple | Mapping):
            meter.walk(left)
    elif isinstance(right, str):
        meter.text(len(right))
    elif isinstance(left, list | tuple | Mapping):
        meter.walk(left)
        meter.walk(right)
    elif isinstance(right, list | tuple):
        each = 1 + (len(left) >> 6) if isinstance(left, str) else 1
        meter.charge(each * len(right))


def looped(meter: Meter, value: Any, weight: int) -> list[Any]:
    """What a `for` goes through, paid for with its body's `weight` an item."""
    present(value)
    if not isinstance(value, str | list | tuple | Mapping):
        raise TypeError(f"{kind(value)} can't be looped over")
    meter.charge(len(value) * weight)
    return list(value)


def sliced(meter: Meter, value: Any, start: Any, stop: Any, step: Any) -> Any:
    """What `value[start:stop:step]` is."""
    present(value)
    if not isinstance(value, str | list | tuple):
        raise TypeError(f"{kind(value)} can't be sliced")
    for bound in (start, stop, step):
        if bound is not None and not isinstance(present(bound), int):
            raise TypeError(f"a slice's bounds are integers, not {kind(bound)}")
    if isinstance(value, str):
        meter.text(len(value))
    else:
        meter.charge(len(value))
    return value[start:stop:step]


def ranged(meter: Meter, *bounds: Any) -> list[int]:
    """What `range(stop)` and `range(start, stop, step)` are: a list."""
    if not 1 <= len(bounds) <= 3 or not all(isinstance(present(bound), int) for bound in bounds):
        raise TypeError("range takes one to three integers")
    numbers = range(*bounds)
    meter.charge(max(0, (numbers.stop - numbers.start) // numbers.step + 1))
    return list(numbers)


def _mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError(f"{kind(value)} is not a JSON value")
