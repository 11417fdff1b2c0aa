"""Queued instances of one lane begin when their tenant may run more: the oldest first, each by a write of its own.

Where `max_running_instances` limits a tenant or a workflow, its instances are created queued, and `Admitted` once that
is acknowledged and there is a unit of each quota. So a create that lands late runs nothing, and an owner who takes the
lane over sees in the documents who may have been admitted by writes that are still on their way: the oldest of those
that are queued. It counts all of these as running until it knows their order, and then admits the same ones.

Of the queued instances of a tenant's workflow so many of the oldest are known by id; behind them stands a search.
Members of concurrency groups stand in the same line from when a slot of their group is free.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct, field

from ....tenancy.quotas import Holding, Quota, lack_of, take_all
from ....tenancy.stops import Stop
from ...es.instance_counts import KEEP_ALIVE_MS, ByWorkflow, instance_counts
from ...es.queued_instances import queued_instances_body
from ...machine.events import Admitted
from ...machine.state import FINAL_INSTANCE, Instance
from .limits import InstanceLimits

if TYPE_CHECKING:
    from ..lane import Lane
    from ..memory.resident import Resident

log = structlog.get_logger(__name__)

_KNOWN_MAX = 1_000
# So many may be on their way from the index into memory at once.
_CALLED_MAX = 1_000
_ALL_KNOWN_MS = 2**62

Place = tuple[int, str]
"""When it was created, and its id: every owner of the lane sees the same order."""


class _Line(Struct, eq=False):
    """The queued instances of a tenant's workflow: those created before `end_ms` are known, oldest first.

    `groups` names the concurrency group of each that has one; these are known wherever they stand.
    """

    places: list[Place] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    end_ms: int = _ALL_KNOWN_MS

    @property
    def unknown(self) -> bool:
        """Whether a search has to say who is first."""
        return not self.places and self.end_ms < _ALL_KNOWN_MS

    def enter(self, place: Place, group: str | None) -> None:
        if place[1] in self.known:
            return
        if group is None:
            if place[0] >= self.end_ms:
                return
            if len(self.places) >= _KNOWN_MAX and place > self.places[-1]:
                self.end_ms = max(place[0], 1)
                return
        else:
            self.groups[place[1]] = group
        insort(self.places, place)
        self.known.add(place[1])

    def leave_first(self) -> tuple[str, str | None]:
        """The id and the group of the first, which leaves the line."""
        _, id = self.places.pop(0)
        self.known.discard(id)
        return id, self.groups.pop(id, None)


class _Called(Struct, frozen=True):
    """It is an instance's turn: it holds a unit of each of these until it is admitted, or turns out to be gone."""

    tenant: str
    group: str | None
    holdings: tuple[Holding, ...]


