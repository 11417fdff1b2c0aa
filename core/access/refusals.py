"""Refused requests on their way into `workflow-audit`: noted in memory at no cost to who is refused, written in bulks.

A row belongs to the tenant and space of what was asked for, so whoever may read the trail of a tenant finds there who
tried to reach into it, and nobody learns from the trail of its own that the thing exists. Where there is no such thing
(a role was missing) the row is the caller's.

Repeats of one refusal are one row with their number. A flood is bounded three ways: rows are written at most once in
`COLLECT_MS`, so many distinct ones are kept of one caller, and so many of all. What is more of one caller is a single
row that counts, what is more of all is counted by a metric. A crash of the process loses what has not been written.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from ...ilm import IndexNames
from ..errors import StoreError
from ..es.lines import create_line
from ..metrics import Metrics
from ..ports import BulkItem, Clock, Store
from ..principal import EVERY_TENANT, Principal
from .rows import Refusal, Seen, refusal_row

log = structlog.get_logger(__name__)

COLLECT_MS = 45_000
"""How long a refusal waits for its repeats. A row is to be seen within a minute, its write and a refresh included."""

DISTINCT_MAX = 1_000
DISTINCT_OF_ONE_MAX = 100

_RETRY_MS = 5_000
_CLOSE_WITHIN_S = 2.0


class Refusals:
    """One replica's. `note` is called by whoever refuses; `run` writes."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics, replica_id: str) -> None:
        self._store = store
        self._alias = names.audit
        self._clock = clock
        self._metrics = metrics
        self._replica_id = replica_id
        self._seen: dict[Refusal, Seen] = {}
        self._of_caller: Counter[tuple[str, str]] = Counter()
        self._unwritten: dict[str, bytes] = {}
        self._wanted = asyncio.Event()
        self._numbered = 0

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._seen) + len(self._unwritten)

    def note(self, refusal: Refusal) -> None:
        """Keep it for its row. Never waits and never raises."""
        self._metrics.refused(refusal.kind)
        now_ms = self._clock.now_ms()
        seen = self._seen.get(refusal)
        if seen is None:
            refusal = self._within_bounds(refusal)
            seen = self._seen.get(refusal)
        if seen is not None:
            seen.count += 1
            seen.last_at_ms = now_ms
        elif self.waiting < DISTINCT_MAX:
            self._seen[refusal] = Seen(now_ms, now_ms)
            self._of_caller[_caller(refusal.principal)] += 1
            self._wanted.set()
        else:
            self._metrics.refusals_dropped(1)

    async def run(self) -> None:
        """Write what was noted, a while after it was, until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(COLLECT_MS / 1_000)
            self._metrics.loop("refusals")
            if not await self.pass_once():
                await asyncio.sleep(_RETRY_MS / 1_000)
                self._wanted.set()

    async def close(self) -> None:
        """Write what waits, now. What can't be written in time is given up, and counted. Never raises."""
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self.pass_once()
        except TimeoutError:
            pass
        if self.waiting:
            log.warning("refusals.not_written", rows=self.waiting)
            self._metrics.refusals_dropped(self.waiting)

    async def pass_once(self) -> bool:
        """Send one bulk with all that waits; returns whether nothing is left of it."""
        self._wanted.clear()
        self._draw_up()
        if not self._unwritten:
            return True
        lines = [line for id, row in self._unwritten.items() for line in (create_line(id), row)]
        try:
            index = await self._store.resolve_write_index(self._alias)
            items = await self._store.bulk(lines, index=index)
        except StoreError as error:
            log.warning("refusals.write_failed", rows=len(self._unwritten), error=str(error))
            self._metrics.loop_failed("refusals")
            return False
        for item in items:
            self._answered(item)
        return not self._unwritten

    def _draw_up(self) -> None:
        """Rows have ids of their own from here on: one that is written twice is there once."""
        for refusal, seen in self._seen.items():
            self._numbered += 1
            id = f"refused:{self._replica_id}:{seen.first_at_ms}:{self._numbered}"
            self._unwritten[id] = refusal_row(refusal, seen)
        self._seen.clear()
        self._of_caller.clear()

    def _answered(self, item: BulkItem) -> None:
        if item.status in (200, 201, 409):
            self._unwritten.pop(item.id, None)
        elif item.status == 400:
            # There is nothing to leave out of it, so it will never be taken.
            log.error("refusals.row_refused", row=item.id, reason=item.error_reason)
            self._metrics.refusals_dropped(1)
            self._unwritten.pop(item.id, None)

    def _within_bounds(self, refusal: Refusal) -> Refusal:
        """The refusal, or the one that stands for all that are too many of its caller."""
        caller = refusal.principal
        if self._of_caller[_caller(caller)] < DISTINCT_OF_ONE_MAX:
            return refusal
        return Refusal(caller, "several", "more than are told apart", "several", "", EVERY_TENANT)


def _caller(principal: Principal) -> tuple[str, str]:
    return principal.tenant, principal.name
