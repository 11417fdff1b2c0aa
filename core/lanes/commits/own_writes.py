"""Which of an index's operations this replica made itself, by their sequence numbers. Pure.

Each operation of a shard takes the next number. So an advance of the checkpoint holds nothing foreign exactly if every
number in it belongs to an acknowledged write of one's own. All items of a bulk take numbers: documents, side documents,
deletions and the fence item. One that was refused takes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from ...ports import BulkItem

_version_of = attrgetter("version")
# More spans than that are merged before another joins; two bulks in flight seldom leave more than a few.
_MOST_SPANS = 64


class OwnWrites:
    """The acknowledged writes of one writer to one index, as spans of sequence numbers, both ends included.

    `known` is the number up to which nothing is in question any more: read at a take-over, own, or looked at. Numbers
    up to it are forgotten, so an index that is written without a gap takes one span.
    """

    def __init__(self) -> None:
        self.known = -1
        self._spans: list[tuple[int, int]] = []

    @property
    def highest(self) -> int:
        """The highest sequence number that is acknowledged or known; -1 for none."""
        return max([self.known, *(last for _, last in self._spans)])

    def acknowledge(self, items: Sequence[BulkItem]) -> None:
        """What one bulk's items answered, in order. About 60 ns an item where all were applied."""
        first, last = items[0].version, items[-1].version
        whole = first is not None and last is not None and last.seq_no - first.seq_no + 1 == len(items)
        if first is not None and last is not None and whole and all(map(_version_of, items)):
            # Numbers grow with the items: so many in so narrow a span are all of it, if each took one.
            self._add(first.seq_no, last.seq_no)
            return
        for item in items:
            if item.version is not None:
                self._add(item.version.seq_no, item.version.seq_no)

    def settle(self, checkpoint: int) -> None:
        """All up to this number is known, by whatever way."""
        self.known = max(self.known, checkpoint)
        self._spans = [span for span in self._spans if span[1] > self.known]

    def covers(self, checkpoint: int) -> bool:
        """Whether all above `known` and up to this number is one's own; if so, it is known from now on."""
        self._merge()
        reached = self.known
        for first, last in self._spans:
            if first > reached + 1:
                break
            reached = max(reached, last)
        if reached < checkpoint:
            return False
        self.settle(checkpoint)
        return True

    def _add(self, first: int, last: int) -> None:
        spans = self._spans
        if spans and spans[-1][1] + 1 == first:
            spans[-1] = (spans[-1][0], last)
            return
        if len(spans) >= _MOST_SPANS:
            self._merge()
        spans.append((first, last))

    def _merge(self) -> None:
        merged: list[tuple[int, int]] = []
        for first, last in sorted(self._spans):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self._spans = merged
