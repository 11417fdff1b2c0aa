"""Which of a lane's instances are in memory: refills of its windows, due timers, what is asked for, and what leaves.

An owner holds what is under way; ready steps up to the end of their window; and what wakes up soon. Everything else is
in the lane's index alone, so that a million waiting instances need no more memory than some ten thousand.

Two rules make that safe. Nothing leaves memory before a refresh that began after its last acknowledgement has finished:
from then on every search sees it as it left. And all loading and leaving of one lane goes through one lock, so a search
that is under way can't miss what leaves meanwhile. A search may still bring what has ended since the last refresh:
`departed` names it until the next one, with its last version: what was written later has come anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import Struct

from ...errors import StoreError, Unavailable
from ...es.due_timers import due_timers_body, next_wake_body
from ...es.ready_steps import ready_steps_body
from ...ports import StoredDocument, Version
from . import loading
from .windows import Key, Line

if TYPE_CHECKING:
    from ..lane import Lane
    from .resident import Resident

log = structlog.get_logger(__name__)

_NEVER_MS = 2**62
_LINES_A_REQUEST = 1_000
# Up to so many lines of one capability are searched for one by one.
_SINGLY = 8
# The pause after a refill while enough can be claimed: commits go first.
_UNHURRIED_S = 0.05
# So many ended instances are remembered between two refreshes, unless something else asks for a refresh before.
_DEPARTED = 20_000
_RETRY_MS = 200
_RETRY_MAX_MS = 5_000
# A wall clock that is set back or forth is noticed after this long at the latest.
_LONGEST_NAP_MS = 5_000
_SHORTEST_NAP_MS = 100


class _Refill(Struct):
    """One search on behalf of lines of one capability, and how many steps it may bring."""

    lines: list[Line]
    rooms: list[int]
    end: Key
    size: int

    @property
    def body(self) -> dict[str, Any]:
        tenants = [line.tenant for line in self.lines]
        return ready_steps_body(tenants=tenants, capability=self.lines[0].capability, after=self.end, size=self.size)


def _refills(low: Sequence[tuple[Line, Key, int]], page_steps: int) -> Iterator[_Refill]:
    """A search for each line, or one for all of a capability where many run low.

    All lines have one order, so one page behind the first of their ends is a page of each of them. A tenant that fills
    it alone runs low no longer, and the next page is the others'.
    """
    by_capability: dict[str, list[tuple[Line, Key, int]]] = {}
    for line, end, room in low:
        by_capability.setdefault(line.capability, []).append((line, end, room))
    for lines in by_capability.values():
        if len(lines) <= _SINGLY:
            yield from (_Refill([line], [room], end, min(room, page_steps)) for line, end, room in lines)
        else:
            rooms = [room for _, _, room in lines]
            end = min(end for _, end, _ in lines)
            yield _Refill([line for line, _, _ in lines], rooms, end, min(sum(rooms), page_steps))


def _key_of(hit: StoredDocument) -> Key:
    return hit.sort[0], hit.sort[1]


class Residency:
    """One lane's. `refill_once`, `load_due_once` and `evict_once` are the work; `run` does them when they are due."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._store = lane.parts.store
        self._clock = lane.parts.clock
        self._settings = lane.parts.settings.windows
        # Held while instances come or go.
        self.lock = asyncio.Lock()
        self._asked: dict[str, None] = {}
        self._leaving: dict[Resident, None] = {}
        self._departed: dict[str, int] = {}
        self._refill_wanted = asyncio.Event()
        self._evict_wanted = asyncio.Event()
        self._wake_changed = asyncio.Event()
        # All timers up to the horizon are in memory; before the next load none beyond it comes near.
        self._horizon_ms = 0
        self._next_load_ms = 0

    # What the lane tells

    def low(self) -> None:
        """A window runs low."""
        self._refill_wanted.set()

    def consider(self, resident: Resident) -> None:
        """The instance may have come to rest: if so, it leaves memory after the next refresh."""
        if resident.leases or resident.finished or resident.outbox:
            return
        if any(step.live for step in resident.ready.values()):
            return
        if resident.wake_at_ms and resident.wake_at_ms <= self._horizon_ms:
            return
        self._leaving[resident] = None
        self._evict_wanted.set()

    def ended(self, instance_id: str, version: Version | None) -> None:
        """The instance's document is deleted; until the next refresh searches still see it, up to this version."""
        self._departed[instance_id] = -1 if version is None else version.seq_no
        if len(self._departed) >= _DEPARTED:
            self._evict_wanted.set()

    @property
    def departed(self) -> list[str]:
        """The instances that have ended since the last refresh."""
        return list(self._departed)

    def knows(self, instance_id: str) -> bool:
        """Whether memory holds the instance, or knows that it has ended, whatever a search says of it."""
        return instance_id in self._lane.residents or instance_id in self._departed

    # What comes in

    async def bring_in(self, documents: Iterable[StoredDocument]) -> None:
        """Load these instances, as far as they are not in memory. Raises: StoreError."""
        async with self.lock:
            loading.install(self._lane, await loading.prepare(self._lane, documents, self._departed), self._departed)

    async def fetch(self, instance_id: str) -> Resident | None:
        """The instance, from memory or from its document; None when the lane holds none of that id.

        All that are asked for while others are read come in one request. Raises: StoreError; Unavailable when the lane
        is lost meanwhile.
        """
        resident = self._lane.residents.get(instance_id)
        if resident is not None:
            return resident
        self._asked[instance_id] = None
        async with self.lock:
            asked, self._asked = self._asked, {}
            try:
                documents = await self._store.mget(self._lane.index, list(asked))
                found = [document for document in documents if document is not None]
                prepared = await loading.prepare(self._lane, found, self._departed)
            except BaseException:
                # Those who wait behind this one look for theirs themselves.
                self._asked = asked | self._asked
                raise
            loading.install(self._lane, prepared, self._departed)
        resident = self._lane.residents.get(instance_id)
        if resident is None and self._lane.windows.closed:
            raise Unavailable(f"lane {self._lane.name} is changing its owner")
        return resident

    async def refill_once(self) -> int:
        """Refill the windows that run low, many in one request; returns how many. Raises: StoreError."""
        async with self.lock:
            low = self._lane.windows.take_low(_LINES_A_REQUEST)
            if not low:
                return 0
            refills = list(_refills(low, self._settings.page_steps))
            try:
                pages = await self._store.search_many(self._lane.index, [refill.body for refill in refills])
                hits = [hit for page in pages for hit in page.hits]
                prepared = await loading.prepare(self._lane, hits, self._departed)
            except BaseException:
                for line, _, _ in low:
                    self._lane.windows.check(line)
                raise
            if self._lane.windows.closed:
                return 0
            found = {one.instance.id: one for one in prepared}
            for refill, page in zip(refills, pages, strict=True):
                self._install_page(refill, page.hits, found)
            for line, _, _ in low:
                self._lane.windows.check(line)
            return len(low)

    def _install_page(
        self, refill: _Refill, hits: Sequence[StoredDocument], found: dict[str, loading.Prepared]
    ) -> None:
        """Move the ends of the refill's lines, and take in what each has room for; the rest stays in the index."""
        page_end = _key_of(hits[-1]) if len(hits) == refill.size else None
        ends: dict[str, Key | None] = dict.fromkeys((line.tenant for line in refill.lines), page_end)
        room = {line.tenant: room for line, room in zip(refill.lines, refill.rooms, strict=True)}
        taken: list[loading.Prepared] = []
        for hit in hits:
            one = found.get(hit.id)
            if one is None:
                continue
            tenant = one.instance.tenant
            if room[tenant] > 0:
                taken.append(one)
            elif room[tenant] == 0:
                # The hit before this one was the last that the line takes.
                ends[tenant] = (hit.sort[0], hit.sort[1] - 1)
            room[tenant] -= 1
        for line in refill.lines:
            self._lane.windows.advance(line, ends[line.tenant])
        loading.install(self._lane, taken, self._departed)

    async def load_due_once(self) -> int:
        """Load what wakes up soon; returns how many were found. No request while nothing does. Raises: StoreError."""
        now_ms = self._clock.now_ms()
        if self._next_load_ms > now_ms:
            return 0
        until_ms = now_ms + self._settings.timer_lead_ms
        found, after, size = 0, None, self._settings.page_steps
        async with self.lock:
            while True:
                due, beyond = await self._store.search_many(
                    self._lane.index,
                    [
                        due_timers_body(above_ms=self._horizon_ms, until_ms=until_ms, after=after, size=size),
                        next_wake_body(beyond_ms=until_ms),
                    ],
                )
                prepared = await loading.prepare(self._lane, due.hits, self._departed)
                loading.install(self._lane, prepared, self._departed)
                found += len(due.hits)
                if len(due.hits) < size:
                    self._horizon_ms = until_ms
                    lead_ms = self._settings.timer_lead_ms
                    self._next_load_ms = beyond.hits[0].sort[0] - lead_ms if beyond.hits else _NEVER_MS
                    return found
                after = due.hits[-1].sort
                if found >= self._settings.timers_max_instances:
                    # As many as memory is to take at once: the rest when these have gone off and searches know it.
                    last_ms: int = after[0]
                    self._horizon_ms = max(self._horizon_ms, last_ms - 1)
                    self._next_load_ms = max(last_ms, now_ms + self._settings.evict_every_ms)
                    return found

    # What leaves

    async def evict_once(self) -> int:
        """Let go of the instances that rest, after a refresh; returns how many. Raises: StoreError."""
        self._evict_wanted.clear()
        self._lane.windows.shrink()
        leaving, self._leaving = self._leaving, {}
        candidates = [(resident, resident.version) for resident in leaving if self._rests(resident)]
        departed = list(self._departed)
        if not candidates and len(departed) < _DEPARTED:
            return 0
        try:
            await self._store.refresh(self._lane.index)
        except BaseException:
            self._leaving = leaving | self._leaving
            self._evict_wanted.set()
            raise
        left = 0
        async with self.lock:
            if self._lane.windows.closed:
                return 0
            for instance_id in departed:
                self._departed.pop(instance_id, None)
            for resident, version in candidates:
                if resident.version is version and self._rests(resident) and self._lane.windows.may_leave(resident):
                    self._drop(resident)
                    left += 1
        return left

    def _rests(self, resident: Resident) -> bool:
        if self._lane.residents.get(resident.id) is not resident or not resident.idle:
            return False
        if 0 < resident.wake_at_ms <= self._horizon_ms:
            return False
        if resident.written_held:
            # Its document still says that it is to be held. Written once more it comes to rest.
            if not any(step.live for step in resident.ready.values()):
                self._lane.committer.touch(resident)
            return False
        return True

    def _drop(self, resident: Resident) -> None:
        del self._lane.residents[resident.id]
        self._lane.windows.spill(resident)
        load_ms = resident.wake_at_ms - self._settings.timer_lead_ms
        if resident.wake_at_ms and load_ms < self._next_load_ms:
            self._next_load_ms = load_ms
            self._wake_changed.set()

    # When

    async def run(self) -> None:
        """Do what is due until the lane is closed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop("refill", self._refill))
            group.create_task(self._loop("timers", self._load_due))
            group.create_task(self._loop("evict", self._evict))
            group.create_task(self._loop("groups", self._lane.groups.turn))
            group.create_task(self._loop("admission", self._lane.admission.turn))

    def close(self) -> None:
        """End the loops."""
        for event in (self._refill_wanted, self._evict_wanted, self._wake_changed):
            event.set()

    async def _loop(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while not self._lane.windows.closed:
            try:
                await turn()
                failures = 0
            except Exception as error:
                failures += 1
                self._lane.parts.metrics.loop_failed(name)
                unexpected = not isinstance(error, StoreError)
                log.warning("residency.failed", lane=self._lane.name, loop=name, error=str(error), exc_info=unexpected)
                await asyncio.sleep(min(_RETRY_MAX_MS, _RETRY_MS * 2 ** min(failures, 10)) / 1_000)

    async def _refill(self) -> None:
        await self._refill_wanted.wait()
        self._refill_wanted.clear()
        while not self._lane.windows.closed and await self.refill_once():
            self._lane.parts.metrics.loop("refill")
            if self._lane.windows.plenty:
                await asyncio.sleep(_UNHURRIED_S)

    async def _evict(self) -> None:
        await self._evict_wanted.wait()
        # What comes to rest within this time leaves with one refresh.
        await asyncio.sleep(self._settings.evict_every_ms / 1_000)
        if not self._lane.windows.closed:
            self._lane.parts.metrics.loop("evict")
            await self.evict_once()

    async def _load_due(self) -> None:
        self._wake_changed.clear()
        if await self.load_due_once():
            self._lane.parts.metrics.loop("timers")
        in_ms = self._next_load_ms - self._clock.now_ms()
        nap_ms = min(max(in_ms, _SHORTEST_NAP_MS), _LONGEST_NAP_MS)
        with suppress(TimeoutError):
            async with asyncio.timeout(nap_ms / 1_000):
                await self._wake_changed.wait()
