"""What a check finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import Struct


class Asked(Struct, frozen=True):
    """An administrative request that may be repeated without harm."""

    method: str
    path: str
    body: Any = None


class Repair(Struct, frozen=True):
    """How to put something right: requests, or (`act`) something that this replica does. `done` says what it did."""

    done: str
    requests: tuple[Asked, ...] = ()
    act: Callable[[], Awaitable[None]] | None = None


class Found(Struct, frozen=True, kw_only=True):
    """Something that disagrees; `repair` is None where a person has to decide, and `left` says why."""

    severity: Literal["error", "warning"]
    what: str
    way_out: str
    repair: Repair | None = None
    left: str = "a person has to decide this"


def listed(names: list[str], most: int = 5) -> str:
    """The first of many names, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
