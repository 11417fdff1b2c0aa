"""Which of a replica's lanes new instances go to. Pure.

A group write costs Elasticsearch as much as some twenty documents, however few it holds, so spreading each moment's
starts evenly would make many small writes. New instances go to one lane at a time: to the next one when it has had
its turn, so that all lanes hold the same before long, or when its writes are of a good size already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

# A turn spans several group writes under load, and hardly a start without it.
TURN_MS = 50
TURN_INSTANCES = 1_000
# Bulks of more documents than that cost hardly less a document.
FULL_CHANGED = 200


class Writing(Protocol):
    """A lane, as far as placement looks at it: its name, and how many of its instances wait to be written."""

    @property
    def name(self) -> str: ...

    @property
    def changed(self) -> int: ...


AnyLane = TypeVar("AnyLane", bound=Writing)


class Placement:
    """One replica's turns. `choose` is called once a request."""

    def __init__(self) -> None:
        self._lane = ""
        self._left = 0
        self._until_ms = 0

    def choose(self, lanes: Sequence[AnyLane], instances: int, *, now_ms: int) -> AnyLane:
        """The lane for so many new instances, of these, which are at least one. `now_ms` is monotonic."""
        current = next((lane for lane in lanes if lane.name == self._lane), None)
        over = now_ms >= self._until_ms or self._left <= 0
        if current is None or over or current.changed >= FULL_CHANGED:
            ordered = sorted(lanes, key=lambda lane: lane.name)
            current = next((lane for lane in ordered if lane.name > self._lane), ordered[0])
            self._lane, self._left, self._until_ms = current.name, TURN_INSTANCES, now_ms + TURN_MS
        self._left -= instances
        return current
