"""What can be wrong with a tenant's document."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class Fault(Struct, frozen=True, gc=False):
    """One thing that is wrong. `message` is a whole sentence; the rest are its facts apart, for programs."""

    path: Path
    message: str
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None

    @property
    def place(self) -> str:
        """The path as text: `capabilities.es-query.claim_rate.burst`; empty for the document as a whole."""
        return path_text(self.path)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.path else self.message


class DocumentError(Exception):
    """A document is not valid. `faults` has everything that was found wrong; `str()` is the first of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        more = len(faults) - 1
        super().__init__(f"{faults[0]}{f' (and {more} more)' if more else ''}")


def path_text(path: Path) -> str:
    """Keys joined by dots; one that holds a dot itself stands in quotes."""
    words = [str(key)[:128] for key in path]
    return ".".join(word if _PLAIN.fullmatch(word) else f'"{word}"' for word in words)
