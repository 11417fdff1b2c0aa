"""The two points in time of a list, and how many of them this replica lets stay open.

Lanes are refreshed at most so often, whoever asks: a list shows what was acknowledged before the last of these began.
History needs none: an instance's document leaves its lane only after a refresh that made its row visible. For the same
reason the lanes' point in time is taken first; what has left them by then is in history's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from msgspec import Struct

from ....ilm import IndexNames
from ...errors import StoreError
from ...ports import Clock, Store
from ...settings import SearchSettings


class Snapshot(Struct, frozen=True):
    """The ids of the two points in time."""

    live: str
    ended: str


class Snapshots:
    """Those of one replica."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, settings: SearchSettings) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._settings = settings
        self._refresh: asyncio.Task[None] | None = None
        self._refreshed_at_ms = 0
        # Oldest first: for whom, and until when Elasticsearch keeps it.
        self._open: dict[Snapshot, tuple[str, int]] = {}

    async def open(self) -> Snapshot:
        """What stands now, give or take a refresh. The caller closes it, or says that it is kept."""
        await self._refreshed()
        keep_alive_ms = self._settings.keep_alive_ms
        live = await self._store.open_pit(self._names.lane("*"), keep_alive_ms=keep_alive_ms)
        try:
            ended = await self._store.open_pit(self._names.instances, keep_alive_ms=keep_alive_ms)
        except BaseException:
            with suppress(StoreError):
                await self._store.close_pit(live)
            raise
        return Snapshot(live, ended)

    async def keep(self, snapshot: Snapshot, tenant: str) -> None:
        """It stays open for the next page. Where too many do, the oldest of the tenant with the most of them goes."""
        now_ms = self._clock.monotonic_ms()
        self._open = {one: held for one, held in self._open.items() if held[1] > now_ms and one != snapshot}
        self._open[snapshot] = tenant, now_ms + self._settings.keep_alive_ms
        if len(self._open) > self._settings.open_lists_max:
            ((most, _),) = Counter(whose for whose, _ in self._open.values()).most_common(1)
            await self.close(next(one for one, (whose, _) in self._open.items() if whose == most))

    async def close(self, snapshot: Snapshot) -> None:
        """Free it; never raises, since Elasticsearch lets go of it by itself after a while."""
        self._open.pop(snapshot, None)
        for pit_id in (snapshot.live, snapshot.ended):
            with suppress(StoreError):
                await self._store.close_pit(pit_id)

    async def _refreshed(self) -> None:
        """A refresh of the lanes that began within `refresh_every_ms`; lists that come at once share it."""
        now_ms = self._clock.monotonic_ms()
        if self._refresh is None or now_ms - self._refreshed_at_ms >= self._settings.refresh_every_ms:
            self._refreshed_at_ms = now_ms
            self._refresh = asyncio.get_running_loop().create_task(self._store.refresh(self._names.lane("*")))
            # Whoever asked may have gone by the time it fails.
            self._refresh.add_done_callback(lambda task: task.cancelled() or task.exception())
        refresh = self._refresh
        try:
            await asyncio.shield(refresh)
        except StoreError:
            if self._refresh is refresh:
                self._refresh = None
            raise
