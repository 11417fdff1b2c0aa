"""The feed for any cluster: asks where the index stands, often after a change and seldom while nothing happens."""

from __future__ import annotations

from ..ports import Checkpoint
from .changes import Change, FeedKind, change_between
from .looks import SharedLooks


class StatsFeed:
    """Implements `ChangeFeed` on `_stats?level=shards`: 0.5 to 1.5 ms a request, shared with the replica's others.

    The interval is `shortest_ms` after a change and doubles up to `longest_ms` while there is none. Where most changes
    are no news, such as the renewals of leases, both are the same.
    """

    kind: FeedKind = "stats"

    def __init__(self, looks: SharedLooks, index: str, *, shortest_ms: int = 50, longest_ms: int = 500) -> None:
        self.index = index
        self.interval_ms = longest_ms
        self._looks = looks
        self._shortest_ms = shortest_ms
        self._longest_ms = longest_ms
        self._known: Checkpoint | None = None

    async def next_change(self) -> Change:
        while True:
            if self._known is not None:
                await self._looks.pause(self.interval_ms)
            found = await self._looks.look(self.index)
            known, self._known = self._known, found
            change = change_between(self.index, known, found)
            if change is None:
                self.interval_ms = min(self._longest_ms, self.interval_ms * 2)
                continue
            if known is not None:
                self.interval_ms = self._shortest_ms
            return change
