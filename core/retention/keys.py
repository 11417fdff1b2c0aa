"""Idempotency keys: kept for a while after they were made, and always until the instance that they name has ended.

A repeat that has to begin the instance of an old key (its first start died on the way) writes the key anew before it
does (`operations.starting.starts`), so a deletion that is under way is refused, or the repeat is told to ask again.
What begins under a key is therefore never much younger than the key, and no repeat within the retention starts a second
instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog
from msgspec import Struct

from ...ilm import IndexNames
from ..errors import StoreError
from ..es.sweeps import before, named_body, of_kind, sweep
from ..ids import lane_of
from ..lanes.ownership.registry import Registry
from ..metrics import Metrics
from ..ports import Clock, Store, StoredDocument
from .clearing import PAGE, Pace, delete

log = structlog.get_logger(__name__)


class _Key(Struct, frozen=True):
    instance_id: str = ""


_decode = msgspec.json.Decoder(_Key).decode


class Keys:
    """One replica's. `registry` gives the lanes as last seen."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        metrics: Metrics,
        kept_ms: int,
        registry: Callable[[], Registry],
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._metrics = metrics
        self._kept_ms = kept_ms
        self._registry = registry

    async def pass_once(self) -> int:
        """Delete what is old enough and whose instance is live no more; returns how many. Raises: StoreError."""
        filters = [of_kind("start"), before("created_at_ms", self._clock.now_ms() - self._kept_ms)]
        pace = Pace(self._clock)
        cleared = 0
        pages = sweep(self._store, self._names.keys, filters, fields=["instance_id"], page_size=PAGE)
        async for page in pages:
            named = {hit.id: _decode(hit.source).instance_id for hit in page}
            ended = await self._ended(set(named.values()))
            gone = await delete(self._store, self._names.keys, [hit for hit in page if named[hit.id] in ended])
            self._metrics.cleared("start", len(gone))
            cleared += len(gone)
            await pace.rest()
        return cleared

    async def _ended(self, instance_ids: set[str]) -> set[str]:
        """Those of the instances that are surely live no more, or never came to be."""
        registry = self._registry()
        ended: set[str] = set()
        by_lane: dict[str, list[str]] = {}
        for id in sorted(instance_ids):
            lane = lane_of(id) or ""
            if registry.was_removed(lane):
                ended.add(id)
            elif lane in registry.lanes:
                by_lane.setdefault(lane, []).append(id)
        for lane, ids in by_lane.items():
            try:
                ended.update(await gone_from(self._store, self._names.lane(lane), ids))
            except StoreError as error:
                # Without the lane nobody knows: its keys stay.
                log.warning("retention.lane_not_read", lane=lane, error=str(error))
        return ended


async def gone_from(store: Store, index: str, ids: Sequence[str]) -> list[str]:
    """Those of the documents that do not stand in a lane, by a realtime read. Raises: StoreError.

    What the last refresh shows counts as there, so that not every large document is read to find out.
    """
    there = {hit.id for hit in (await store.search(index, named_body(ids))).hits}
    unseen = [id for id in ids if id not in there]
    found: Mapping[str, StoredDocument | None] = dict(zip(unseen, await store.mget(index, unseen), strict=True))
    return [id for id in unseen if found[id] is None]
