"""Idempotency keys as they stand in `workflow-keys`: the first document under a key decides which instance there is."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...errors import OutcomeUnknown, Unavailable
from ...es.lines import create_line, index_line
from ...ports import Store, Version


class KeyDocument(Struct, frozen=True, kw_only=True):
    """An idempotency key stands for the instance that its first request started; `fingerprint` is of that request."""

    kind: str = "start"
    tenant: str
    instance_id: str
    fingerprint: str
    created_at_ms: int


class KeyDocuments:
    """Reads and writes them. Raises: StoreError."""

    def __init__(self, store: Store, index: str) -> None:
        self._store = store
        self._index = index

    async def find(self, id: str) -> tuple[KeyDocument, Version | None] | None:
        """The key's document and its version, if there is one."""
        found = await self._store.get(self._index, id)
        return None if found is None else (msgspec.json.decode(found.source, type=KeyDocument), found.version)

    async def hold(self, id: str, document: KeyDocument) -> tuple[KeyDocument, Version | None]:
        """Write the key, or read who wrote it first, and in which version it stands."""
        try:
            (item,) = await self._store.bulk([create_line(id), msgspec.json.encode(document)], index=self._index)
            if item.status == 201:
                return document, item.version
        except OutcomeUnknown:
            # It may have been written: the read tells, and a key of one's own is as good as a new one.
            pass
        found = await self.find(id)
        if found is None:
            raise Unavailable("the idempotency key could not be stored")
        return found

    async def renew(self, id: str, holder: KeyDocument, version: Version | None, instance_id: str, now_ms: int) -> str:
        """Let the key stand for this instance id, as if it were made now.

        Raises: Unavailable when others change it too, or retention has taken it; StoreError.
        """
        assert version is not None
        renamed = replace(holder, instance_id=instance_id, created_at_ms=now_ms)
        line = index_line(id, version.seq_no, version.primary_term)
        (item,) = await self._store.bulk([line, msgspec.json.encode(renamed)], index=self._index)
        if item.status != 200:
            raise Unavailable("the idempotency key is being changed by others; ask again")
        return instance_id
