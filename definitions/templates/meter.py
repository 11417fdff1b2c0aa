"""What one rendering may cost, counted rather than timed, so that the same template always ends the same way.

One operation is one node of a loop's body, one item walked, or 32 characters handled: 20 to 1,000 ns each. Whatever
makes a value of another size than its operands have is charged before it runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from jinja2 import Undefined

from ..words import kind

INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one rendering, and of one template's text (`source_chars`).

    `operations` stops endless templates (at the default after a quarter of a second at worst); `text_chars` bounds any
    text on the way, `depth` the nesting of any value, `output_bytes` the JSON of the whole rendered value.
    """

    operations: int = 250_000
    text_chars: int = 1_048_576
    output_bytes: int = 262_144
    depth: int = 64
    source_chars: int = 65_536


LIMITS = Limits()


class LimitExceeded(Exception):
    """A rendering went over one of its limits."""


class Meter:
    """What is left of one rendering's limits."""

    __slots__ = ("limits", "operations_left", "output_left")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.operations_left = limits.operations
        self.output_left = limits.output_bytes

    def charge(self, operations: int) -> None:
        """Pay for what is about to be done. Raises: LimitExceeded."""
        self.operations_left -= operations
        if self.operations_left < 0:
            raise LimitExceeded(f"the template needs more than {self.limits.operations} operations, the limit")

    def text(self, chars: int) -> None:
        """Pay for a text of so many characters. Raises: LimitExceeded."""
        if chars > self.limits.text_chars:
            most = self.limits.text_chars
            raise LimitExceeded(f"the template makes a text of {chars} characters; the limit is {most}")
        self.charge(chars >> 5)

    def walk(self, value: Any, depth: int = 0) -> None:
        """Pay for going through a whole value, shared parts as often as they occur. Raises: LimitExceeded."""
        if isinstance(value, str):
            self.charge(1 + (len(value) >> 5))
            return
        self.charge(1)
        if isinstance(value, list | tuple):
            self._deeper(depth)
            for item in value:
                self.walk(item, depth + 1)
        elif isinstance(value, Mapping):
            self._deeper(depth)
            for key, item in value.items():
                self.walk(key, depth + 1)
                self.walk(item, depth + 1)

    def output(self, size_bytes: int) -> None:
        """Count a part of the rendered value. Raises: LimitExceeded."""
        self.output_left -= size_bytes
        if self.output_left < 0:
            raise LimitExceeded(f"the rendered value is larger than {self.limits.output_bytes} bytes, the limit")

    def given(self, value: Any) -> Any:
        """A value of the context, which is JSON already, counted as output."""
        kind_ = type(value)
        if kind_ is str:
            self.output(utf8_bytes(value) + 2)
        elif kind_ is dict or kind_ is list:
            try:
                self.output(len(msgspec.json.encode(value)))
            except (TypeError, ValueError, RecursionError):
                return self.made(value)
        else:
            return self.made(value)
        return value

    def made(self, value: Any, depth: int = 0) -> Any:
        """A value that a template made, as pure JSON, counted as output; tuples become lists.

        Raises: LimitExceeded, UndefinedError, ValueError.
        """
        self.charge(1)
        if value is None or isinstance(value, bool):
            self.output(5)
            return value
        if isinstance(value, str):
            self.charge(len(value) >> 5)
            self.output(utf8_bytes(value) + 2)
            return str(value)
        if isinstance(value, int | float):
            self.output(8)
            return finite(value)
        if isinstance(value, list | tuple):
            self._deeper(depth)
            self.output(2)
            return [self.made(item, depth + 1) for item in value]
        if isinstance(value, Mapping):
            self._deeper(depth)
            self.output(2)
            return {self._key(key): self.made(item, depth + 1) for key, item in value.items()}
        if type(value) is Undefined:
            return None  # `x if y` without an else; a name that does not exist is of a stricter type
        if isinstance(value, Undefined):
            raise value._undefined_exception(value._undefined_message)
        raise ValueError(f"{kind(value)} is not a JSON value")

    def _deeper(self, depth: int) -> None:
        if depth >= self.limits.depth:
            raise LimitExceeded(f"a value is nested deeper than {self.limits.depth} levels, the limit")

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise ValueError(f"a key of a mapping must be a string, not {kind(key)}")
        self.charge(len(key) >> 5)
        self.output(utf8_bytes(key) + 3)
        return str(key)


def finite(number: int | float) -> int | float:
    """The number, if JSON and 64-bit integers can hold it. Raises: ValueError."""
    if isinstance(number, int):
        if not INTEGER_MIN <= number <= INTEGER_MAX:
            raise ValueError("an integer does not fit in 64 bits")
    elif not math.isfinite(number):
        raise ValueError(f"{number} is not a JSON number")
    return number


def utf8_bytes(text: str) -> int:
    """How long the text is in UTF-8. Raises: ValueError for half a surrogate pair, which UTF-8 does not have."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair, which is not valid Unicode") from None
