"""Values that only steps have: expressions, cases, what follows a failure."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints, WithJsonSchema

from ..durations import PATTERN, WRITINGS
from ..fields import CASE, EXPRESSION, INTEGER_MAX, duration, is_expression, refusal, wrong
from ..templates import has_template
from ..timestamps import timestamp
from ..words import shown
from .kinds import TAG


def _expression(value: Any) -> Any:
    if is_expression(value):
        return value
    raise wrong(value, EXPRESSION)


def _items(value: Any) -> Any:
    if isinstance(value, list) or is_expression(value):
        return value
    raise wrong(value, f"a list, or {EXPRESSION}")


def _switched(value: Any) -> Any:
    if isinstance(value, str) and has_template(value):
        return value
    raise wrong(value, 'a template: "{{ ... }}"')


def _version(value: Any) -> Any:
    if value == "active" or (type(value) is int and 1 <= value <= INTEGER_MAX):
        return value
    raise wrong(value, "active, or the number of a version, at least 1")


def _wait(value: Any) -> int:
    ms = duration(value)
    if ms == 0:
        raise wrong(value, "a duration that is not zero")
    return ms


def _until(value: Any) -> Any:
    allowed = f"a timestamp such as 2026-03-01T12:00:00Z, or {EXPRESSION}"
    if isinstance(value, str) and has_template(value):
        return value
    if not isinstance(value, str):
        raise wrong(value, allowed)
    try:
        timestamp(value)
    except ValueError:
        advice = f"; for {WRITINGS} write `wait`" if re.fullmatch(PATTERN, value) else ""
        raise refusal(
            f"found {shown(value)}; allowed: {allowed}{advice}", found=shown(value), allowed=allowed
        ) from None
    return value


def _wait_for(value: Any) -> Any:
    if value in ("all", "any") or (type(value) is int and value >= 1):
        return value
    raise wrong(value, "all, any, or how many branches, at least 1")


def _succeed(value: Any) -> Any:
    if value is True or isinstance(value, dict):
        return value
    raise wrong(value, "a mapping, the outputs, or true for those of the definition")


def _on_failure(value: Any) -> Any:
    if value in ("fail", "continue") or isinstance(value, list):
        return value
    raise wrong(value, "fail, continue, or a list of steps")


def on_failure_tag(value: Any) -> str:
    """Which of the two forms of `on_failure` it is."""
    return f"{TAG}steps" if isinstance(value, list) else f"{TAG}word"


Expression = Annotated[Any, BeforeValidator(_expression), WithJsonSchema({"type": "string"})]
ItemsOf = Annotated[Any, BeforeValidator(_items), WithJsonSchema({"type": ["string", "array"]})]
Switched = Annotated[Any, BeforeValidator(_switched), WithJsonSchema({"type": "string"})]
WaitFor = Annotated[
    Any,
    BeforeValidator(_wait_for),
    WithJsonSchema({"anyOf": [{"enum": ["all", "any"]}, {"type": "integer", "minimum": 1}]}),
]
WaitTime = Annotated[int, BeforeValidator(_wait), WithJsonSchema({"type": "string", "pattern": PATTERN})]
Until = Annotated[Any, BeforeValidator(_until), WithJsonSchema({"type": "string"})]
Outcome = Annotated[Any, BeforeValidator(_succeed), WithJsonSchema({"anyOf": [{"type": "object"}, {"const": True}]})]
WorkflowVersion = Annotated[
    Any, BeforeValidator(_version), WithJsonSchema({"anyOf": [{"const": "active"}, {"type": "integer", "minimum": 1}]})
]
CaseName = Annotated[str, StringConstraints(pattern=CASE)]
OnFailureForm = BeforeValidator(_on_failure)
