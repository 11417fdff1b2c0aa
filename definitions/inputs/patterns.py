"""Patterns of inputs: regular expressions that can't hang.

Python's `re` takes exponential time for `(a+)+$` on thirty letters. The Rust engine inside pydantic, a dependency
anyway, takes time linear in the text and in the pattern's size, about 30 ns for the product of both at worst; both
are bounded here, and so is the sum over one check (`params`). It has no look-around and no back-references.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

TEXT_MAX = 4_096
"""Characters of a text that a pattern is tried on."""
SIZE_MAX = 500
"""Size of a pattern with its counted repetitions written out; Unicode classes such as `\\w` count ten."""


_UNICODE_CLASS = re.compile(r"\\[wWdDsSpPbB]")


class Pattern:
    """A compiled pattern; `size` is how many parts it has with its counted repetitions written out.

    Raises, when made: ValueError with a sentence that says what is wrong with it.
    """

    def __init__(self, text: str) -> None:
        self.size = _size(text)
        if self.size > SIZE_MAX:
            raise ValueError(f"with its repetitions written out the pattern has {self.size} parts; at most {SIZE_MAX}")
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex"))
        except SchemaError as error:
            raise ValueError(_reason(error)) from None

    def found_in(self, text: str) -> bool:
        """Whether the text, of at most TEXT_MAX characters, contains a match."""
        return self._validator.isinstance_python(text)


@lru_cache(maxsize=64)
def compiled_pattern(text: str) -> Pattern:
    """The pattern, compiled once for the checks of a load and of the starts that follow. Raises: ValueError."""
    return Pattern(text)


def _reason(error: SchemaError) -> str:
    for line in str(error).splitlines():
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    return "the pattern is too large" if "size limit" in str(error) else "not a regular expression"


def _size(pattern: str) -> int:
    """How many parts the pattern has when each `x{n}` is written as n times x. Mistakes are left to the engine."""
    totals, last = [0], 0
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "(":
            totals.append(0)
            last = 0
            if pattern.startswith("?", position + 1):  # flags or a name, as in `(?:` and `(?P<name>`
                position = next((at for at in range(position, len(pattern)) if pattern[at] in ":>)"), position)
                if pattern[position] == ")":
                    totals.pop()
        elif character == ")" and len(totals) > 1:
            last = max(1, totals.pop())
            totals[-1] += last
        elif character == "{" and pattern.find("}", position) > 0:
            end = pattern.find("}", position)
            totals[-1] += last * (_times(pattern[position + 1 : end]) - 1)
            last *= _times(pattern[position + 1 : end])
            position = end
        elif character not in "*+?|":
            end = _end_of_part(pattern, position)
            last = 10 if _UNICODE_CLASS.search(pattern, position, end + 1) else 1
            totals[-1] += last
            position = end
        position += 1
    return sum(totals)


def _times(bounds: str) -> int:
    """The greater number in `{n}`, `{n,}` or `{n,m}`."""
    numbers = [int(digits[:9]) for digits in bounds.split(",") if digits.strip().isdecimal()]
    return max(1, *numbers) if numbers else 1


def _end_of_part(pattern: str, position: int) -> int:
    """Where the letter, escape or class that begins here ends."""
    if pattern[position] == "\\":
        if pattern[position + 1 : position + 3] in ("p{", "P{", "x{", "u{"):
            return max(position + 1, pattern.find("}", position))
        return position + 1
    if pattern[position] == "[":
        end = position + 1
        while end < len(pattern) and pattern[end] != "]":
            end += 2 if pattern[end] == "\\" else 1
        return end
    return position
