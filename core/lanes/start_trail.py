"""From the journal of starts into the audit trail: of this owner's starts as they stand, of earlier owners' once.

What an earlier owner has not brought into the trail is found in the slots of its journal. Whether the trail holds a
start is asked of the trail itself, by the instances' ids: an entry may stand in two slots, where an outcome was
unknown. An entry may name instances that never came to be, since the entry and the creates are separate items of
their bulk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from ..audit import Outcome
from ..errors import StoreError
from ..es.sweeps import of_kind, sweep
from ..es.told_starts import IDS_A_SEARCH, audited_starts_body, ended_among_body
from ..history_rows.starts import starts_row
from ..ports import StoredDocument
from .commits.start_journal import StartedGroup, StartEntry

if TYPE_CHECKING:
    from .lane import Lane

log = structlog.get_logger(__name__)

_AGAIN_S = 5.0
_SLOTS_A_PAGE = 100


class _Workflow(Struct):
    id: str | list[str]


class _Row(Struct):
    workflow: _Workflow


class StartTrail:
    """One lane's."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._trail = lane.parts.trail
        self._wanted = asyncio.Event()
        self._wanted.set()

    def stand(self, slot: str, entry: StartEntry) -> None:
        """The starts of this entry are acknowledged: their rows go out, and then its slot is done with."""
        self._send(entry, lambda: self._lane.committer.audited(slot))

    def look_again(self) -> None:
        """A bulk of an earlier owner may have landed late: its entry is not to be missed."""
        self._wanted.set()

    def close(self) -> None:
        """The lane is given up: its next owner looks for itself."""
        self._wanted.set()

    def _send(self, entry: StartEntry, done: Callable[[], None]) -> None:
        left = len(entry.groups)
        if not left:
            done()

        def standing(_: Outcome) -> None:
            nonlocal left
            left -= 1
            if not left:
                done()

        for row_id, row in _rows(entry):
            self._submit(row_id, row, entry.index or None, standing)

    def _submit(self, row_id: str, row: bytes, index: str | None, standing: Callable[[Outcome], None]) -> None:
        """Have the row written to that index, or to the first after it that takes writes.

        A blocked index takes nothing late. So an owner that stood still and the one that came after it, which begin at
        the same index, meet in the same one, where the row's id tells; wherever the trail writes to by then.
        """

        def done(outcome: Outcome) -> None:
            if outcome == "closed" and index is not None:
                self._submit(row_id, row, self._after(index), standing)
            else:
                standing(outcome)

        self._trail.submit(row_id, row, index=index, done=done)

    def _after(self, index: str) -> str | None:
        """The index that came after this one; None where it is not known by its name."""
        names, latest = self._lane.parts.names, self._trail.index
        number, last = (names.number_of(names.audit, one) for one in (index, latest))
        return names.numbered(names.audit, number + 1) if number is not None and number < (last or 0) else None

    async def run(self) -> None:
        """Bring what earlier owners left into the trail: at first, and when asked to; until the lane closes."""
        while True:
            await self._wanted.wait()
            if self._lane.closed:
                return
            self._wanted.clear()
            try:
                await self._recover_once()
                continue
            except StoreError as error:
                log.warning("lane.starts_not_recovered", lane=self._lane.name, error=str(error))
            except Exception:
                self._lane.parts.metrics.loop_failed("starts")
                log.exception("lane.starts_not_recovered", lane=self._lane.name)
            await asyncio.sleep(_AGAIN_S)
            self._wanted.set()

    async def _recover_once(self) -> None:
        store, index, epoch = self._lane.parts.store, self._lane.index, self._lane.epoch
        await store.refresh(index)
        pages = sweep(store, index, [of_kind("starts")], fields=None, page_size=_SLOTS_A_PAGE)
        async for page in pages:
            entries = [(slot, _decoded(slot)) for slot in page]
            earlier = [(slot, entry) for slot, entry in entries if entry is None or entry.epoch != epoch]
            missing = await self._missing({id for _, entry in earlier if entry for id in _ids(entry)})
            for slot, entry in earlier:
                if self._lane.closed:
                    return
                self._adopt(slot, None if entry is None else _of(entry, missing))
                missing.difference_update(() if entry is None else _ids(entry))

    def _adopt(self, slot: StoredDocument, entry: StartEntry | None) -> None:
        """What is left of the entry goes out; then the slot, as it was read, is to go."""
        committer, at = self._lane.committer, slot.version
        assert at is not None

        def done() -> None:
            committer.journal.adopt(slot.id, at)
            committer.sweep_later()

        if entry is None or not entry.groups:
            done()
            return
        log.info("lane.starts_recovered", lane=self._lane.name, entry=entry.id, starts=len(list(_ids(entry))))
        self._send(entry, done)

    async def _missing(self, ids: set[str]) -> set[str]:
        """Which of these exist, or did, and are not in the trail."""
        missing: set[str] = set()
        wanted = sorted(ids)
        if wanted:
            await self._lane.parts.store.refresh(self._lane.parts.names.audit)
            await self._lane.parts.store.refresh(self._lane.parts.names.instances)
        for at in range(0, len(wanted), IDS_A_SEARCH):
            missing |= await self._missing_of(wanted[at : at + IDS_A_SEARCH])
        return missing

    async def _missing_of(self, ids: Sequence[str]) -> set[str]:
        store, names = self._lane.parts.store, self._lane.parts.names
        told = _named((await store.search(names.audit, audited_starts_body(ids))).hits)
        left = [id for id in ids if id not in told]
        if not left:
            return set()
        live = {one.id for one in await store.mget(self._lane.index, left) if one is not None}
        ended = _named((await store.search(names.instances, ended_among_body(left))).hits)
        return {id for id in left if id in live or id in ended}


def _rows(entry: StartEntry) -> Iterator[tuple[str, bytes]]:
    """One for each group, under ids that are the same whoever makes them: the first of the instances is part of it.

    An entry of which some instances are told of already has rows of other ids than it had with all of them.
    """
    for group in entry.groups:
        row = starts_row(
            group.ids,
            by=group.by,
            roles=group.roles,
            address=group.address,
            workflow=group.workflow,
            version=group.version,
            tenant=group.tenant,
            space=group.space,
            at_ms=entry.at_ms,
        )
        yield f"{entry.id}:{group.ids[0]}", row


def _decoded(slot: StoredDocument) -> StartEntry | None:
    """None for what is no entry: it is deleted with the slots."""
    try:
        return msgspec.json.decode(slot.source, type=StartEntry)
    except msgspec.MsgspecError as error:
        log.error("lane.start_entry_unreadable", index=slot.index, id=slot.id, error=str(error))
        return None


def _ids(entry: StartEntry) -> Iterator[str]:
    return (id for group in entry.groups for id in group.ids)


def _of(entry: StartEntry, ids: Collection[str]) -> StartEntry:
    """The entry with these instances alone."""
    return replace(entry, groups=_narrowed(entry.groups, ids))


def _narrowed(groups: Iterable[StartedGroup], ids: Collection[str]) -> list[StartedGroup]:
    found = [replace(group, ids=[id for id in group.ids if id in ids]) for group in groups]
    return [group for group in found if group.ids]


def _named(rows: Iterable[StoredDocument]) -> set[str]:
    """The instances that these rows are about."""
    found: set[str] = set()
    for row in rows:
        id = msgspec.json.decode(row.source, type=_Row).workflow.id
        found.update([id] if isinstance(id, str) else id)
    return found
