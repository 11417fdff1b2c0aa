"""What may stand behind `is` in templates: Jinja2's tests of values, paid for where they compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.runtime import Context, Undefined
from jinja2.tests import TESTS as LIBRARY_TESTS
from jinja2.utils import pass_context

from .context import meter_of
from .operations import compared, present

Test = Callable[..., bool]

_COMPARISONS = {
    **dict.fromkeys(("eq", "equalto", "=="), "eq"),
    **dict.fromkeys(("ne", "!="), "ne"),
    **dict.fromkeys(("gt", "greaterthan", ">"), "gt"),
    **dict.fromkeys(("ge", ">="), "gteq"),
    **dict.fromkeys(("lt", "lessthan", "<"), "lt"),
    **dict.fromkeys(("le", "<="), "lteq"),
    "in": "in",
}
_OF_NUMBERS = ("boolean", "divisibleby", "even", "false", "float", "integer", "none", "number", "odd", "true")


def _comparison(operator: str) -> Test:
    @pass_context
    def metered(context: Context, value: Any, other: Any) -> bool:
        return compared(meter_of(context), value, operator, (other,))

    return metered


def _plain(name: str) -> Test:
    test: Any = LIBRARY_TESTS[name]

    def checked(value: Any, *args: Any) -> bool:
        return bool(test(present(value), *map(present, args)))

    return checked


def _letters(name: str) -> Test:
    """`lower` and `upper`, which read the whole text."""
    ask = str.islower if name == "lower" else str.isupper

    @pass_context
    def metered(context: Context, value: Any) -> bool:
        if not isinstance(present(value), str):
            return False
        meter_of(context).text(len(value))
        return ask(value)

    return metered


def _iterable(value: Any) -> bool:
    return isinstance(present(value), str | list | tuple | Mapping)


TESTS: dict[str, Test] = {
    "defined": lambda value: not isinstance(value, Undefined),
    "undefined": lambda value: isinstance(value, Undefined),
    **{name: _plain(name) for name in _OF_NUMBERS},
    **{name: _letters(name) for name in ("lower", "upper")},
    **{name: _comparison(operator) for name, operator in _COMPARISONS.items()},
    "string": lambda value: isinstance(present(value), str),
    "mapping": lambda value: isinstance(present(value), Mapping),
    "sequence": _iterable,
    "iterable": _iterable,
}
