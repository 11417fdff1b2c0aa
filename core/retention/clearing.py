"""How retention clears: at a slow pace, and only the very versions that it has judged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from msgspec import Struct

from ..es.lines import delete_line
from ..ports import BulkItem, Clock, Store, StoredDocument, Version

log = structlog.get_logger(__name__)

PAGE = 500
# What nobody seems to need goes when it has stood so for this long: no write that is under way takes that much time.
_SURE_AFTER_MS = 60_000
# Clearing takes at most this share of the time, however much is due.
_SHARE_OF_TIME = 0.2


class Pace:
    """Pauses after each page, so that clearing never takes more than its share of the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ms = clock.monotonic_ms()

    async def rest(self) -> None:
        """Pause in proportion to the time since the last pause."""
        spent_ms = self._clock.monotonic_ms() - self._since_ms
        await asyncio.sleep(spent_ms * (1 / _SHARE_OF_TIME - 1) / 1_000)
        self._since_ms = self._clock.monotonic_ms()


class Suspect(Struct, frozen=True):
    """A document that nobody seemed to need, in the version that stood then, and since when (monotonic)."""

    version: Version
    since_ms: int


def suspected(
    documents: Sequence[StoredDocument], before: Mapping[str, Suspect], found: dict[str, Suspect], now_ms: int
) -> list[StoredDocument]:
    """Those that were suspects long enough ago, in the same version; `found` takes in all of them."""
    sure: list[StoredDocument] = []
    for one in documents:
        assert one.version is not None
        known = before.get(one.id)
        if known is None or known.version != one.version:
            known = Suspect(one.version, now_ms)
        found[one.id] = known
        if now_ms - known.since_ms >= _SURE_AFTER_MS:
            sure.append(one)
    return sure


async def delete(store: Store, index: str, documents: Sequence[StoredDocument]) -> list[BulkItem]:
    """Delete these documents where they stand in these very versions; returns the answers of what has gone.

    Raises: StoreError; then some of them may have gone, and the next pass does not find those.
    """
    if not documents:
        return []
    lines = []
    for one in documents:
        assert one.version is not None
        lines.append(delete_line(one.id, one.version.seq_no, one.version.primary_term))
    gone: list[BulkItem] = []
    for item in await store.bulk(lines, index=index):
        if item.status == 200:
            gone.append(item)
        elif item.status not in (404, 409):
            log.warning("retention.not_deleted", index=index, id=item.id, status=item.status, error=item.error_reason)
    return gone
