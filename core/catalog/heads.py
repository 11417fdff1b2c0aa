"""Heads in their index: read by id in real time, changed by a conditional write each, remembered until they change."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...ilm import IndexNames
from ..errors import StoreError, Unavailable
from ..es.lines import create_line, index_line
from ..ports import Store, Version
from .documents import HeadDocument, head_id

_ATTEMPTS = 5

Change = Callable[[HeadDocument | None, HeadDocument | None], HeadDocument]
"""(the head as it stands, the head as it stood when the change was first asked for) -> the head as it shall be.

They differ after a lost race. What can't be done any more raises.
"""


class Heads:
    """One replica's view of the heads."""

    def __init__(self, store: Store, names: IndexNames) -> None:
        self._store = store
        self._index = names.definitions
        self._known: dict[tuple[str, str], HeadDocument] = {}
        self._forgotten = 0

    def forget(self) -> None:
        """The index has changed: read again."""
        self._known.clear()
        self._forgotten += 1

    async def known(self, tenant: str, name: str) -> HeadDocument | None:
        """The head as this replica knows it; another's change is seen once the change feed tells of it."""
        return self._known.get((tenant, name)) or (await self.stored(tenant, name))[0]

    async def stored(self, tenant: str, name: str) -> tuple[HeadDocument | None, Version | None]:
        """The head as it stands now."""
        forgotten = self._forgotten
        found = await self._store.get(self._index, head_id(tenant, name))
        if found is None:
            return None, None
        head = msgspec.json.decode(found.source, type=HeadDocument)
        if forgotten == self._forgotten:
            # What was read before the change is not to outlive the word of it.
            self._known[tenant, name] = head
        return head, found.version

    async def change(self, tenant: str, name: str, change: Change) -> HeadDocument:
        """The head after the change. After a lost race the change is asked again, with what stands then.

        Raises: what `change` raises; Unavailable when race after race is lost; StoreError.
        """
        first: HeadDocument | None = None
        for attempt in range(_ATTEMPTS):
            head, at = await self.stored(tenant, name)
            first = head if attempt == 0 else first
            wanted = change(head, first)
            if wanted == head or await self.write(wanted, at):
                return wanted
        raise Unavailable(f"{name!r} is being changed by others")

    async def write(self, head: HeadDocument, at: Version | None) -> bool:
        """One write, on condition that the head still stands as it was read; false when the race was lost."""
        id = head_id(head.tenant, head.name)
        line = create_line(id) if at is None else index_line(id, at.seq_no, at.primary_term)
        (item,) = await self._store.bulk([line, msgspec.json.encode(head)], index=self._index)
        if item.status in (200, 201):
            self._known[head.tenant, head.name] = head
            return True
        if item.status != 409:
            raise StoreError(f"the head of {head.name!r} could not be stored: {item.status} {item.error_reason}")
        return False
