"""Which feed a replica uses: what the cluster has decides, once, when the replica starts."""

from __future__ import annotations

import structlog

from ..errors import StoreRejected, StoreUnavailable
from ..ports import Clock, Store
from .changes import ChangeFeed, FeedKind
from .fleet import FleetFeed
from .looks import SharedLooks
from .stats import StatsFeed

log = structlog.get_logger(__name__)

# A probe of an index without a write is answered after this long.
_PROBE_MS = 50


class Feeds:
    """Makes the feeds of one replica. `open` before `of`; `looks` is what they share."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.looks = SharedLooks(store)
        self.kind: FeedKind = "stats"
        self._store = store
        self._clock = clock

    async def open(self, index: str) -> None:
        """Decide, and try the decision on this index: the module may be there and the privilege may not."""
        reason = "the cluster has no _fleet/global_checkpoints"
        if self._store.pushes:
            self.kind, reason = await self._tried(index)
        log.info("change_feed.chosen", feed=self.kind, reason=reason)

    def of(self, index: str, *, shortest_ms: int = 50, longest_ms: int = 500) -> ChangeFeed:
        """A feed of this index; the intervals are for clusters that do not push."""
        if self.kind == "fleet":
            return FleetFeed(self._store, self.looks, self._clock, index)
        return StatsFeed(self.looks, index, shortest_ms=shortest_ms, longest_ms=longest_ms)

    async def _tried(self, index: str) -> tuple[FeedKind, str]:
        try:
            await self._store.wait_past(index, -1, wait_ms=_PROBE_MS)
        except StoreRejected as error:
            return "stats", str(error)
        except StoreUnavailable as error:
            return "fleet", f"not tried: {error}"
        return "fleet", "the cluster pushes"
