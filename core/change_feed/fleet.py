"""The feed for clusters that have `_fleet/global_checkpoints`: a long poll that ends when the index has changed.

A poll knows checkpoints and no identities, and waits on where a checkpoint has fallen. So `_stats` is asked as well:
at first, whenever a poll has failed (which is how the removal of the index ends it) or has waited in vain, and at least
every 30 seconds. An index that is made anew in the moment between two polls and has more writes than before by the next
one is told as an advance, and as made anew within those 30 seconds.
"""

from __future__ import annotations

import asyncio

import msgspec

from ..ports import Checkpoint, Clock, Store
from .changes import Change, FeedKind, change_between
from .looks import SharedLooks

# As long as the client of Elastic's own Fleet server waits.
WAIT_MS = 30_000
# After a change a burst of writes has this long to become one change.
REST_MS = 20


class FleetFeed:
    """Implements `ChangeFeed`: a change is told some milliseconds after it; an idle index costs 4 requests a minute."""

    kind: FeedKind = "fleet"

    def __init__(
        self,
        store: Store,
        looks: SharedLooks,
        clock: Clock,
        index: str,
        *,
        wait_ms: int = WAIT_MS,
        rest_ms: int = REST_MS,
    ) -> None:
        self.index = index
        self._store = store
        self._looks = looks
        self._clock = clock
        self._wait_ms = wait_ms
        self._rest_ms = rest_ms
        self._known: Checkpoint | None = None
        self._look_at_ms = 0
        self._rest_until_ms = 0

    async def next_change(self) -> Change:
        while True:
            rest_ms = self._rest_until_ms - self._clock.monotonic_ms()
            if rest_ms > 0:
                await asyncio.sleep(rest_ms / 1_000)
            known = self._known
            if known is None or self._clock.monotonic_ms() >= self._look_at_ms:
                found = await self._looks.look(self.index)
                self._look_at_ms = self._clock.monotonic_ms() + self._wait_ms
            else:
                found = await self._poll(known)
            self._known = found
            change = change_between(self.index, known, found)
            if change is not None:
                self._rest_until_ms = self._clock.monotonic_ms() + self._rest_ms
                return change

    async def _poll(self, known: Checkpoint) -> Checkpoint:
        """Wait for an advance. Unless one comes, the next thing is to look what else may have happened."""
        look_at_ms, self._look_at_ms = self._look_at_ms, 0
        reached = await self._store.wait_past(self.index, known.global_checkpoint, wait_ms=self._wait_ms)
        if reached is None:
            return known
        self._look_at_ms = look_at_ms
        return msgspec.structs.replace(known, global_checkpoint=reached)
