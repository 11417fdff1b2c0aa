"""Memories: what runs have remembered goes when no run has left anything for long.

A memory's version is the time of the run that left it, so a late delivery of an older run never brings back more than
that run knew. A run that was given the memory before it went leaves it again, whole, with what it adds.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ...ilm import IndexNames
from ..es.sweeps import of_kind, sweep
from ..metrics import Metrics
from ..ports import Clock, Store
from .clearing import PAGE, Pace, delete


class _Memory(Struct, frozen=True):
    at_ms: int


_decode = msgspec.json.Decoder(_Memory).decode


class Memories:
    """One replica's."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics, kept_ms: int) -> None:
        self._store = store
        self._index = names.keys
        self._clock = clock
        self._metrics = metrics
        self._kept_ms = kept_ms

    async def pass_once(self) -> int:
        """Delete those that were left too long ago; returns how many. Raises: StoreError.

        They come in the order in which they were written, so the first page of young ones is the last to be read.
        """
        before_ms = self._clock.now_ms() - self._kept_ms
        pace = Pace(self._clock)
        cleared = 0
        async for page in sweep(self._store, self._index, [of_kind("memory")], fields=["at_ms"], page_size=PAGE):
            old = [hit for hit in page if _decode(hit.source).at_ms < before_ms]
            gone = await delete(self._store, self._index, old)
            self._metrics.cleared("memory", len(gone))
            cleared += len(gone)
            if not old:
                break
            await pace.rest()
        return cleared
