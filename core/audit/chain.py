"""One chain on its way: which rows have a number, which of them stand, what is to be said of the others. Pure.

Rows are numbered in lots. A lot is sent until each of its rows was answered for good, with the same bytes each time,
and only then comes the next. So what may stand beyond the head is never more than one lot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..history_rows import stripped_row
from .rows import FIRST_PREVIOUS, Sealed, Void, seal

Outcome = Literal["standing", "closed"]
"""What became of a row: it stands (or never will, and the trail says why), or its index takes no more writes."""


@dataclass(slots=True, eq=False)
class Entry:
    """A row on its way, for whoever submitted it. `index`: the one that somebody's outbox names. `own`: the trail's."""

    id: str
    row: bytes
    index: str | None
    repeated: bool = False
    stripped: bool = False
    own: bool = False
    says_voids: bool = False
    done: list[Callable[[Outcome], None]] = field(default_factory=list)

    def strip(self) -> None:
        """Leave out what users put into it."""
        self.row = stripped_row(self.row)
        self.stripped = True


class Chain:
    """The rows that one writer puts into one index.

    `lot`: what has a number and no answer yet, in order. `standing`: what stands, and waits for the head. `voids`: what
    is to be said of numbers that no row has; `said`: the chains whose voids the lot says.
    """

    def __init__(self, writer: str, index: str, created_at_ms: int) -> None:
        self.writer = writer
        self.index = index
        self.created_at_ms = created_at_ms
        self.opening = b""
        self.said: list[Chain] = []
        self.lot: list[tuple[Entry, Sealed]] = []
        self.standing: list[Entry] = []
        self.voids: list[Void] = []
        self.seq = 0
        self.hash = FIRST_PREVIOUS
        # What the head says: the last row confirmed, and the last announced. Its version counts the writes of it.
        self.confirmed = (0, FIRST_PREVIOUS)
        self.announced = (0, FIRST_PREVIOUS)
        self.head_version = 1
        self._last_standing = (0, FIRST_PREVIOUS)

    def number(self, entry: Entry) -> Sealed:
        """Give it the next number. Raises: MsgspecError where the row is no JSON object; no number is used then."""
        sealed = seal(entry.id, entry.row, writer=self.writer, seq=self.seq + 1, previous=self.hash)
        self.seq, self.hash = sealed.seq, sealed.hash
        self.lot.append((entry, sealed))
        return sealed

    def stands(self, sealed: Sealed) -> bool:
        """The row of that number stands, in this chain; whether it is the one that says the voids."""
        entry = self._answered(sealed)
        self.standing.append(entry)
        if sealed.seq > self._last_standing[0]:
            self._last_standing = (sealed.seq, sealed.hash)
        return entry.says_voids

    def void(self, sealed: Sealed, reason: str) -> Entry:
        """No row will have that number."""
        self.voids.append(Void(self.writer, sealed.seq, sealed.hash, sealed.id, reason))
        return self._answered(sealed)

    def cut(self) -> list[Entry]:
        """Nothing more lands in the index: the chain ends with its last row that stands.

        Returns what was numbered and does not stand. What lies before the end stays to be said (`voids`).
        """
        left = [entry for entry, sealed in self.lot]
        for _, sealed in self.lot:
            self.voids.append(Void(self.writer, sealed.seq, sealed.hash, sealed.id, "its index takes no more writes"))
        self.lot.clear()
        self.seq, self.hash = self._last_standing
        self.voids = [void for void in self.voids if void.seq < self.seq]
        return left

    def release(self) -> list[Entry]:
        """The head stands where the chain does: who waits for these rows may be told."""
        standing, self.standing = self.standing, []
        return standing

    def _answered(self, sealed: Sealed) -> Entry:
        for place, (entry, one) in enumerate(self.lot):
            if one is sealed:
                del self.lot[place]
                return entry
        raise AssertionError(f"{sealed.id} is not on its way")
