"""Counting history into usage documents: by the owner of the first lane, whenever rows have come to history.

Any number of replicas may count at once, and one may stop anywhere: what is written is the sums of whole days, under
the condition that the document has not changed since it was read, and only where they were made of more rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog
from msgspec import Struct

from ...ilm import IndexNames
from ..errors import LeaseholdError, StoreUnavailable
from ..es.lines import create_line, index_line
from ..es.usage.counted import ATTEMPT_DAY, START_DAY, attempts_body, days_body, starts_body
from ..es.usage.groups import Group
from ..metrics import Metrics
from ..ports import Clock, Store
from ..settings import RetentionSettings, UsageSettings
from . import position as positions
from .documents import UsageDocument, empty, usage_id, with_attempts, with_starts
from .paging import pages
from .position import Position

log = structlog.get_logger(__name__)

# A document that others write at the same time is read again so often; then the pass is done again later.
_TRIES = 5
# Counting a day costs a pass over its rows: at most this share of the time goes into it, however many there are.
_SHARE_OF_TIME = 0.05
_IDLE_MAX_MS = 60_000

_DAY_MS = 86_400_000

_decoder = msgspec.json.Decoder(UsageDocument)


def oldest_day_ms(now_ms: int, kept_days: int) -> int:
    """The first day whose usage is kept: documents of earlier ones go, and are not counted again."""
    return now_ms - now_ms % _DAY_MS - kept_days * _DAY_MS


class _Source(Struct, frozen=True):
    """A kind of history rows: which field says the day they count for, and what is counted of them."""

    alias: str
    day_field: str
    body: Callable[[int], dict[str, object]]
    counted: Callable[[UsageDocument, Group], UsageDocument]


class Counting:
    """One replica's. `pass_once` counts what is new; `run` does it while `due` says that it is this replica's turn."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        settings: UsageSettings,
        metrics: Metrics,
        due: Callable[[], bool],
        kept_days: int = RetentionSettings().usage_kept_days,
    ) -> None:
        self._store = store
        self._usage = names.usage
        self._control = names.control
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._due = due
        self._kept_days = kept_days
        self._known: Position | None = None
        self._wanted = asyncio.Event()
        self._sources = (
            _Source(names.steps, ATTEMPT_DAY, attempts_body, with_attempts),
            _Source(names.instances, START_DAY, starts_body, with_starts),
        )

    def delivered(self) -> None:
        """This replica has brought something to history."""
        self._wanted.set()

    async def run(self) -> None:
        """Count at the pace of the settings, or slower where it would take too much of the time; until cancelled.

        While nothing comes to history, what other replicas bring is looked for less and less often.
        """
        pause_ms: float = self._settings.every_ms
        idle_ms = 0
        while True:
            await asyncio.sleep(pause_ms / 1_000)
            with suppress(TimeoutError):
                async with asyncio.timeout(idle_ms / 1_000):
                    await self._wanted.wait()
            pause_ms = self._settings.every_ms
            if not self._due():
                # Another replica counts; its position is to be read when it is this one's turn again.
                self._known, idle_ms = None, 0
                continue
            self._wanted.clear()
            began_ms = self._clock.monotonic_ms()
            known = self._known
            try:
                await self.pass_once()
            except LeaseholdError as error:
                log.warning("usage.not_counted", error=str(error))
                self._metrics.loop_failed("usage")
            except Exception:
                log.exception("usage.not_counted")
                self._metrics.loop_failed("usage")
            idle_ms = min(_IDLE_MAX_MS, 2 * (idle_ms + self._settings.every_ms)) if self._known is known else 0
            pause_ms = max(pause_ms, (self._clock.monotonic_ms() - began_ms) / _SHARE_OF_TIME)

    async def pass_once(self) -> int:
        """Count what history has received; returns how many documents were written. Raises: StoreError.

        Without anything new it costs one request for each history alias, and no search.
        """
        if self._known is None:
            self._known = await positions.read(self._store, self._control)
        now: dict[str, positions.Reached] = {}
        written = 0
        for source in self._sources:
            found = positions.reached(await self._store.checkpoints([source.alias]))
            now |= found
            changed = positions.new_rows(self._known, found)
            if changed:
                self._metrics.loop("usage")
                written += await self._count(source, changed)
        if now != self._known:
            await positions.write(self._store, self._control, now)
            self._known = now
        return written

    async def _count(self, source: _Source, changed: dict[str, int]) -> int:
        await self._store.refresh(source.alias)
        days: set[int] = set()
        # A late row of a day that is kept no more would bring back its document with what rows are left.
        from_ms = oldest_day_ms(self._clock.now_ms(), self._kept_days)
        for index, above in changed.items():
            body = days_body(source.day_field, above=above, from_ms=from_ms)
            async for page in pages(self._store, index, body):
                days.update(group.key.at for group in page)
        written = 0
        for day_ms in sorted(days):
            async for page in pages(self._store, source.alias, source.body(day_ms)):
                written += await self._take_over(day_ms, page, source.counted)
        return written

    async def _take_over(
        self, day_ms: int, groups: Sequence[Group], counted: Callable[[UsageDocument, Group], UsageDocument]
    ) -> int:
        """Bring the documents of these groups up to them; returns how many were written."""
        left = {usage_id(group.key.tenant, group.key.workflow, day_ms): group for group in groups}
        written = 0
        for _ in range(_TRIES):
            done, left = await self._write_once(day_ms, left, counted)
            written += done
            if not left:
                self._metrics.usage_written(written)
                return written
        raise StoreUnavailable(f"{len(left)} usage documents are written by others all the time")

    async def _write_once(
        self, day_ms: int, groups: dict[str, Group], counted: Callable[[UsageDocument, Group], UsageDocument]
    ) -> tuple[int, dict[str, Group]]:
        """How many were written, and those of which another writer was faster."""
        lines: list[bytes] = []
        ids: list[str] = []
        for found, (id, group) in zip(await self._store.mget(self._usage, list(groups)), groups.items(), strict=True):
            before = empty(group.key.tenant, group.key.workflow, day_ms)
            line = create_line(id)
            if found is not None and found.version is not None:
                before = _decoder.decode(found.source)
                line = index_line(id, found.version.seq_no, found.version.primary_term)
            after = counted(before, group)
            if after is not before:
                ids.append(id)
                lines += (line, msgspec.json.encode(after))
        if not ids:
            return 0, {}
        items = await self._store.bulk(lines, index=self._usage)
        failed = [item for item in items if item.status not in (200, 201, 409)]
        if failed:
            raise StoreUnavailable(f"usage {failed[0].id} was not written: {failed[0].error_reason}", failed[0].status)
        lost = {item.id: groups[item.id] for item in items if item.status == 409}
        return len(ids) - len(lost), lost
