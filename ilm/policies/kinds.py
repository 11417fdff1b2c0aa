"""What the parameters of actions can be: whole numbers, durations, sizes, names.

Elasticsearch's parsers are lenient: they take `"5"` and `5.7` for 5, and `"false"` for false. A policy is refused here
for such a value, since it most likely says something else than was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .units import SIZE_WORDS, TIME_WORDS, size_bytes, size_text, time_ms, time_text

INT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value. `words` say what is allowed.

    `read` gives what a value means (milliseconds, bytes, the value itself) and raises ValueError for one of another
    kind. `write` is the shortest writing of what was read.
    """

    words: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value


def whole(least: int = 0, most: int = INT_MAX) -> Kind:
    """A whole number. Most are ints in Elasticsearch, some are longs."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return Kind(f"a whole number from {least} to {most}", read)


def duration(least_ms: int = 0) -> Kind:
    return _written(time_ms, time_text, least_ms, TIME_WORDS + (", more than 0" if least_ms else ""))


def size(least_bytes: int = 0) -> Kind:
    return _written(size_bytes, size_text, least_bytes, SIZE_WORDS + (", more than 0" if least_bytes else ""))


def _written(read_text: Callable[[str], int | None], write: Callable[[int], str], least: int, words: str) -> Kind:
    def read(value: Any) -> int:
        found = read_text(value) if isinstance(value, str) else None
        if found is None or found < least:
            raise ValueError
        return found

    return Kind(words, read, write)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 1_000 or not encodable(value):
        raise ValueError
    return value


def _attributes(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > 100:
        raise ValueError
    return {_name(key): _name(inner) for key, inner in value.items()}


def encodable(text: str) -> bool:
    """Whether a text can be sent: half of a surrogate pair can't, though JSON can write it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


FLAG = Kind("true or false", _flag)
NAME = Kind("a name, as a string that is not empty", _name)
ATTRIBUTES = Kind('an object of node attributes with strings as values, such as {"box_type": "warm"}', _attributes)


def one_of(*choices: str) -> Kind:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError
        return value

    return Kind(" or ".join(f'"{choice}"' for choice in choices), read)


def or_null(kind: Kind) -> Kind:
    return Kind(f"{kind.words}, or null", lambda value: None if value is None else kind.read(value), kind.write)