class Admission:
    """One lane's. All but `take_over`, `turn` and `pass_once` is synchronous."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.limits = InstanceLimits(lane.parts.tenants)
        self._lines: dict[str, dict[str, _Line]] = {}
        self._called: dict[str, _Called] = {}
        # Tenants whose queued instances may have been admitted by an earlier owner: how many, by workflow.
        self._doubted: dict[str, dict[str, int]] = {}
        self._in_groups: set[str] = set()
        self._search: dict[str, None] = {}
        self._fetch: dict[str, None] = {}
        self._wanted = asyncio.Event()
        self._pumping = False
        self._again: dict[str, None] = {}
        self._asking = ""

    # What the lane tells

    def acknowledged(self, resident: Resident) -> None:
        """A write of the instance stands: from then on a later owner knows of it."""
        instance = resident.instance
        if resident.id in self._called and not _waits(instance):
            self._let_go(resident.id)
        if instance.queued and not resident.changed:
            self.saw(resident)

    def saw(self, resident: Resident) -> None:
        """A stored instance is in memory."""
        instance = resident.instance
        if instance.queued and instance.group is None and _waits(instance) and resident.version is not None:
            self._enter(resident, None)
            self.pump(instance.tenant)

    def gone(self, resident: Resident) -> None:
        """The document of an instance is deleted, or never came to be."""
        if resident.id in self._called:
            self._let_go(resident.id)

    def freed(self, tenant: str) -> None:
        """An instance of the tenant runs no more, and that stands."""
        self.pump(tenant)

    def supplied(self, holding: Holding) -> None:
        """A holding has got units, or its quota has opened."""
        if holding.quota.kind == "running_instances":
            self.pump(holding.quota.tenant)

    def rules_changed(self) -> None:
        """Other rules are in force."""
        for tenant in list(self._lines):
            self.pump(tenant)

    # What groups ask

    def may_run(self, resident: Resident) -> bool:
        """Whether a queued member of a group may be admitted now, as far as its tenant is concerned.

        If not it stands in line, and `Groups.unit_came` is told when it is its turn.
        """
        if resident.id in self._called:
            return True
        instance = resident.instance
        if not self.limits.of(instance.tenant, instance.workflow).running:
            return True
        for id in [id for id, called in self._called.items() if called.group == instance.group]:
            # It is next in its group no longer, and must not keep a unit from who is.
            self._let_go(id)
        self._enter(resident, instance.group)
        before, self._asking = self._asking, resident.id
        try:
            self.pump(instance.tenant)
        finally:
            self._asking = before
        return resident.id in self._called

    def admit(self, resident: Resident) -> bool:
        """Let a queued instance begin whose turn it is; False when other limits are in force than when it was called.

        What it was called with is given back here: from its event on the instance itself is counted.
        """
        instance = resident.instance
        called = self._called.pop(resident.id, None)
        held = () if called is None else called.holdings
        for holding in held:
            holding.put_back()
        if held != self._holdings(instance.tenant, instance.workflow):
            self._enter(resident, instance.group)
            self._later(instance.tenant)
            return False
        refused = self._lane.happen(resident, Admitted(self._lane.parts.clock.now_ms()))
        if refused is not None:
            log.error("admission.refused", instance_id=resident.id, reason=refused.detail)
        if called is not None and self._lines.get(called.tenant):
            self._later(called.tenant)
        return True

    def pass_on(self, id: str) -> None:
        """A member of a group that was called can't begin now: it stands in line again when it is next in its group."""
        self._let_go(id)

    def groups_attended(self) -> None:
        """Every group of which the take-over found waiting members has put those in line who are next."""
        self._in_groups.clear()
        for tenant in list(self._doubted):
            self.pump(tenant)

    def lacking_for_first(self, resident: Resident) -> Holding | None:
        """What an instance lacks that is the first of its tenant to stand in line; None for any other."""
        instance = resident.instance
        lines = self._lines.get(instance.tenant, {})
        if instance.group is not None or len(lines) != 1 or instance.tenant in self._doubted:
            return None
        (line,) = lines.values()
        if line.unknown or [place[1] for place in line.places[:2]] != [resident.id]:
            return None
        now_ms = self._lane.parts.clock.monotonic_ms()
        holdings = self._holdings(instance.tenant, instance.workflow)
        return next((holding for holding in holdings if holding.free(now_ms) < 1), None)

    def why(self, instance: Instance) -> Stop | None:
        """The quota that keeps a queued instance from beginning."""
        now_ms = self._lane.parts.clock.monotonic_ms()
        for holding in self._holdings(instance.tenant, instance.workflow):
            if holding.free(now_ms) < 1:
                return lack_of(holding, now_ms)
        return None

    # What takes requests

    async def take_over(self) -> None:
        """Learn which tenants have queued instances. Relies on the take-over's refresh. Raises: StoreError."""
        store, index = self._lane.parts.store, self._lane.index
        pit_id = await store.open_pit(index, keep_alive_ms=KEEP_ALIVE_MS)
        try:
            queued = await instance_counts(store, pit_id, "queued")
            alone = await instance_counts(store, pit_id, "queued_alone") if queued else ByWorkflow()
        finally:
            await store.close_pit(pit_id)
        for (tenant, workflow), count in queued.items():
            self._doubted.setdefault(tenant, {})[workflow] = count
            self._lane.instances.doubt(tenant, workflow, count)
            line = self._lines.setdefault(tenant, {}).setdefault(workflow, _Line())
            if alone[tenant, workflow]:
                line.end_ms = 0
            if count > alone[tenant, workflow]:
                self._in_groups.add(tenant)
        for tenant in list(self._lines):
            self._later(tenant)

    async def turn(self) -> None:
        """Do what takes requests, once something does."""
        await self._wanted.wait()
        self._wanted.clear()
        try:
            self._lane.parts.metrics.loop("admission")
            await self.pass_once()
        except BaseException:
            self._wanted.set()
            raise

    async def pass_once(self) -> None:
        """Raises: StoreError; Unavailable; what was not done is still due."""
        again, self._again = self._again, {}
        for tenant in again:
            self.pump(tenant)
        if self._lane.instances.recount_due and not self._resting:
            await self._lane.instances.recount()
            for tenant in list(self._lines):
                self.pump(tenant)
        for tenant in list(self._search):
            await self._learn(tenant)
            self._search.pop(tenant, None)
            self.pump(tenant)
        if self._fetch and not self._resting:
            ids = list(self._fetch)
            found = await asyncio.gather(*map(self._lane.residency.fetch, ids), return_exceptions=True)
            for id, resident in zip(ids, found, strict=True):
                if isinstance(resident, BaseException):
                    raise resident
                self._fetch.pop(id, None)
                if resident is None:
                    self._let_go(id)
                else:
                    self._begin(resident)

    def wake(self) -> None:
        """Something is due that takes requests."""
        self._wanted.set()

    def close(self) -> None:
        """End the loop that awaits `turn`."""
        self._wanted.set()

    # The line

    def pump(self, tenant: str) -> None:
        """Call whoever's turn it is."""
        if tenant not in self._lines or self._resting:
            return
        if self._pumping:
            self._later(tenant)
            return
        self._pumping = True
        try:
            if tenant not in self._doubted or self._trusted(tenant):
                self._call(tenant)
        finally:
            self._pumping = False

    def _trusted(self, tenant: str) -> bool:
        """Whether it is known who is first; if not, it is found out as soon as somebody could run."""
        lines, doubted = self._lines[tenant], self._doubted[tenant]
        if self._lane.instances.recount_due:
            return False
        holding = self._lane.quotas.holding(Quota("running_instances", tenant))
        if holding is not None and holding.share - holding.used + sum(doubted.values()) < 1:
            self._want(holding)
            return False
        if tenant in self._in_groups:
            return False
        if any(line.unknown for line in lines.values()):
            self._find(tenant)
            return False
        del self._doubted[tenant]
        for workflow, count in doubted.items():
            self._lane.instances.trust(tenant, workflow, count)
        return True

    def _call(self, tenant: str) -> None:
        lines, now_ms = self._lines[tenant], self._lane.parts.clock.monotonic_ms()
        blocked: set[str] = set()
        while len(self._called) < _CALLED_MAX:
            open_lines = [(workflow, line) for workflow, line in lines.items() if workflow not in blocked]
            if any(line.unknown for _, line in open_lines):
                self._find(tenant)
                return
            standing = [(line.places[0], workflow) for workflow, line in open_lines if line.places]
            if not standing:
                break
            _, workflow = min(standing)
            holdings = self._holdings(tenant, workflow)
            lacking = take_all(holdings, now_ms)
            if lacking is not None:
                self._want(lacking)
                if not lacking.quota.scope:
                    return
                blocked.add(workflow)
                continue
            id, group = lines[workflow].leave_first()
            self._called[id] = _Called(tenant, group, holdings)
            if id == self._asking:
                # Whoever asks goes on to the next of its group, who may be older than those who stand here.
                self._later(tenant)
                return
            self._tell(id, group)
        for workflow in [workflow for workflow, line in lines.items() if not line.places and not line.unknown]:
            del lines[workflow]
        if not lines:
            del self._lines[tenant]

    def _tell(self, id: str, group: str | None) -> None:
        resident = self._lane.residents.get(id)
        if group is not None:
            self._lane.groups.unit_came(group, id)
        elif resident is not None:
            self._begin(resident)
        else:
            self._fetch[id] = None
            self._wanted.set()

    def _begin(self, resident: Resident) -> None:
        if resident.id not in self._called or self._resting:
            return
        if _waits(resident.instance):
            self.admit(resident)
        else:
            self._let_go(resident.id)

    def _let_go(self, id: str) -> None:
        """Whoever was called is not there any more: its units are the next one's."""
        called = self._called.pop(id, None)
        if called is not None:
            for holding in called.holdings:
                holding.put_back()
            self.pump(called.tenant)

    def _enter(self, resident: Resident, group: str | None) -> None:
        if resident.id in self._called:
            return
        instance = resident.instance
        line = self._lines.setdefault(instance.tenant, {}).setdefault(instance.workflow, _Line())
        line.enter((instance.created_at_ms, resident.id), group)

    async def _learn(self, tenant: str) -> None:
        """Find out who is first in the lines of which that is not known. Raises: StoreError."""
        lines = self._lines.get(tenant, {})
        for workflow, line in list(lines.items()):
            if line.unknown:
                await self._learn_line(tenant, workflow, line)

    async def _learn_line(self, tenant: str, workflow: str, line: _Line) -> None:
        lane = self._lane
        # What leaves memory while the search is under way would be in neither.
        async with lane.residency.lock:
            # Those who have begun since the last refresh would be found again.
            await lane.parts.store.refresh(lane.index)
            body = queued_instances_body(tenant, workflow, from_ms=line.end_ms, size=_KNOWN_MAX)
            hits = (await lane.parts.store.search(lane.index, body)).hits
            from_ms, line.end_ms = line.end_ms, _ALL_KNOWN_MS
            places = [(int(hit.sort[0]), hit.id) for hit in hits if not lane.residency.knows(hit.id)]
            if len(hits) == _KNOWN_MAX:
                last_ms, first_ms = int(hits[-1].sort[0]), int(hits[0].sort[0])
                # Of those created in the last one's millisecond there may be more.
                line.end_ms = last_ms if last_ms > first_ms else last_ms + 1
            for place in places:
                if place[0] < line.end_ms and place[1] not in self._called:
                    line.enter(place, None)
            for resident in lane.residents.values():
                instance = resident.instance
                mine = instance.tenant == tenant and instance.workflow == workflow and instance.group is None
                if mine and instance.created_at_ms >= from_ms and resident.version is not None and _waits(instance):
                    self._enter(resident, None)

    # Inside

    @property
    def _resting(self) -> bool:
        """While the lane is handed over nothing is begun any more."""
        return self._lane.leaving or self._lane.closed

    def _holdings(self, tenant: str, workflow: str) -> tuple[Holding, ...]:
        found = map(self._lane.quotas.holding, self.limits.of(tenant, workflow).running)
        return tuple(holding for holding in found if holding is not None)

    def _want(self, holding: Holding) -> None:
        holding.wanted = True
        self._lane.parts.shares.want(self._lane, holding)

    def _find(self, tenant: str) -> None:
        self._search[tenant] = None
        self._wanted.set()

    def _later(self, tenant: str) -> None:
        self._again[tenant] = None
        self._wanted.set()


def _waits(instance: Instance) -> bool:
    return instance.queued and instance.status not in FINAL_INSTANCE and instance.ending is None
