"""Refused requests on their way into `workflow-audit`: noted in memory at no cost to who is refused, then rows.

A row belongs to the tenant and space of what was asked for, so whoever may read the trail of a tenant finds there who
tried to reach into it, and nobody learns from the trail of its own that the thing exists. Where there is no such thing
(a role was missing) the row is the caller's.

Repeats of one refusal are one row with their number. A flood is bounded three ways: rows are drawn up at most once in
`COLLECT_MS`, so many distinct ones are kept of one caller, and so many of all. What is more of one caller is a single
row that counts, what is more of all is counted by a metric. A crash of the process loses what has not been written.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from ..audit import Trail
from ..metrics import Metrics
from ..ports import Clock
from ..principal import EVERY_TENANT, Principal
from .rows import Refusal, Seen, refusal_row

COLLECT_MS = 45_000
"""How long a refusal waits for its repeats. A row is to be seen within a minute, its write and a refresh included."""

DISTINCT_MAX = 1_000
DISTINCT_OF_ONE_MAX = 100


class Refusals:
    """One replica's. `note` is called by whoever refuses; `run` hands rows to the trail."""

    def __init__(self, *, trail: Trail, clock: Clock, metrics: Metrics, replica_id: str) -> None:
        self._trail = trail
        self._clock = clock
        self._metrics = metrics
        self._replica_id = replica_id
        self._seen: dict[Refusal, Seen] = {}
        self._of_caller: Counter[tuple[str, str]] = Counter()
        self._unwritten = 0
        self._wanted = asyncio.Event()
        self._numbered = 0

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._seen) + self._unwritten

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
        """Draw up what was noted, a while after it was, until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(COLLECT_MS / 1_000)
            self._metrics.loop("refusals")
            self.draw_up()

    def draw_up(self) -> None:
        """Hand over what waits, now. Each row has an id of its own: one that is written twice is there once."""
        self._wanted.clear()
        for refusal, seen in self._seen.items():
            self._numbered += 1
            id = f"refused:{self._replica_id}:{seen.first_at_ms}:{self._numbered}"
            self._unwritten += 1
            self._trail.submit(id, refusal_row(refusal, seen), index=None, done=self._stands)
        self._seen.clear()
        self._of_caller.clear()

    def give_up(self) -> None:
        """The trail has ended: what it did not write is counted."""
        self._metrics.refusals_dropped(self.waiting)

    def _stands(self, _: object) -> None:
        self._unwritten -= 1

    def _within_bounds(self, refusal: Refusal) -> Refusal:
        """The refusal, or the one that stands for all that are too many of its caller."""
        caller = refusal.principal
        if self._of_caller[_caller(caller)] < DISTINCT_OF_ONE_MAX:
            return refusal
        return Refusal(caller, "several", "more than are told apart", "several", "", EVERY_TENANT)


def _caller(principal: Principal) -> tuple[str, str]:
    return principal.tenant, principal.name
