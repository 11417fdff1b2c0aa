"""Where concurrency groups live: one small document a group, changed by conditional writes.

Whoever starts the first member creates it. Each owner of the lane writes its epoch into it before it lets a member of
the group run; so an earlier owner of that lane, which knows nothing of later members, can't move the group any more. A
group moves only from a lane that takes no new instances, when it has no member there, by that lane's owner; or from a
lane that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import asdict

from ....ilm import IndexNames
from ...errors import NotOwner, OutcomeUnknown, StoreError, Unavailable
from ...es.lines import create_line, delete_line, index_line
from ...ports import Clock, Store, Version
from .slots import GroupName

if TYPE_CHECKING:
    from ..lane import Lane

log = structlog.get_logger(__name__)

_ATTEMPTS = 10
# Requests that speak of one group go one after the other; of groups under different locks side by side.
_LOCKS = 64


class GroupDocument(Struct, frozen=True, kw_only=True):
    """Which lane a group lives in. `epoch` is that of the lane's owner who used it last, 0 when none did yet.

    Tenant, space, workflow and key are for people; they are empty where the document had been lost and was made again.
    """

    kind: str = "group"
    tenant: str = ""
    space: str = ""
    workflow: str = ""
    key: str = ""
    lane: str
    epoch: int
    created_at_ms: int


class Whereabouts(Protocol):
    """What is known of lanes (`core.engine`)."""

    @property
    def active_lanes(self) -> Collection[str]:
        """The lanes that take new instances."""
        ...

    def lane_for_start(self) -> Lane:
        """A lane of this replica's that takes new instances. Raises: NotOwner."""
        ...

    def lane_named(self, name: str) -> Lane | None:
        """The open lane of that name; None when there is none. Raises: NotOwner."""
        ...

    def lane_removed(self, name: str) -> bool:
        """Whether there was a lane of that name once, and is none now."""
        ...


