"""What is to happen when, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Deed = Callable[[], None]


class Agenda:
    """Deeds by their time. Within one millisecond timers come last: an answer in the very moment still counts."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._deeds: list[tuple[int, bool, int, Deed]] = []
        self._entered = 0

    def enter(self, at_ms: int, deed: Deed, *, timer: bool = False) -> None:
        self._entered += 1
        heappush(self._deeds, (at_ms, timer, self._entered, deed))

    def soon(self, deed: Deed) -> None:
        """Now, after what was entered for now before."""
        self.enter(self.now_ms, deed)

    @property
    def next_ms(self) -> int | None:
        """When the next deed is due; None when there is none."""
        return self._deeds[0][0] if self._deeds else None

    def do_next(self) -> None:
        """Let time go on to the next deed, and do it."""
        at_ms, _, _, deed = heappop(self._deeds)
        self.now_ms = max(self.now_ms, at_ms)
        deed()
