"""Heads in their index: read by id in real time, changed by a conditional write each, remembered until they change."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...ilm import IndexNames
from ..audit import Trail
from ..errors import StoreError, Unavailable
from ..es.lines import create_line, index_line
from ..ports import Clock, Store, Version
from ..principal import Principal
from .documents import HeadDocument, VersionDocument, head_id, version_id
from .recording import Contents, recorded, versions_concerned

_ATTEMPTS = 5

Change = Callable[[HeadDocument | None, HeadDocument | None], HeadDocument]
"""(the head as it stands, the head as it stood when the change was first asked for) -> the head as it shall be.

They differ after a lost race. What can't be done any more raises.
"""


class Heads:
    """One replica's view of the heads. Each change is written with the rows that tell the audit trail of it."""

    def __init__(self, store: Store, names: IndexNames, clock: Clock, trail: Trail) -> None:
        self._store = store
        self._index = names.definitions
        self._clock = clock
        self._trail = trail
        # Told of a tenant's definition, by name, in the head of which rows wait.
        self.on_changed: Callable[[str, str], None] = lambda _tenant, _name: None
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

    async def change(self, by: Principal, tenant: str, name: str, change: Change) -> HeadDocument:
        """The head after the change. After a lost race the change is asked again, with what stands then.

        Raises: what `change` raises; Unavailable when race after race is lost; StoreError.
        """
        first: HeadDocument | None = None
        for attempt in range(_ATTEMPTS):
            head, at = await self.stored(tenant, name)
            first = head if attempt == 0 else first
            wanted = change(head, first)
            if wanted == head or await self.write(by, head, wanted, at):
                return wanted
        raise Unavailable(f"{name!r} is being changed by others")

    async def write(self, by: Principal, before: HeadDocument | None, head: HeadDocument, at: Version | None) -> bool:
        """One write, on condition that the head still stands as it was read; false when the race was lost."""
        contents = await self._contents(head, versions_concerned(before, head))
        now_ms = self._clock.now_ms()
        whole = recorded(before, head, by=by, contents=contents, index=self._trail.index, now_ms=now_ms)
        written = await self.put(whole, at)
        if written and whole.outbox:
            self.on_changed(head.tenant, head.name)
        return written

    async def put(self, head: HeadDocument, at: Version | None) -> bool:
        """One write of a change that is none to the trail; false when the race was lost."""
        id = head_id(head.tenant, head.name)
        line = create_line(id) if at is None else index_line(id, at.seq_no, at.primary_term)
        (item,) = await self._store.bulk([line, msgspec.json.encode(head)], index=self._index)
        if item.status in (200, 201):
            self._known[head.tenant, head.name] = head
            return True
        if item.status != 409:
            raise StoreError(f"the head of {head.name!r} could not be stored: {item.status} {item.error_reason}")
        return False

    async def _contents(self, head: HeadDocument, versions: set[int]) -> Contents:
        ids = [version_id(head.tenant, head.name, version) for version in sorted(versions)]
        found = await self._store.mget(self._index, ids)
        documents = [msgspec.json.decode(one.source, type=VersionDocument) for one in found if one is not None]
        return {document.version: document for document in documents}
