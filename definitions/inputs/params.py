"""The params of a start against the declared inputs: all violations at once, defaults applied, nothing converted.

Checks are built once a definition. Timestamps are the exception to "nothing converted": they are brought into the one
form that templates see, so that they compare as texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..durations import WRITINGS, duration_ms
from ..errors import InputsError, Violation
from ..source.scalars import INTEGER_MAX
from ..timestamps import iso_text, timestamp
from ..words import did_you_mean, listed, nearest, shown
from .patterns import TEXT_MAX, compiled_pattern
from .spec import InputSpec

VIOLATIONS_MAX = 1_000
PATTERN_WORK_MAX = 20_000_000
"""Characters times parts of their patterns in one check: about half a second at worst."""

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a string"),
    "integer": ((int,), "an integer of at most 64 bits"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "object": ((dict,), "an object"),
    "array": ((list,), "an array"),
}
_TIMESTAMP = "a timestamp such as 2026-03-01T12:00:00Z"


class _Full(Exception):
    """There are enough violations."""


class Report:
    """What one check has found so far."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._pattern_work_left = PATTERN_WORK_MAX

    def wrong(self, path: str, found: str, allowed: str, near: str | None = None) -> None:
        self.add(
            Violation(path, f"found {found}; allowed: {allowed}{did_you_mean(near)}", None, None, found, allowed, near)
        )

    def add(self, violation: Violation) -> None:
        self.violations.append(violation)
        if len(self.violations) >= VIOLATIONS_MAX:
            raise _Full

    def pay(self, work: int) -> bool:
        """Whether so much work on patterns may still be done."""
        self._pattern_work_left -= work
        return self._pattern_work_left >= 0


Check = Callable[[Any, str, Report], Any]
"""Reports what is wrong with a value at a path, and returns the value to use."""


class _Input:
    """One declared input, made ready for its checks. Raises: ValueError (a pattern)."""

    __slots__ = ("check", "default", "has_default", "name", "path", "required", "spec")

    def __init__(self, name: str, spec: InputSpec) -> None:
        self.name = name
        self.path = f"params.{name}"
        self.spec = spec
        self.check = build_check(spec)
        self.required = spec.required
        self.has_default = "default" in spec.model_fields_set
        self.default = self.check(spec.default, name, Report()) if self.has_default else None


