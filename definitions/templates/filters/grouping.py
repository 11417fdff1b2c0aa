"""Filters on lists whose results could grow without bound in Jinja2's own form, and attributes by their dotted path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...words import kind
from ..meter import Meter, finite

_PARTS_MAX = 10_000


def attribute_of(item: Any, attribute: Any) -> Any:
    """What `attribute`, a dotted path or an index, leads to. Raises: LookupError."""
    parts: Iterable[Any] = attribute.split(".") if isinstance(attribute, str) else (attribute,)
    for part in parts:
        try:
            item = item[int(part)] if isinstance(item, list | tuple) else item[part]
        except (LookupError, TypeError, ValueError):
            raise LookupError(f"{kind(item)} has no `{part}`") from None
    return item


def batched(meter: Meter, value: Any, linecount: Any, fill_with: Any = None) -> list[list[Any]]:
    """`batch`: lists of `linecount` items each, the last one filled up where `fill_with` is given."""
    items = _items(meter, "batch", value)
    size = _parts("batch", linecount)
    rows = [items[start : start + size] for start in range(0, len(items), size)]
    if rows and fill_with is not None:
        missing = size - len(rows[-1])
        meter.charge(missing)
        rows[-1] += [fill_with] * missing
    return rows


def sliced_into(meter: Meter, value: Any, slices: Any, fill_with: Any = None) -> list[list[Any]]:
    """`slice`: so many lists of about equal length, the shorter ones filled up where `fill_with` is given."""
    items = _items(meter, "slice", value)
    count = _parts("slice", slices)
    meter.charge(count)
    length, longer = divmod(len(items), count)
    columns, start = [], 0
    for column in range(count):
        end = start + length + (column < longer)
        fill = [fill_with] if fill_with is not None and column >= longer else []
        columns.append(items[start:end] + fill)
        start = end
    return columns


def summed(meter: Meter, value: Any, attribute: Any = None, start: Any = 0) -> int | float:
    """`sum`: of numbers, or of one attribute of each item."""
    items = _items(meter, "sum", value)
    numbers = [start, *(items if attribute is None else (attribute_of(item, attribute) for item in items))]
    for number in numbers:
        if not isinstance(number, int | float):
            raise TypeError(f"sum takes numbers, not {kind(number)}")
    return finite(sum(numbers))


def _items(meter: Meter, name: str, value: Any) -> list[Any]:
    if not isinstance(value, str | list | tuple | Mapping):
        raise TypeError(f"{name} takes a list, not {kind(value)}")
    meter.charge(len(value))
    return list(value)


def _parts(name: str, number: Any) -> int:
    if not isinstance(number, int) or not 1 <= number <= _PARTS_MAX:
        raise TypeError(f"{name} takes an integer from 1 to {_PARTS_MAX}")
    return number
