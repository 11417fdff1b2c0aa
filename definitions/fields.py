"""Kinds of fields that models share, each with what it allows: in words for messages, as JSON Schema for editors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from .durations import PATTERN, WRITINGS, duration_ms
from .words import shown

T = TypeVar("T")

INTEGER_MAX = 2**31 - 1


class Model(BaseModel):
    """Root of all parts of a definition: what it does not know is an error, and types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def refusal(
    message: str, *, found: str | None = None, allowed: str | None = None, key: str | None = None
) -> PydanticCustomError:
    """What a validator raises; `explaining` takes the parts out again. `key`: the key of the mapping it is about."""
    parts = {"message": message, "found": found, "allowed": allowed, "key": key}
    return PydanticCustomError("refused", "{message}", parts)


def wrong(value: Any, allowed: str) -> PydanticCustomError:
    """The usual refusal: what was found, what is allowed."""
    return refusal(f"found {shown(value)}; allowed: {allowed}", found=shown(value), allowed=allowed)


def _not_null(value: Any) -> Any:
    if value is None:
        raise refusal("found null; give it a value or leave the key out", found="null")
    return value


def duration(value: Any) -> int:
    """The milliseconds of a duration in the YAML. Raises: PydanticCustomError, which says what is allowed."""
    if not isinstance(value, str):
        advice = f"; write {value}s or {value}ms" if type(value) in (int, float) else ""
        raise refusal(f"found {shown(value)}; allowed: {WRITINGS}{advice}", found=shown(value), allowed=WRITINGS)
    try:
        return duration_ms(value)
    except ValueError as error:
        raise refusal(f"found {shown(value)}: {error}", found=shown(value), allowed=WRITINGS) from None


def _positive_duration(value: Any) -> int:
    ms = duration(value)
    if ms == 0:
        raise refusal(f"found {shown(value)}; leave the key out for no limit", found=shown(value), allowed=WRITINGS)
    return ms


_PRIORITIES = {"high": 2, "normal": 5, "low": 8}
_PRIORITY_WORDS = "high, normal, low, or an integer from 0 (first) to 9"


def _priority(value: Any) -> int:
    if isinstance(value, str) and value in _PRIORITIES:
        return _PRIORITIES[value]
    if type(value) is int and 0 <= value <= 9:
        return value
    raise wrong(value, _PRIORITY_WORDS)


EXPRESSION = 'one expression: "{{ ... }}"'


def is_expression(value: Any) -> bool:
    """Whether it looks like one template expression, white space around it apart."""
    return isinstance(value, str) and re.fullmatch(r"\s*\{\{.*\}\}\s*", value, re.DOTALL) is not None


def _condition(value: Any) -> Any:
    """`if`: a boolean, or one template expression; text would always count as true."""
    if isinstance(value, bool) or is_expression(value):
        return value
    raise wrong(value, f"true, false, or {EXPRESSION}")


Given = Annotated[T | None, BeforeValidator(_not_null)]
"""May be left out, but not be null."""

_DURATION_SCHEMA: Mapping[str, Any] = {
    "type": "string",
    "pattern": PATTERN,
    "examples": ["250ms", "30s", "5m", "4h", "7d", "PT30S"],
}
Duration = Annotated[int, BeforeValidator(duration), WithJsonSchema(dict(_DURATION_SCHEMA))]
"""Milliseconds, written as a duration."""
Timeout = Annotated[int, BeforeValidator(_positive_duration), WithJsonSchema(dict(_DURATION_SCHEMA))]
"""A duration that is not zero."""
Priority = Annotated[
    int,
    BeforeValidator(_priority),
    WithJsonSchema({"enum": ["high", "normal", "low", *range(10)], "default": "normal"}),
]
Condition = Annotated[Any, BeforeValidator(_condition), WithJsonSchema({"type": ["string", "boolean"]})]

NAME = r"^[a-z0-9][a-z0-9-]{0,127}$"
CAPABILITY = r"^[a-z0-9][a-z0-9._-]{0,127}$"
INPUT_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,127}$"
CASE = r"^[^.:/~%\[\]\x00-\x1f]{1,128}$"
PATTERN_WORDS = {
    NAME: "a-z, 0-9 and -, not beginning with -, at most 128 characters",
    CAPABILITY: "a-z, 0-9, -, _ and ., beginning with a letter or digit, at most 128 characters",
    INPUT_NAME: "letters, digits and _, beginning with a letter, at most 128 characters",
    CASE: "at least 1 and at most 128 characters, none of them . : / ~ % [ or ]",
}
"""What the patterns of names allow, in words."""

Name = Annotated[str, StringConstraints(pattern=NAME)]
Capability = Annotated[str, StringConstraints(pattern=CAPABILITY)]
InputName = Annotated[str, StringConstraints(pattern=INPUT_NAME)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Text = Annotated[str, StringConstraints(max_length=8192)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Labels = Annotated[dict[LabelKey, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=64)]
