"""The filters of templates: Jinja2's own where they can be bounded, rewritten where they can't, and the language's.

Absent are `attr` (reads Python's attributes), `random`, `safe`, `escape`, `pprint`, `urlize`, `xmlattr`, `striptags`,
`wordwrap` and `forceescape`. Each of Jinja2's filters is entered a second time under its name with a `!`, which no
template can write: that is what its metered form calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment
from jinja2.filters import FILTERS as LIBRARY_FILTERS
from jinja2.runtime import Context, Undefined
from jinja2.utils import pass_context

from ..context import meter_of
from ..meter import Meter, finite
from ..operations import compared, concatenated, looped, present, sliced, text_of
from ..rewriting import COMPARE, CONCAT, EACH, SLICE
from .grouping import batched, sliced_into, summed
from .texts import centered, formatted, indented, joined_items, replaced_text, rounded, truncated
from .values import base64_text, date_text, decoded, digest, duration, encoded, queried

Filter = Callable[..., Any]
Cost = Callable[[Meter, Any], None]


def _flat(meter: Meter, value: Any) -> None:
    """For filters that touch each item once and look into none."""
    meter.charge(2 + (len(value) if isinstance(value, list | tuple | Mapping) else 0))
    if isinstance(value, str):
        meter.text(len(value))


def _deep(meter: Meter, value: Any) -> None:
    """For filters that compare or convert whole values."""
    meter.charge(4)
    meter.walk(value)


def _sorting(meter: Meter, value: Any) -> None:
    before = meter.operations_left
    meter.walk(value)
    if isinstance(value, list | tuple | Mapping):
        meter.charge((before - meter.operations_left) * len(value).bit_length() // 8)


def _letters(meter: Meter, value: Any) -> None:
    """For filters that work on a text letter by letter, in Python."""
    meter.walk(value)
    if isinstance(value, str):
        meter.charge(len(value))


def _constant(meter: Meter, value: Any) -> None:
    meter.charge(1)


_LIBRARY: dict[str, Cost] = {
    **dict.fromkeys(("abs", "count", "length", "first", "last"), _constant),
    **dict.fromkeys(("items", "list", "reverse", "select", "reject", "selectattr", "rejectattr", "map"), _flat),
    **dict.fromkeys(("capitalize", "lower", "upper", "trim"), _flat),
    **dict.fromkeys(("max", "min"), _deep),
    **dict.fromkeys(("dictsort", "groupby", "sort", "unique"), _sorting),
    **dict.fromkeys(("float", "int", "filesizeformat", "title", "urlencode", "wordcount"), _letters),
}


def _library(name: str, cost: Cost) -> Filter:
    """One of Jinja2's filters, paid for, refusing what does not exist, with a list where it makes an iterator."""

    @pass_context
    def metered(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        meter = meter_of(context)
        cost(meter, present(value))
        for argument in (*args, *kwargs.values()):
            if isinstance(present(argument), str):
                _pay_for_paths(meter, value, argument)
        made = _call_library(context, name, value, args, kwargs)
        return _settled(meter, made)

    return metered


def _call_library(context: Context, name: str, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    # Not the sandbox's own `call_filter`, which knows only the names that templates may write.
    return Environment.call_filter(context.environment, f"{name}!", value, args, kwargs, context=context)


def _pay_for_paths(meter: Meter, value: Any, argument: str) -> None:
    """An argument may be a dotted path (or several), which is followed for each item."""
    meter.text(len(argument))
    steps = argument.count(".") + argument.count(",")
    meter.charge(steps * len(value) if isinstance(value, list | tuple | Mapping) else 0)


def _settled(meter: Meter, made: Any) -> Any:
    if isinstance(made, str):
        meter.text(len(made))
        return str(made)
    if isinstance(made, bool) or made is None or isinstance(made, list | tuple | Mapping | Undefined):
        return made
    if isinstance(made, int | float):
        return finite(made)
    if not hasattr(made, "__next__"):
        return made
    items = []
    for item in made:
        meter.charge(1)
        items.append(item)
    return items


def _own(function: Callable[..., Any]) -> Filter:
    """A filter of ours: it gets the meter, the value and its arguments, all of which exist."""

    @pass_context
    def metered(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        for argument in (value, *args, *kwargs.values()):
            present(argument)
        return function(meter_of(context), value, *args, **kwargs)

    return metered


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """The default where the value does not exist; with `boolean`, also where it is false, null or empty."""
    if isinstance(value, Undefined) or (boolean and not value):
        return default_value
    return value


@pass_context
def _each(context: Context, value: Any, weight: int) -> Any:
    return looped(meter_of(context), value, weight)


@pass_context
def _compare(context: Context, value: Any, operators: str, *operands: Any) -> bool:
    return compared(meter_of(context), value, operators, operands)


@pass_context
def _concat(context: Context, *values: Any) -> str:
    return concatenated(meter_of(context), values)


@pass_context
def _slice(context: Context, value: Any, start: Any, stop: Any, step: Any) -> Any:
    return sliced(meter_of(context), value, start, stop, step)


FILTERS: dict[str, Filter] = {
    **{f"{name}!": LIBRARY_FILTERS[name] for name in _LIBRARY},
    **{name: _library(name, cost) for name, cost in _LIBRARY.items()},
    "default": _default,
    "d": _default,
    "string": _own(text_of),
    "join": _own(joined_items),
    "replace": _own(replaced_text),
    "center": _own(centered),
    "indent": _own(indented),
    "truncate": _own(truncated),
    "format": _own(formatted),
    "round": _own(rounded),
    "batch": _own(batched),
    "slice": _own(sliced_into),
    "sum": _own(summed),
    "json": _own(encoded),
    "tojson": _own(encoded),
    "from_json": _own(decoded),
    "duration": _own(duration),
    "date": _own(date_text),
    "jmespath": _own(queried),
    "hash": _own(digest),
    "b64": _own(base64_text),
    EACH: _each,
    COMPARE: _compare,
    CONCAT: _concat,
    SLICE: _slice,
}
"""By the names that templates write; those with a `!` are for the rewritten template and the metered forms only."""
