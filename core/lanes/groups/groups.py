"""The concurrency groups of one lane, as its owner carries them out: members join, are admitted, and leave.

A member leaves when its final write is acknowledged, and the next one is admitted then and not before: at each moment
the documents themselves hold the limit. What needs a request (members that are not in memory, groups not yet known)
is done by `pass_once`, all else in the turn of the event loop in which it comes up.

After a take-over a group is learned at its first use, by a search; where the lane holds few members, all at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec import Struct

from ....definitions.plan import Concurrency, Plan
from ...errors import NotFound
from ...es.group_members import decode_member, group_members_body, groups_of, queued_groups_body
from ...machine.events import CONCURRENCY, CancelRequested
from ...machine.state import FINAL_INSTANCE, Instance
from ...ports import StoredDocument
from ..remembering import MemoryName, give, name_of
from .slots import GroupName, Slots

if TYPE_CHECKING:
    from ..lane import Lane
    from ..memory.resident import Resident

log = structlog.get_logger(__name__)

_LEARNED_AT_ONCE = 1_000
_PAGE = 5_000
# So many groups without members stay known, so that the next start needs no request.
_VACANT_MAX = 10_000
_AT_ONCE = 16


class Group:
    """One group in this lane. `learned`: all members are known. `settled`: its document names this lane and owner.

    `holds` counts starts under way that have chosen this lane and have no member here yet.
    """

    __slots__ = ("holds", "id", "learned", "settled", "slots")

    def __init__(self, id: str, *, learned: bool) -> None:
        self.id = id
        self.learned = learned
        self.settled = False
        self.holds = 0
        self.slots = Slots()


class Standing(Struct, frozen=True):
    """Where an instance stands in its group. `ahead`: how many wait before it; -1 for one that does not wait.

    `holders` are the instances that hold the slots, oldest first; `waiting` counts those that wait.
    """

    group: str
    limit: int
    holders: list[str]
    waiting: int
    ahead: int


class Groups:
    """One lane's."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._groups: dict[str, Group] = {}
        # Since when known groups have had no member here (monotonic), longest first.
        self._vacant: dict[str, int] = {}
        # Whether the index may hold members of groups that memory does not know.
        self._strangers = True
        self._due: dict[str, None] = {}
        self._dismissed: dict[str, str] = {}
        self._wanted = asyncio.Event()

    # Known groups

    def settled(self, group: str) -> bool:
        """Whether one more member may join here at once."""
        found = self._groups.get(group)
        return found is not None and found.learned and found.settled

    def settle(self, group: str) -> None:
        """The group's document names this lane, and this owner's epoch."""
        found = self._group(group)
        found.settled = True
        self._rest(found)

    def unsettle(self, group: str) -> None:
        """The group's document is about to name another lane: nothing joins here any more."""
        self._group(group).settled = False

    def vacant(self, group: str) -> bool:
        """Whether a known group has no member here, and none is about to join."""
        found = self._groups.get(group)
        return found is None or (found.slots.empty and not found.holds)

    def unused(self, group: str, *, for_ms: int) -> bool:
        """Whether a group whose members are known has none here, and has had none for so long as far as is known."""
        since_ms = self._vacant.get(group)
        rested = since_ms is None or self._lane.parts.clock.monotonic_ms() - since_ms >= for_ms
        return rested and self.vacant(group)

    def forget(self, group: str) -> None:
        """The document of a group without members is about to go: whoever joins next settles it anew."""
        self._groups.pop(group, None)
        self._vacant.pop(group, None)

    def hold(self, group: str) -> None:
        """A start has chosen this lane for a member that is not there yet: the group is not to move meanwhile."""
        self._group(group).holds += 1
        self._vacant.pop(group, None)

    def release(self, group: str) -> None:
        """The member has joined, or will not."""
        found = self._group(group)
        found.holds -= 1
        self._rest(found)

    # Members

    def next_ms(self, group: str, now_ms: int) -> int:
        """The time of creation of the next member."""
        return self._group(group).slots.next_ms(now_ms)

    def join(self, resident: Resident, name: GroupName, concurrency: Concurrency) -> None:
        """A new member, stored nowhere yet, which starts `queued`: it waits for its turn, or takes another's place."""
        group = self._group(name.id)
        slots = group.slots
        instance = resident.instance
        holders = slots.holders() or slots.queue
        verdict = slots.join(concurrency.limit, concurrency.strategy)
        if verdict.dropped:
            self._cancel(resident, _why_dropped(name, concurrency.limit, holders))
            return
        slots.saw(resident.id, instance.created_at_ms, limit=concurrency.limit, queued=True)
        self._vacant.pop(group.id, None)
        for member in verdict.cancelled:
            self._dismiss(member, _why_cancelled(name, concurrency, resident.id))

    def saw(self, resident: Resident) -> None:
        """A member came into memory, or its document was read anew."""
        group = resident.instance.group
        if group is not None and not resident.finished:
            found = self._group(group)
            self._note(found, resident)
            if resident.instance.queued:
                self._look_at(found)

    def acknowledged(self, resident: Resident) -> None:
        """A write of a member stands. What is still to be written will be acknowledged too."""
        group = resident.instance.group
        if group is None or resident.changed:
            return
        found = self._group(group)
        if resident.finished:
            found.slots.left(resident.id)
        else:
            self._note(found, resident)
        self._look_at(found)

    def gone(self, resident: Resident) -> None:
        """The document of an instance is deleted, or never came to be."""
        group = resident.instance.group
        if group is not None and group in self._groups:
            found = self._groups[group]
            found.slots.left(resident.id)
            self._look_at(found)

    def unit_came(self, group: str, member: str) -> None:
        """The tenant of a member that was next may run one more, and it is this member's turn."""
        found = self._groups.get(group)
        if found is None or found.slots.admissible() != member:
            self._lane.admission.pass_on(member)
        else:
            self._look_at(found)

    async def standing(self, instance: Instance) -> Standing | None:
        """None for an instance without a group. Raises: StoreError."""
        if instance.group is None:
            return None
        await self.learn(instance.group)
        slots = self._group(instance.group).slots
        return Standing(instance.group, slots.limit, slots.holders(), len(slots.queue), slots.position(instance.id))

    # What takes requests

    async def take_over(self) -> None:
        """Learn which members the lane holds, all of them where they are few; else which groups have waiting ones.

        Relies on the take-over's refresh. Raises: StoreError.
        """
        store, index = self._lane.parts.store, self._lane.index
        page = await store.search(index, group_members_body(None, after=None, size=_LEARNED_AT_ONCE + 1))
        if len(page.hits) <= _LEARNED_AT_ONCE:
            self._strangers = False
            await self._take_in(page.hits)
            self._due.update(dict.fromkeys(id for id, group in self._groups.items() if group.slots.queue))
        else:
            await self._find_queued()
        if self._due:
            self._wanted.set()

    async def learn(self, group: str) -> None:
        """Know all members of a group: those in memory, and for the rest what a search finds. Raises: StoreError."""
        found = self._group(group)
        if found.learned:
            return
        residency = self._lane.residency
        # What leaves memory while the search is under way would be in neither.
        async with residency.lock:
            after = None
            while True:
                body = group_members_body(group, after=after, size=_PAGE)
                page = await self._lane.parts.store.search(self._lane.index, body)
                await self._take_in([hit for hit in page.hits if not residency.knows(hit.id)])
                if len(page.hits) < _PAGE:
                    break
                after = page.hits[-1].sort
            found.learned = True

    async def pass_once(self) -> int:
        """Admit and dismiss members that are not in memory; returns how many groups were looked at.

        Raises: StoreError, when what is left is still due.
        """
        for member, reason in list(self._dismissed.items()):
            resident = await self._lane.residency.fetch(member)
            self._dismissed.pop(member, None)
            if resident is not None:
                self._cancel(resident, reason)
        due = list(self._due)
        for start in range(0, len(due), _AT_ONCE):
            attending = (self._attend(group) for group in due[start : start + _AT_ONCE])
            for failure in await asyncio.gather(*attending, return_exceptions=True):
                if failure is not None:
                    raise failure
        return len(due)

    async def attend(self, group: str) -> None:
        """Do now what is due in a group, if anything is. Raises: StoreError; Unavailable."""
        if group in self._due:
            await self._attend(group)

    async def turn(self) -> None:
        """Do what is due, once something is."""
        await self._wanted.wait()
        self._wanted.clear()
        try:
            while (self._due or self._dismissed) and not self._resting:
                self._lane.parts.metrics.loop("groups")
                await self.pass_once()
            self._lane.admission.groups_attended()
        except BaseException:
            self._wanted.set()
            raise

    def close(self) -> None:
        """End the loop that awaits `turn`."""
        self._wanted.set()

    # Inside

    @property
    def _resting(self) -> bool:
        """While the lane is handed over nothing is begun any more."""
        return self._lane.leaving or self._lane.closed

    def _group(self, id: str) -> Group:
        found = self._groups.get(id)
        if found is None:
            found = self._groups[id] = Group(id, learned=not self._strangers)
        return found

    def _note(self, group: Group, resident: Resident) -> None:
        instance, concurrency = resident.instance, resident.plan.concurrency
        limit = 1 if concurrency is None else concurrency.limit
        since_ms = instance.queued_at_ms or instance.created_at_ms
        group.slots.saw(resident.id, since_ms, limit=limit, queued=instance.queued)
        self._vacant.pop(group.id, None)

    def _look_at(self, group: Group) -> None:
        """Admit whom a slot is free for: now, or as soon as what that takes has been read."""
        if self._resting:
            return
        if not group.learned or (group.slots.queue and not group.settled) or not self._admit(group):
            self._due[group.id] = None
            self._wanted.set()
        else:
            self._rest(group)

    def _rest(self, group: Group) -> None:
        if group.slots.empty and not group.holds:
            self._vacant.pop(group.id, None)
            self._vacant[group.id] = self._lane.parts.clock.monotonic_ms()
            if len(self._vacant) > _VACANT_MAX:
                oldest = next(iter(self._vacant))
                del self._vacant[oldest], self._groups[oldest]

    def _admit(self, group: Group) -> bool:
        """Admit from memory; False when somebody is to be admitted who is not there."""
        while (member := group.slots.admissible()) is not None:
            resident = self._lane.residents.get(member)
            if resident is None:
                return False
            if _stands_in_line(resident) and not self._lane.admission.may_run(resident):
                # Its tenant is at a limit: `unit_came` is told when it is the member's turn.
                break
            if _wants_memory(resident):
                return False
            if not self._let_in(group, resident):
                break
        return True

    def _let_in(self, group: Group, resident: Resident) -> bool:
        """Whether the member no longer stands in the others' way."""
        instance = resident.instance
        if instance.status in FINAL_INSTANCE or instance.ending is not None:
            group.slots.leaving.add(resident.id)
            return True
        if instance.queued:
            if resident.version is None:
                # Its own acknowledgement comes back here. Before that an owner after this one may not know of it.
                return False
            if not self._lane.admission.admit(resident):
                return False
            if resident.instance.queued:
                group.slots.leaving.add(resident.id)
                return True
        self._note(group, resident)
        return True

    async def _attend(self, id: str) -> None:
        """One group that needs requests. Raises: StoreError; Unavailable."""
        await self.learn(id)
        group = self._group(id)
        if group.slots.queue and not group.settled:
            lane = await self._lane.parts.places.claim(self._lane, id)
            if lane != self._lane.name:
                self._send_away(group, lane)
                return
            group.settled = True
        while not self._resting and not self._admit(group):
            await self._make_ready(group)
        self._due.pop(id, None)
        self._rest(group)

    async def _make_ready(self, group: Group) -> None:
        """Bring in the next member, and what it is to be given: what was left by those who ran before it."""
        member = group.slots.admissible()
        if member is None:
            return
        resident = await self._lane.residency.fetch(member)
        if resident is None:
            group.slots.left(member)
        elif (name := _wants_memory(resident)) is not None:
            recalled = await self._lane.remembering.recall(name)
            if self._lane.residents.get(member) is resident and group.slots.admissible() == member:
                give(self._lane, resident, recalled)
                self._let_in(group, resident)

    def _send_away(self, group: Group, lane: str) -> None:
        """Members that came late, from an owner who was not to write any more, when the group had moved on."""
        self._due.pop(group.id, None)
        for member in group.slots.queue:
            group.slots.leaving.add(member)
            self._dismiss(member, f"its concurrency group lives in lane {lane} by now; start it again")

    def _dismiss(self, member: str, reason: str) -> None:
        resident = self._lane.residents.get(member)
        if resident is not None:
            self._cancel(resident, reason)
        else:
            self._dismissed[member] = reason
            self._wanted.set()

    def _cancel(self, resident: Resident, reason: str) -> None:
        self._lane.happen(resident, CancelRequested(self._lane.parts.clock.now_ms(), CONCURRENCY, reason))

    async def _take_in(self, hits: list[StoredDocument]) -> None:
        """Members as their documents say; one whose definition is missing can't be admitted, and holds its slot."""
        for hit in hits:
            try:
                member = decode_member(hit.source)
            except msgspec.MsgspecError as error:
                log.error("lane.document_unreadable", lane=self._lane.name, id=hit.id, error=str(error))
                continue
            if member.status in FINAL_INSTANCE:
                continue
            try:
                catalog = self._lane.parts.catalog
                plan: Plan | None = await catalog.plan(member.definition_tenant, member.workflow, member.version)
            except NotFound:
                plan = None
            if hit.id in self._lane.residents:
                continue
            concurrency = None if plan is None else plan.concurrency
            limit = 1 if concurrency is None else concurrency.limit
            since_ms = member.queued_at_ms or member.created_at_ms
            self._group(member.group).slots.saw(hit.id, since_ms, limit=limit, queued=member.queued)

    async def _find_queued(self) -> None:
        after: dict[str, str] | None = None
        while True:
            body = queued_groups_body(after=after, size=_PAGE)
            page = await self._lane.parts.store.search(self._lane.index, body)
            assert page.aggregations is not None
            groups, after = groups_of(page.aggregations)
            self._due.update(dict.fromkeys(groups))
            if len(groups) < _PAGE:
                return


def _stands_in_line(resident: Resident) -> bool:
    instance = resident.instance
    waits = instance.queued and instance.status not in FINAL_INSTANCE and instance.ending is None
    return waits and resident.version is not None


def _wants_memory(resident: Resident) -> MemoryName | None:
    """The memory that a member is to be given before it is admitted."""
    instance = resident.instance
    if not instance.queued or instance.status in FINAL_INSTANCE or resident.version is None:
        return None
    if instance.memory is not None:
        # It was brought back: what its first run was given is part of its past.
        return None
    return name_of(instance)


def _why_dropped(name: GroupName, limit: int, holders: list[str]) -> str:
    others = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    verb = "hold its slots" if others else "holds its slot"
    return (
        f"dropped: concurrency group {name.key!r} of {name.workflow} allows {limit} at once, and instance"
        f" {holders[0]}{others} {verb}"
    )


def _why_cancelled(name: GroupName, concurrency: Concurrency, successor: str) -> str:
    if concurrency.strategy == "replace_waiting":
        return f"instance {successor} waits in its place: of concurrency group {name.key!r} at most one may wait"
    return (
        f"instance {successor} takes its place: concurrency group {name.key!r} of {name.workflow} allows"
        f" {concurrency.limit} at once"
    )
