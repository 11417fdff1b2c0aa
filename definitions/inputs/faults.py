"""Whether declared inputs make sense: bounds, defaults, patterns and choices that fit their type."""

from __future__ import annotations

from collections.abc import Iterator

from ..words import shown
from .params import Report, bound, build_check, kind_words
from .patterns import compiled_pattern
from .spec import InputSpec

Fault = tuple[tuple[str | int, ...], str]
"""Keys below the declaration, and the sentence."""

_BOUNDED = frozenset({"string", "integer", "number", "array", "object", "duration", "timestamp"})


def faults(spec: InputSpec) -> Iterator[Fault]:
    """Everything that is wrong with a declaration, its items included."""
    found = [*_pattern(spec), *_bounds(spec), *_items(spec)]
    yield from found
    if spec.required and "default" in spec.model_fields_set:
        yield ("default",), "a required input is always given; it has no default"
    if not found:
        yield from _values(spec)


def _pattern(spec: InputSpec) -> Iterator[Fault]:
    if spec.pattern is None:
        return
    if spec.type != "string":
        yield ("pattern",), f"`pattern` is for strings, not for {spec.type}"
        return
    try:
        compiled_pattern(spec.pattern)
    except ValueError as error:
        yield ("pattern",), f"found {shown(spec.pattern)}: {error}"


def _bounds(spec: InputSpec) -> Iterator[Fault]:
    given = []
    for key, value in (("min", spec.min), ("max", spec.max)):
        if value is None:
            continue
        if spec.type not in _BOUNDED:
            yield (key,), f"`{key}` is not for {spec.type}"
            continue
        try:
            given.append(bound(spec, value))
        except (TypeError, ValueError):
            length = spec.type in ("string", "array", "object")
            allowed = "a length, an integer that is not negative" if length else kind_words(spec)
            yield (key,), f"found {shown(value)}; allowed: {allowed}"
    if len(given) == 2 and given[0] > given[1]:  # type: ignore[operator]
        yield ("min",), f"`min` {shown(spec.min)} is more than `max` {shown(spec.max)}"


def _items(spec: InputSpec) -> Iterator[Fault]:
    if spec.items is None:
        return
    if spec.type != "array":
        yield ("items",), f"`items` is for arrays, not for {spec.type}"
    for key in ("required", "default"):
        if key in spec.items.model_fields_set:
            yield ("items", key), f"`{key}` has no meaning for the items of an array"
    for keys, message in faults(spec.items):
        yield ("items", *keys), message


def _values(spec: InputSpec) -> Iterator[Fault]:
    """Choices and the default must themselves be allowed."""
    plain = build_check(spec.model_copy(update={"enum": None}))
    right = True
    for at, choice in enumerate(spec.enum or ()):
        report = Report()
        plain(choice, "", report)
        for violation in report.violations:
            right = False
            yield ("enum", at), violation.message
    if right and "default" in spec.model_fields_set and spec.default is not None:
        report = Report()
        build_check(spec)(spec.default, "", report)
        for violation in report.violations:
            yield ("default",), violation.message
