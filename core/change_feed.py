"""Woken by changes: waits until an index's global checkpoint has advanced, without searching it.

This feed asks `_stats` at an interval that adapts: short after a change, longer while nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from .errors import StoreError
from .ports import Checkpoint, Store

log = structlog.get_logger(__name__)


class StatsFeed:
    """Watches one single-shard index. `pass_once` looks once; `run` looks until cancelled.

    `on_change` is called when the checkpoint has moved, fallen, or belongs to another index of that name: all three
    mean that what was read before may be out of date.
    """

    def __init__(
        self,
        *,
        store: Store,
        index: str,
        on_change: Callable[[], None],
        shortest_ms: int = 50,
        longest_ms: int = 500,
    ) -> None:
        self._store = store
        self._index = index
        self._on_change = on_change
        self._shortest_ms = shortest_ms
        self._longest_ms = longest_ms
        self._seen: Checkpoint | None = None
        self.interval_ms = longest_ms

    async def pass_once(self) -> bool:
        """Look once; returns whether something had changed. The first look only learns where the index stands."""
        found = await self._store.checkpoint(self._index)
        before, self._seen = self._seen, found
        changed = before is not None and (
            before.index_uuid != found.index_uuid or before.global_checkpoint != found.global_checkpoint
        )
        if changed:
            self._on_change()
        self.interval_ms = self._shortest_ms if changed else min(self._longest_ms, self.interval_ms * 2)
        return changed

    async def run(self) -> None:
        while True:
            try:
                await self.pass_once()
            except StoreError as error:
                log.warning("change_feed.unavailable", index=self._index, error=str(error))
            await asyncio.sleep(self.interval_ms / 1_000)
