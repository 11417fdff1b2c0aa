"""Heads of audit chains: kept until the index of the chain has gone of age, and so every row that the head speaks of.

An index that went before its time leaves its heads behind: they are the evidence (`leasehold audit verify`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec
from msgspec import Struct

from ...ilm import IndexNames
from ..errors import StoreRejected, StoreUnavailable
from ..es.sweeps import of_kind, sweep
from ..metrics import Metrics
from ..ports import Clock, Store
from .clearing import PAGE, Pace, delete

_SLACK_MS = 3_600_000


class _Head(Struct, frozen=True):
    index: str
    at_ms: int


_decode = msgspec.json.Decoder(_Head).decode


class Chains:
    """One replica's. `kept_ms` asks how long the trail's policy keeps an index that has rolled; None: for ever."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        metrics: Metrics,
        kept_ms: Callable[[], Awaitable[int | None]],
    ) -> None:
        self._store = store
        self._index_names = names
        self._index = names.keys
        self._clock = clock
        self._metrics = metrics
        self._kept_ms = kept_ms

    async def pass_once(self) -> int:
        """Returns how many heads have gone. Raises: StoreError."""
        kept_ms = await self._kept_ms()
        if kept_ms is None:
            return 0
        # An index rolls after the last row of any chain in it, so it is of age no sooner than this.
        before_ms = self._clock.now_ms() - kept_ms - _SLACK_MS
        pace = Pace(self._clock)
        there = await indices_of_trail(self._store, self._index_names)
        cleared = 0
        async for page in sweep(
            self._store, self._index, [of_kind("chain")], fields=["index", "at_ms"], page_size=PAGE
        ):
            old = [hit for hit in page if _decode(hit.source).at_ms < before_ms]
            lost = [hit for hit in old if standing_in(_decode(hit.source).index, there) is None]
            gone = await delete(self._store, self._index, lost)
            self._metrics.cleared("chain", len(gone))
            cleared += len(gone)
            if not old:
                # They come in the order in which they were written.
                break
            await pace.rest()
        return cleared


async def indices_of_trail(store: Store, names: IndexNames) -> list[str]:
    """Every index of the trail, also one that a phase of its policy has given another name. Raises: StoreError."""
    path = f"/{names.audit}-*,*-{names.audit}-*/_alias?ignore_unavailable=true"
    status, answer = await store.request("GET", path)
    if status != 200:
        raise StoreRejected(f"GET {path}", status)
    if not answer:
        # Not all of a trail goes of age: what was not told is not gone.
        raise StoreUnavailable("the cluster names no index of the audit trail")
    return list(answer)


def standing_in(index: str, there: Iterable[str]) -> str | None:
    """What the index of a chain is called now: a shrunk or restored one has its first name at the end of its own."""
    return next((name for name in there if name == index or name.endswith(f"-{index}")), None)
