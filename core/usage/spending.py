"""What tenants have spent in the periods that are not over, as history shows it.

Rows are counted once each: after a first look at today and, in the usage documents, at the month's other days, only
those with new sequence numbers are read.
"""

from __future__ import annotations

from collections.abc import Collection

from ...ilm import IndexNames
from ...tenancy.spending import HOUR_MS, Amounts, Ledger, period_start_ms
from ..es.usage.counted import ATTEMPT_DAY, days_body
from ..es.usage.groups import Group
from ..es.usage.spent import spent_days_body, spent_rows_body
from ..ports import Clock, Store
from . import position as positions
from .paging import pages
from .position import Position, new_rows, reached

# More tenants than this are not named in a search: rows of all are read then.
_NAMED_MAX = 10_000


class Spending:
    """One replica's reading. `of` says whose, `look` reads what is new."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock) -> None:
        self._store = store
        self._steps = names.steps
        self._usage = names.usage
        self._control = names.control
        self._clock = clock
        self._tenants: frozenset[str] | None = frozenset()
        self._ledgers: dict[str, Ledger] = {}
        # How far rows were read; None: all is to be read anew.
        self._known: Position | None = None
        self._hour_ms = 0

    def of(self, tenants: Collection[str] | None) -> bool:
        """Read of these tenants from now on, None: of all. Whether something must be read that was not before."""
        wanted = None if tenants is None or len(tenants) > _NAMED_MAX else frozenset(tenants)
        covered = self._tenants is None or (wanted is not None and wanted <= self._tenants)
        if covered:
            return False
        self._tenants = wanted
        self._known = None
        return True

    def ledger(self, tenant: str) -> Ledger:
        """What the tenant's rows sum up to; empty where none was read."""
        return self._ledgers.get(tenant) or Ledger()

    async def look(self) -> set[str]:
        """Read what is new; returns the tenants of which something is. Raises: StoreError.

        While nothing has come to history it costs one request, and no search.
        """
        self._forget_what_is_over()
        found = reached(await self._store.checkpoints([self._steps]))
        known = self._known
        if known is None or _replaced(known, found):
            return await self._read_anew(found)
        changed = new_rows(known, found)
        if not changed:
            return set()
        await self._store.refresh(self._steps)
        # All of it is read before any of it counts: a look that fails is made again.
        read: list[Group] = []
        for index, above in changed.items():
            body = spent_rows_body(self._tenants, above=above, up_to=found[index].seq_no)
            async for page in pages(self._store, index, body):
                read += page
        if self._known is not known:
            # Other tenants are to be read by now, from the beginning.
            return set()
        self._known = found
        return _added(self._ledgers, read)

    async def _read_anew(self, found: Position) -> set[str]:
        tenants = self._tenants
        now_ms = self._clock.now_ms()
        month_ms, today_ms = period_start_ms("month", now_ms), period_start_ms("day", now_ms)
        await self._store.refresh(self._steps)
        counted = await positions.read(self._store, self._control)
        # Days of which the usage documents do not hold all rows: today, and those that rows came for since.
        days = {today_ms}
        for index, above in new_rows(counted, found).items():
            async for page in pages(self._store, index, days_body(ATTEMPT_DAY, above=above, from_ms=month_ms)):
                days.update(group.key.at for group in page)
        ledgers: dict[str, Ledger] = {}
        for index, one in found.items():
            body = spent_rows_body(tenants, above=-1, up_to=one.seq_no, days=sorted(days))
            async for page in pages(self._store, index, body):
                _added(ledgers, page)
        if month_ms < today_ms:
            await self._store.refresh(self._usage)
            body = spent_days_body(tenants, from_ms=month_ms, to_ms=today_ms, but=sorted(days))
            async for page in pages(self._store, self._usage, body):
                _added(ledgers, page, at_ms=month_ms)
        changed = self._ledgers.keys() | ledgers.keys()
        self._ledgers = ledgers
        if tenants == self._tenants:
            self._known = found
        return changed

    def _forget_what_is_over(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - now_ms % HOUR_MS == self._hour_ms:
            return
        self._hour_ms = now_ms - now_ms % HOUR_MS
        for ledger in self._ledgers.values():
            ledger.forget_before(now_ms)
        self._ledgers = {tenant: ledger for tenant, ledger in self._ledgers.items() if not ledger.empty}


def _replaced(known: Position, found: Position) -> bool:
    """Whether an index is not the one that was read, or has lost rows."""
    both = [(known[index], one) for index, one in found.items() if index in known]
    return any(one.index_uuid != before.index_uuid or one.seq_no < before.seq_no for before, one in both)


def _added(ledgers: dict[str, Ledger], groups: Collection[Group], *, at_ms: int | None = None) -> set[str]:
    for group in groups:
        ledger = ledgers.get(group.key.tenant)
        if ledger is None:
            ledger = ledgers[group.key.tenant] = Ledger()
        amounts = Amounts(
            llm_calls=round(group.llm_calls.value),
            llm_tokens=round(group.llm_tokens.value),
            cost=group.cost.value,
            executor_ms=round(group.executor_ms.value),
        )
        ledger.add(group.key.at if at_ms is None else at_ms, amounts)
    return {group.key.tenant for group in groups}
