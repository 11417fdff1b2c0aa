"""The policies that are in force, read and changed in the control index. Any replica may do both."""

from __future__ import annotations

import msgspec

from ...ilm import IndexNames
from ...ilm.policies import FAMILIES
from ..errors import OutcomeUnknown, StoreError
from ..es.lines import create_line, index_line
from ..ports import Store, StoredDocument
from .documents import InForce, PolicyDocument, document_id, in_force


class Policies:
    """One replica's way to them. Nothing is kept in memory: every read is a realtime one, and one request."""

    def __init__(self, store: Store, names: IndexNames) -> None:
        self._store = store
        self._index = names.control

    async def all(self) -> list[InForce]:
        """What is in force for each family. Raises: StoreError."""
        found = await self._store.mget(self._index, [document_id(family) for family in FAMILIES])
        return [in_force(family, document) for family, document in zip(FAMILIES, found, strict=True)]

    async def of(self, family: str) -> InForce:
        """What is in force for one of `FAMILIES`. Raises: StoreError."""
        return in_force(family, await self._store.get(self._index, document_id(family)))

    async def write(self, before: InForce, document: PolicyDocument) -> InForce | None:
        """Put a document in the place of what was read: what is in force then, None where another write came first.

        Raises: StoreError; OutcomeUnknown unless a look shows that the document stands.
        """
        id, version, source = document_id(before.family), before.version, msgspec.json.encode(document)
        line = create_line(id) if version is None else index_line(id, version.seq_no, version.primary_term)
        try:
            (item,) = await self._store.bulk([line, source], index=self._index)
        except OutcomeUnknown:
            found = await self._store.get(self._index, id)
            if found is None or found.source != source:
                raise
            return in_force(before.family, found)
        if item.version is not None:
            return in_force(before.family, StoredDocument(item.index, id, source, item.version))
        if item.status in (404, 409):
            return None
        raise StoreError(f"{id} could not be written: {item.status} {item.error_reason}")
