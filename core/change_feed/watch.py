"""The loop between a feed and its consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..errors import StoreError
from ..metrics import Metrics
from .changes import Change, ChangeFeed

log = structlog.get_logger(__name__)

_PAUSE_MS = 250
_PAUSE_MAX_MS = 5_000


class Watch:
    """Tells `on_change` of each change, synchronously and in order. `pass_once` waits for one; `run` until cancelled.

    `blind` says that the feed failed when it was asked last: a consumer that must know looks for itself meanwhile.
    """

    def __init__(self, feed: ChangeFeed, on_change: Callable[[Change], None], metrics: Metrics) -> None:
        self.feed = feed
        self.blind = False
        self._on_change = on_change
        self._metrics = metrics
        self._pause_ms = _PAUSE_MS
        metrics.feed_in_use(feed.index, feed.kind)

    async def pass_once(self) -> None:
        """Wait for a change and tell of it. Raises: StoreError."""
        try:
            change = await self.feed.next_change()
        except Exception:
            self.blind = True
            raise
        self.blind = False
        self._pause_ms = _PAUSE_MS
        self._metrics.change(change.index)
        if change.anew:
            log.debug("change_feed.read_anew", index=change.index, checkpoint=change.checkpoint)
        self._on_change(change)

    async def run(self) -> None:
        """Pass again and again; a feed that fails is asked again after growing pauses."""
        while True:
            try:
                await self.pass_once()
            except StoreError as error:
                self._metrics.loop_failed("change_feed")
                log.warning("change_feed.unavailable", index=self.feed.index, feed=self.feed.kind, error=str(error))
                await self._pause()
            except Exception:
                self._metrics.loop_failed("change_feed")
                log.exception("change_feed.failed", index=self.feed.index, feed=self.feed.kind)
                await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._pause_ms / 1_000)
        self._pause_ms = min(_PAUSE_MAX_MS, self._pause_ms * 2)