class Places:
    """One replica's way to the groups' documents."""

    def __init__(
        self, *, store: Store, names: IndexNames, clock: Clock, lanes: Mapping[str, Lane], whereabouts: Whereabouts
    ) -> None:
        self._store = store
        self._index = names.keys
        self._clock = clock
        self._lanes = lanes
        self._whereabouts = whereabouts
        self._locks = [asyncio.Lock() for _ in range(_LOCKS)]
        # Groups whose document a deletion of this replica's may yet remove, unless it is written again.
        self._in_doubt: set[str] = set()

    async def settle(self, name: GroupName) -> Lane:
        """The lane of this replica's that the group lives in, its members known: until the next await one may join.

        Raises: NotOwner when another replica owns it, or nobody; Unavailable; StoreError.
        """
        group = name.id
        for lane in self._lanes.values():
            if lane.open and lane.groups.settled(group) and self._may_stay(lane, group):
                return lane
        async with self._lock(group):
            for _ in range(_ATTEMPTS):
                found = await self._settle_once(name, group)
                if found is not None:
                    return found
        raise Unavailable("the place of this concurrency group is being changed by others; ask again")

    async def claim(self, lane: Lane, group: str) -> str:
        """Have the group's document say that this owner of the lane uses it; returns the lane that it lives in.

        Raises: StoreError; Unavailable.
        """
        async with self._lock(group):
            for _ in range(_ATTEMPTS):
                found = await self._read(group)
                if found is None:
                    document = self._document(None, lane.name, lane.epoch)
                    if await self._write(group, document, None):
                        return lane.name
                    continue
                document, version = found
                if document.lane != lane.name or await self._hold(lane, group, document, version):
                    return document.lane
        raise Unavailable("the place of this concurrency group is being changed by others; ask again")

    async def clear(self, lane: Lane, group: str, *, unused_for_ms: int) -> bool:
        """Delete the document of a group that has no member in this owner's lane, and has had none for long.

        Whether it did. Meanwhile no member joins here: whoever wants to waits for the lock, and finds no document. A
        later owner of the lane has written its epoch into the document before it let one join, so this one's deletion
        is refused; so does this owner where the deletion may yet land. Raises: StoreError.
        """
        async with self._lock(group):
            await lane.groups.learn(group)
            found = await self._read(group)
            if found is None or found[0].lane != lane.name or found[0].epoch > lane.epoch:
                return False
            if not lane.open or lane.leaving or not lane.groups.unused(group, for_ms=unused_for_ms):
                return False
            lane.groups.forget(group)
            version = found[1]
            line = delete_line(document_id(group), version.seq_no, version.primary_term)
            self._in_doubt.add(group)
            (item,) = await self._store.bulk([line], index=self._index)
            if item.status in (200, 404, 409):
                self._in_doubt.discard(group)
            return item.status == 200

    def _lock(self, group: str) -> asyncio.Lock:
        return self._locks[int(group[:8], 16) % _LOCKS]

    async def _settle_once(self, name: GroupName, group: str) -> Lane | None:
        """None when the document has changed meanwhile: read it again."""
        found = await self._read(group)
        if found is None:
            lane = self._whereabouts.lane_for_start()
            if not await self._write(group, self._document(name, lane.name, lane.epoch), None):
                return None
        else:
            document, version = found
            if self._whereabouts.lane_removed(document.lane):
                await self._move(name, group, document, version)
                return None
            lane = self._owned(document.lane)
            if not await self._hold(lane, group, document, version):
                return None
        await lane.groups.learn(group)
        if not lane.open:
            raise NotOwner(lane.name, None)
        if not self._may_stay(lane, group):
            lane.groups.unsettle(group)
            await self._move_away(name, group, lane)
            return None
        lane.groups.settle(group)
        return lane

    def _owned(self, name: str) -> Lane:
        lane = self._whereabouts.lane_named(name)
        if lane is None:
            raise Unavailable(f"lane {name}, where this concurrency group lives, is not there")
        return lane

    async def _hold(self, lane: Lane, group: str, document: GroupDocument, version: Version) -> bool:
        """Write the lane's epoch into the document; False when it has changed meanwhile. Raises: NotOwner."""
        if document.epoch == lane.epoch and group not in self._in_doubt:
            return True
        if document.epoch > lane.epoch:
            raise NotOwner(lane.name, None)
        written = await self._write(group, msgspec.structs.replace(document, epoch=lane.epoch), version)
        if written:
            self._in_doubt.discard(group)
        return written

    def _may_stay(self, lane: Lane, group: str) -> bool:
        """A lane on its way out keeps the groups that have members in it."""
        return lane.name in self._whereabouts.active_lanes or not lane.groups.vacant(group)

    async def _move_away(self, name: GroupName, group: str, lane: Lane) -> None:
        """Only while the document still says that this owner used it last: a later one may have members."""
        found = await self._read(group)
        if found is not None and (found[0].lane, found[0].epoch) == (lane.name, lane.epoch):
            await self._move(name, group, *found)

    async def _move(self, name: GroupName, group: str, document: GroupDocument, version: Version) -> None:
        """Let the group live in a lane that takes new instances: one of this replica's, if it has any."""
        try:
            lane = self._whereabouts.lane_for_start()
            target, epoch = lane.name, lane.epoch
        except NotOwner:
            active = sorted(self._whereabouts.active_lanes)
            if not active:
                raise
            target, epoch = active[int(group[:8], 16) % len(active)], 0
        moved = self._document(name, target, epoch)
        if await self._write(group, msgspec.structs.replace(moved, created_at_ms=document.created_at_ms), version):
            log.info("group.moved", group=group, workflow=name.workflow, source=document.lane, target=target)

    def _document(self, name: GroupName | None, lane: str, epoch: int) -> GroupDocument:
        known = {} if name is None else asdict(name)
        return GroupDocument(**known, lane=lane, epoch=epoch, created_at_ms=self._clock.now_ms())

    async def _read(self, group: str) -> tuple[GroupDocument, Version] | None:
        found = await self._store.get(self._index, document_id(group))
        if found is None:
            return None
        assert found.version is not None
        return msgspec.json.decode(found.source, type=GroupDocument), found.version

    async def _write(self, group: str, document: GroupDocument, over: Version | None) -> bool:
        """Whether it was written over that very version, or where nothing stood. An unknown outcome is read again."""
        id = document_id(group)
        line = create_line(id) if over is None else index_line(id, over.seq_no, over.primary_term)
        try:
            (item,) = await self._store.bulk([line, msgspec.json.encode(document)], index=self._index)
        except OutcomeUnknown:
            return False
        if item.status not in (200, 201, 409):
            raise StoreError(f"the document of a concurrency group was refused: {item.status} {item.error_reason}")
        return item.status != 409


def document_id(group: str) -> str:
    """The id of the group's document: none that an idempotency key can have."""
    return f"group-{group}"


def group_of(document_id: str) -> str:
    """The group whose document has this id."""
    return document_id.removeprefix("group-")
