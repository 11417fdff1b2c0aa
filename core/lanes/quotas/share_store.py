"""Quotas' documents in the control index: many are read in one request, and written in one, each by itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog
from msgspec import Struct

from ....tenancy.quotas import Quota
from ....tenancy.shares import QuotaDocument
from ...es.lines import create_line, delete_line, index_line
from ...ports import BulkItem, Store, StoredDocument, Version

log = structlog.get_logger(__name__)

# A write that has no answer for so long is read again: nobody waits for it any longer.
_WRITTEN_WITHIN_MS = 5_000
_decode = msgspec.json.Decoder(QuotaDocument).decode


class Stored(Struct, frozen=True):
    """A quota's document at one version; both are None where there is none.

    `acknowledged`: this replica wrote it, or removed it, and was told so. What was merely read may be lost yet.
    """

    document: QuotaDocument | None = None
    version: Version | None = None
    acknowledged: bool = False


class ShareStore:
    """The way to the documents."""

    def __init__(self, store: Store, index: str) -> None:
        self._store = store
        self._index = index

    async def read(self, quotas: Sequence[Quota]) -> list[Stored]:
        """Realtime, in order. Raises: StoreError."""
        if len(quotas) == 1:
            found: Sequence[StoredDocument | None] = [await self._store.get(self._index, quotas[0].id)]
        else:
            found = await self._store.mget(self._index, [quota.id for quota in quotas])
        return [_stored(one) for one in found]

    async def write(self, writes: Sequence[tuple[Quota, QuotaDocument | None, Version | None]]) -> list[Stored | None]:
        """Each over its version (None: where nothing stands); a document that is None is removed.

        In order what stands now; None where the write was refused or may not have been applied. Raises: StoreError.
        """
        lines: list[bytes] = []
        for quota, document, version in writes:
            lines += _lines(quota.id, document, version)
        items = await self._store.bulk(lines, index=self._index, timeout_ms=_WRITTEN_WITHIN_MS)
        return [_outcome(document, item) for (_, document, _), item in zip(writes, items, strict=True)]


def _stored(found: StoredDocument | None) -> Stored:
    return Stored() if found is None else Stored(_decode(found.source), found.version)


def _lines(id: str, document: QuotaDocument | None, version: Version | None) -> list[bytes]:
    if document is None:
        assert version is not None
        return [delete_line(id, version.seq_no, version.primary_term)]
    line = create_line(id) if version is None else index_line(id, version.seq_no, version.primary_term)
    return [line, msgspec.json.encode(document)]


def _outcome(document: QuotaDocument | None, item: BulkItem) -> Stored | None:
    if 200 <= item.status < 300:
        return Stored(document, None if document is None else item.version, acknowledged=True)
    if item.status != 409:
        log.warning("quota.share_not_written", id=item.id, status=item.status, reason=item.error_reason)
    return None
