"""How many top-level instances of a lane run and how many wait to begin, by tenant and by workflow.

Each resident carries what it is counted as, so nothing is counted twice and no count can leak. A count rises when
memory grants (an instance is created, or admitted) and falls when the write that ends it is acknowledged, or when its
document is gone. What leaves memory stays counted.

After a take-over the lane's index is counted, without what is in memory: at once where any tenant's instances are
limited, else when somebody first asks. Until then there are too many of everything, so nothing is begun. The same is
done when an earlier owner's write has landed since: what it brings may be counted or not, so it is counted once too
often for the moment.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

from ....tenancy.quotas import Kind, Quota
from ...es.instance_counts import KEEP_ALIVE_MS, Counted, instance_counts
from ...machine.state import FINAL_INSTANCE, Instance
from ..codec import Bookkeeping

if TYPE_CHECKING:
    from ..lane import Lane
    from ..memory.resident import Resident

log = structlog.get_logger(__name__)

RUNNING = 1
WAITING = 2

_KINDS: dict[int, Kind] = {RUNNING: "running_instances", WAITING: "waiting_instances"}
_COUNTED: dict[int, Counted] = {RUNNING: "running", WAITING: "waiting"}
_BITS = {kind: bit for bit, kind in _KINDS.items()}
# Above every limit: what is not counted yet.
_UNKNOWN = 2**40
_IDS_A_SEARCH = 1_000

Counts = Counter[tuple[int, str, str]]


def mark_of(instance: Instance) -> int:
    """What the instance counts as, by its state."""
    if instance.parent_id is not None or instance.status in FINAL_INSTANCE:
        return 0
    if instance.queued:
        return WAITING
    return RUNNING | WAITING if instance.backlogged else RUNNING


class Instances:
    """One lane's. All but `recount` is synchronous. `recount_due`: the index is to be counted (again)."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._counts: Counts = Counter()
        self._doubted: Counts = Counter()
        self._known = False
        # What earlier owners wrote up to here is counted.
        self._counted_to = 0
        self.recount_due = False

    def count(self, quota: Quota) -> int:
        """How many units of a quota of instances the lane's instances hold; 0 for any other quota."""
        bit = _BITS.get(quota.kind)
        if bit is None:
            return 0
        if not self._known:
            self._want_recount()
        return self._count(bit, quota.tenant, quota.scope)

    def sure(self, quota: Quota) -> int:
        """How many of a quota's units the lane's instances hold without doubt; 0 while that is not counted."""
        bit = _BITS.get(quota.kind)
        return self._counts[bit, quota.tenant, quota.scope] if bit is not None and self._known else 0

    # What happens to residents

    def changed(self, resident: Resident) -> None:
        """An event was applied: what the instance is from now on counts at once."""
        added = mark_of(resident.instance) & ~resident.counted
        if added:
            resident.counted |= added
            self._change(resident.instance, added, 1)

    def acknowledged(self, resident: Resident) -> bool:
        """What the instance is no more does not count any longer; returns whether one runs less."""
        over = resident.counted & ~mark_of(resident.instance)
        if not over or resident.changed:
            return False
        resident.counted &= ~over
        self._change(resident.instance, over, -1)
        return bool(over & RUNNING)

    def gone(self, resident: Resident) -> bool:
        """The document is deleted, or never came to be; returns whether one runs less."""
        counted, resident.counted = resident.counted, 0
        if counted:
            self._change(resident.instance, counted, -1)
        return bool(counted & RUNNING)

    def loaded(self, resident: Resident, bookkeeping: Bookkeeping) -> None:
        """A document came into memory. It is counted as it stands, unless an earlier owner wrote it since the count."""
        resident.counted = mark_of(resident.instance)
        assert resident.version is not None
        if bookkeeping.epoch < self._lane.epoch and resident.version.seq_no > self._counted_to and self._known:
            self._change(resident.instance, resident.counted, 1)
            self._want_recount()

    def replaced(self, before: Resident, after: Resident) -> None:
        """What memory held of an instance was void, and its document was read anew."""
        mark, before_it = mark_of(after.instance), before.counted
        before.counted = 0
        after.counted = before_it | mark
        self._change(after.instance, mark & ~before_it, 1)
        if after.counted != mark:
            # What was read may yet be lost: what it is no more counts until a further write is acknowledged.
            self._lane.committer.touch(after)

    # Those that an earlier owner may have begun

    def doubt(self, tenant: str, workflow: str, queued: int) -> None:
        """So many queued instances may have been admitted by writes of an earlier owner that are still on their way."""
        for scope in ("", workflow):
            self._doubted[RUNNING, tenant, scope] += queued
            self._use(RUNNING, tenant, scope, queued)

    def trust(self, tenant: str, workflow: str, queued: int) -> None:
        """They have not, or this owner admits the same ones."""
        self.doubt(tenant, workflow, -queued)

    # Counting the index

    async def take_over(self) -> None:
        """Count now what will be asked for. Raises: StoreError."""
        if self._lane.parts.tenants.rules.limits_instances:
            await self.recount()

    async def recount(self) -> None:
        """Count what the index holds and memory does not, and add what memory holds. Raises: StoreError."""
        lane, store = self._lane, self._lane.parts.store
        # What leaves memory meanwhile would be in neither.
        async with lane.residency.lock:
            counted_to = (await store.checkpoint(lane.index)).global_checkpoint
            await store.refresh(lane.index)
            pit_id = await store.open_pit(lane.index, keep_alive_ms=KEEP_ALIVE_MS)
            here = [resident.id for resident in lane.residents.values() if resident.instance.parent_id is None]
            here += lane.residency.departed
            try:
                found = await self._of_index(pit_id, here)
            finally:
                await store.close_pit(pit_id)
            self._exchange(found)
            self._counted_to = counted_to
            self.recount_due = False

    async def _of_index(self, pit_id: str, here: list[str]) -> Counts:
        store = self._lane.parts.store
        found: Counts = Counter()
        for bit, counted in _COUNTED.items():
            pairs = await instance_counts(store, pit_id, counted)
            for start in range(0, len(here), _IDS_A_SEARCH):
                pairs.subtract(await instance_counts(store, pit_id, counted, ids=here[start : start + _IDS_A_SEARCH]))
            for (tenant, workflow), count in pairs.items():
                found[bit, tenant, ""] += count
                found[bit, tenant, workflow] += count
        return found

    def _exchange(self, found: Counts) -> None:
        for resident in self._lane.residents.values():
            for bit in _KINDS:
                if resident.counted & bit:
                    found[bit, resident.instance.tenant, ""] += 1
                    found[bit, resident.instance.tenant, resident.instance.workflow] += 1
        before, self._counts = self._counts, +found
        offset = 0 if self._known else -_UNKNOWN
        self._known = True
        for quota, holding in self._lane.quotas.holdings.items():
            if quota.kind in _BITS:
                key = _BITS[quota.kind], quota.tenant, quota.scope
                holding.used += self._counts[key] - before[key] + offset

    # Inside

    def _count(self, bit: int, tenant: str, scope: str) -> int:
        key = bit, tenant, scope
        return self._counts[key] + self._doubted[key] + (0 if self._known else _UNKNOWN)

    def _want_recount(self) -> None:
        if not self.recount_due:
            self.recount_due = True
            self._lane.admission.wake()

    def _change(self, instance: Instance, bits: int, by: int) -> None:
        counts, holdings, tenant = self._counts, self._lane.quotas.holdings, instance.tenant
        for bit in (RUNNING, WAITING):
            if not bits & bit:
                continue
            for scope in ("", instance.workflow):
                key = bit, tenant, scope
                count = counts.get(key, 0) + by
                if count:
                    counts[key] = count
                else:
                    counts.pop(key, None)
                if holdings:
                    self._use(bit, tenant, scope, by)

    def _use(self, bit: int, tenant: str, scope: str, by: int) -> None:
        """Whatever changes a count changes what is used of the quota, so that both always say the same."""
        holdings = self._lane.quotas.holdings
        holding = holdings.get(Quota(_KINDS[bit], tenant, scope)) if holdings else None
        if holding is not None:
            holding.used += by
            if by < 0 and holding.owed:
                self._lane.parts.shares.freed(self._lane, holding)