class ParamsCheck:
    """The check of one definition's params; None as specs: anything goes. Raises, when made: ValueError (a pattern)."""

    def __init__(self, specs: Mapping[str, InputSpec] | None) -> None:
        self._specs = specs
        # A model's fields are slow to read, so a check reads none.
        self._inputs = [_Input(name, spec) for name, spec in (specs or {}).items()]

    def __call__(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params with defaults. Raises: InputsError with every violation."""
        if self._specs is None:
            return dict(params)
        report = Report()
        checked: dict[str, Any] = {}
        try:
            for one in self._inputs:
                name = one.name
                if name in params:
                    checked[name] = one.check(params[name], one.path, report)
                elif one.required:
                    report.add(_missing(name, one.spec))
                elif one.has_default:
                    checked[name] = one.default
            for name in params:
                if name not in self._specs:
                    report.add(_unknown(name, self._specs))
        except _Full:
            pass
        if report.violations:
            raise InputsError(report.violations)
        return checked


def _missing(name: str, spec: InputSpec) -> Violation:
    allowed = kind_words(spec)
    return Violation(f"params.{name}", f"`{name}` is missing; it is required: {allowed}", allowed=allowed)


def _unknown(name: str, specs: Mapping[str, InputSpec]) -> Violation:
    near = nearest(name, specs)
    known = listed(specs) if specs else "none"
    message = f"there is no input `{name[:100]}`{did_you_mean(near) if near else f'; allowed: {known}'}"
    return Violation(f"params.{name[:100]}", message, found=name[:100], allowed=known, nearest=near)


def build_check(spec: InputSpec) -> Check:
    """The check of one declared value. Raises: ValueError for a pattern that is none."""
    right_kind = _by_kind(spec)
    further = [check for check in (_bounds(spec), _pattern(spec), _enum(spec), _items(spec)) if check is not None]
    is_timestamp = spec.type == "timestamp"
    nullable = spec.default is None and "default" in spec.model_fields_set

    def check(value: Any, path: str, report: Report) -> Any:
        if value is None and nullable:
            return None
        if not right_kind(value):
            report.wrong(path, shown(value), kind_words(spec))
            return value
        if is_timestamp:
            value = iso_text(timestamp(value))
        for one in further:
            value = one(value, path, report)
        return value

    return check


def kind_words(spec: InputSpec) -> str:
    """What a value of that type is, in words."""
    if spec.type == "duration":
        return WRITINGS
    return _TIMESTAMP if spec.type == "timestamp" else _KINDS[spec.type][1]


def measure(spec: InputSpec, value: Any) -> int | float | str:
    """What `min` and `max` compare: the value itself, a length, milliseconds, or a timestamp in the one form.

    Raises: ValueError for what is no duration or timestamp, TypeError for another kind of value.
    """
    if spec.type in ("string", "array", "object"):
        return len(value)
    if spec.type == "duration":
        return duration_ms(value)
    if spec.type == "timestamp":
        return iso_text(timestamp(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def bound(spec: InputSpec, value: Any) -> int | float | str:
    """A `min` or `max` as `measure` compares it. Raises: ValueError, TypeError."""
    if spec.type in ("string", "array", "object"):
        if type(value) is not int or value < 0:
            raise TypeError
        return value
    return measure(spec, value)


def _by_kind(spec: InputSpec) -> Callable[[Any], bool]:
    if spec.type == "duration":
        return lambda value: isinstance(value, str) and _parses(duration_ms, value)
    if spec.type == "timestamp":
        return lambda value: isinstance(value, str) and _parses(timestamp, value)
    types = _KINDS[spec.type][0]
    if bool in types:
        return lambda value: isinstance(value, bool)
    if int in types:
        return lambda value: type(value) in types and _storable(value)
    return lambda value: isinstance(value, types)


def _storable(number: int | float) -> bool:
    return abs(number) <= INTEGER_MAX if isinstance(number, int) else math.isfinite(number)


def _parses(parse: Callable[[Any], Any], value: Any) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _bounds(spec: InputSpec) -> Check | None:
    if spec.min is None and spec.max is None:
        return None
    least = None if spec.min is None else bound(spec, spec.min)
    most = None if spec.max is None else bound(spec, spec.max)
    what = {"string": " characters", "array": " items", "object": " entries"}.get(spec.type, "")

    def check(value: Any, path: str, report: Report) -> Any:
        size: Any = measure(spec, value)
        found = f"{size}{what}" if what else shown(value)
        if least is not None and size < least:
            report.wrong(path, found, f"at least {spec.min}{what}")
        if most is not None and size > most:
            report.wrong(path, found, f"at most {spec.max}{what}")
        return value

    return check


def _pattern(spec: InputSpec) -> Check | None:
    if spec.pattern is None or spec.type != "string":
        return None
    pattern = compiled_pattern(spec.pattern)

    def check(value: Any, path: str, report: Report) -> Any:
        if len(value) > TEXT_MAX:
            report.wrong(path, f"{len(value)} characters", f"at most {TEXT_MAX} where a pattern is given")
        elif not report.pay(len(value) * pattern.size):
            report.wrong(path, "more text than patterns are tried on", "fewer or shorter strings")
        elif not pattern.found_in(value):
            report.wrong(path, shown(value), f"a string that matches {spec.pattern}")
        return value

    return check


def _enum(spec: InputSpec) -> Check | None:
    if spec.enum is None:
        return None
    choices = [iso_text(timestamp(choice)) for choice in spec.enum] if spec.type == "timestamp" else spec.enum
    scalars = {(isinstance(choice, bool), choice) for choice in choices if not isinstance(choice, dict | list)}
    others = [choice for choice in choices if isinstance(choice, dict | list)]
    words = [choice if isinstance(choice, str) else shown(choice) for choice in choices]

    def check(value: Any, path: str, report: Report) -> Any:
        known = value in others if isinstance(value, dict | list) else (isinstance(value, bool), value) in scalars
        if not known:
            near = nearest(value, words) if isinstance(value, str) else None
            report.wrong(path, shown(value), listed(words), near)
        return value

    return check


def _items(spec: InputSpec) -> Check | None:
    if spec.items is None or spec.type != "array":
        return None
    check_item = build_check(spec.items)

    def check(value: Any, path: str, report: Report) -> Any:
        return [check_item(item, f"{path}[{at}]", report) for at, item in enumerate(value)]

    return check
