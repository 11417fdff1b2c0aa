"""Places of concurrency groups: the documents that say in which lane a group lives, once nobody uses it.

A lane's owner clears those of its lane, behind the lock under which it lets members join, and only the version that it
has read (`lanes.groups.places`). Those that name a lane that is gone are cleared by the owner of the first lane: such a
lane held nothing when it went, and whoever moves the group meanwhile writes the document and so keeps it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec
from msgspec import Struct

from ...ilm import IndexNames
from ..es.sweeps import before, of_kind, sweep
from ..lanes.groups.places import Places, group_of
from ..lanes.lane import Lane
from ..metrics import Metrics
from ..ports import Clock, Store, StoredDocument
from .clearing import PAGE, Pace, delete


class _Place(Struct, frozen=True):
    lane: str


_decode = msgspec.json.Decoder(_Place).decode


class PlacesOfGroups:
    """One replica's. `was_removed` tells lanes that are gone."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        metrics: Metrics,
        kept_ms: int,
        places: Places,
        was_removed: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._index = names.keys
        self._clock = clock
        self._metrics = metrics
        self._kept_ms = kept_ms
        self._places = places
        self._was_removed = was_removed

    async def pass_over(self, lane: Lane) -> int:
        """Delete the places of this lane's groups that are unused; returns how many. Raises: StoreError."""
        pace = Pace(self._clock)
        cleared = 0
        async for page in self._old({"term": {"lane": lane.name}}):
            for hit in page:
                if await self._places.clear(lane, group_of(hit.id), unused_for_ms=self._kept_ms):
                    self._metrics.cleared("group", 1)
                    cleared += 1
            await pace.rest()
        return cleared

    async def pass_once(self) -> int:
        """Delete the places in lanes that are gone; returns how many. Raises: StoreError."""
        pace = Pace(self._clock)
        cleared = 0
        async for page in self._old():
            gone = await delete(self._store, self._index, [hit for hit in page if self._is_nowhere(hit)])
            self._metrics.cleared("group", len(gone))
            cleared += len(gone)
            await pace.rest()
        return cleared

    def _old(self, *filters: dict[str, object]) -> AsyncIterator[list[StoredDocument]]:
        old = before("created_at_ms", self._clock.now_ms() - self._kept_ms)
        return sweep(self._store, self._index, [of_kind("group"), old, *filters], fields=["lane"], page_size=PAGE)

    def _is_nowhere(self, hit: StoredDocument) -> bool:
        return self._was_removed(_decode(hit.source).lane)
