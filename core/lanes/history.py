"""Delivery of history: from the outboxes of acknowledged instances into the history indices, then the documents' end.

The order makes repeats harmless: the lane document names a record and its concrete index before the record is written;
the record is written by `create` under an id of its own, so a repeat meets 409 in that same index; an instance's
document is deleted only after a refresh of history that began after its last record was confirmed, so that it can be
read by id at every moment. Nothing here is lost with the process: a take-over finds the outboxes in the documents.

History rolls: which index an alias writes to is looked up again every few seconds while records are made. A record that
was named for an index before still goes there. Where that takes no more writes or is gone, history is searched for the
row, and only if it is nowhere does the lane document name another index for it.

Rows of the audit trail are handed to its one writer (`core.audit`), which numbers and chains them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import structlog
from msgspec.structs import replace

from ...ilm import IndexNames
from ..audit import Outcome, Trail
from ..errors import StoreError
from ..es.lines import create_line_in, newest_line_in
from ..es.rows_held import rows_held
from ..history_rows import stripped_row
from ..machine.events import AttemptRecord
from ..metrics import Metrics
from ..ports import BulkItem, Clock, Store
from ..settings import HistorySettings
from .children.known import is_share
from .codec import OutboxEntry
from .memory.resident import Named, Resident

log = structlog.get_logger(__name__)

# How long the index that an alias writes to is taken for granted. A rolled one takes writes for hours at least.
_INDICES_FOR_MS = 10_000
# A request is closed above the first; Elasticsearch takes 100 MB at most. A row above the second goes without payloads:
# that of an instance holds the results of all items of its foreach steps.
_BULK_MAX_BYTES = 5_000_000
_ROW_MAX_BYTES = 50_000_000
_RETRY_MS = 200
_RETRY_MAX_MS = 5_000


@dataclass(slots=True, eq=False)
class Record:
    """One record on its way. `repeated`: an earlier owner may have written it."""

    resident: Resident
    row_id: str
    entry: OutboxEntry
    repeated: bool = False
    stripped: bool = False


class History:
    """One replica's delivery. `pass_once` and `refresh_once` are the work; `run` does them when there is any."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        random: Random,
        settings: HistorySettings,
        metrics: Metrics,
        trail: Trail,
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._random = random
        self._settings = settings
        self._metrics = metrics
        self._trail = trail
        self._aliases = {
            "step": names.steps,
            "instance": names.instances,
            "events": names.events,
            "calls": names.events,
            "audit": names.audit,
            "share": names.events,
        }
        self._write_indices: dict[str, str] = {}
        self._looked_up_ms = 0
        self._look_up_wanted = asyncio.Event()
        self._waiting: deque[Record] = deque()
        # Since when, by the monotonic clock; the oldest come first.
        self._on_the_way: dict[tuple[Resident, str], int] = {}
        self._unmade: set[tuple[Resident, str]] = set()
        # Records whose index takes no more writes.
        self._homeless: list[Record] = []
        self._confirmed: list[Resident] = []
        self._wanted = asyncio.Event()
        self._refresh_wanted = asyncio.Event()
        self._failures = 0
        # Told of the definitions (tenant, name) of instances that have ended, once a search finds their rows.
        self.on_ended: Callable[[Iterable[tuple[str, str]]], None] = lambda _: None
        # Told of attempts whose rows are sure to come to history, and when they stand there, by row id and tenant.
        self.on_attempt: Callable[[str, str, AttemptRecord], None] = lambda _row_id, _tenant, _record: None
        self.on_confirmed: Callable[[str, str], None] = lambda _row_id, _tenant: None

    @property
    def lag_records(self) -> int:
        """Records that stand in outboxes and are not confirmed in history."""
        return len(self._on_the_way)

    @property
    def lag_ms(self) -> int:
        """How long the record that has waited longest has been on its way."""
        oldest_ms = next(iter(self._on_the_way.values()), None)
        return 0 if oldest_ms is None else max(0, self._clock.monotonic_ms() - oldest_ms)

    @property
    def behind(self) -> bool:
        """Whether admission is to close until history has caught up."""
        return len(self._on_the_way) > self._settings.lag_max_records or self.lag_ms > self._settings.lag_max_ms

    async def open(self) -> None:
        """Learn the concrete indices that the aliases write to now. Raises: StoreError."""
        self._looked_up_ms = self._clock.monotonic_ms()
        aliases = sorted(set(self._aliases.values()))
        found = await asyncio.gather(*map(self._store.resolve_write_index, aliases))
        indices = dict(zip(aliases, found, strict=True))
        self._write_indices = {kind: indices[alias] for kind, alias in self._aliases.items()}

    def index(self, kind: str) -> str:
        """The concrete index for a new record of that kind."""
        if self._clock.monotonic_ms() - self._looked_up_ms > _INDICES_FOR_MS:
            self._look_up_wanted.set()
        return self._write_indices[kind]

    def deliver(self, resident: Resident, named: Named, *, repeated: bool = False) -> None:
        """Send the records that an acknowledged document names, as far as they are not on their way yet.

        `repeated`: the document was read, so an earlier owner may have sent them.
        """
        outbox, on_the_way, now_ms = resident.outbox, self._on_the_way, self._clock.monotonic_ms()
        for row_id, record in named:
            pair = (resident, row_id)
            if outbox.get(row_id) is record and pair not in on_the_way and pair not in self._unmade:
                on_the_way[pair] = now_ms
                self._waiting.append(Record(resident, row_id, record.entry, repeated))
                if record.entry.record is not None:
                    self.on_attempt(row_id, resident.instance.tenant, record.entry.record)
        if self._waiting:
            self._wanted.set()

    def finished(self, resident: Resident) -> None:
        """All records of a finished instance are confirmed: its document goes after the next refresh."""
        self._confirmed.append(resident)
        self._refresh_wanted.set()

    def forget(self, lane: object) -> None:
        """The lane is lost: its next owner delivers."""
        self._waiting = deque(record for record in self._waiting if record.resident.lane is not lane)
        self._on_the_way = {pair: since for pair, since in self._on_the_way.items() if pair[0].lane is not lane}
        self._unmade = {pair for pair in self._unmade if pair[0].lane is not lane}
        self._homeless = [record for record in self._homeless if record.resident.lane is not lane]
        self._confirmed = [resident for resident in self._confirmed if resident.lane is not lane]

    async def pass_once(self) -> int:
        """Send one bulk of what waits; returns how many records were confirmed."""
        if self._homeless:
            homeless, self._homeless = self._homeless, []
            await self._redirect(homeless)
            await self._back_off()
        batch, lines = self._drawn_up(self._cut())
        if not batch:
            return 0
        try:
            items = await self._store.bulk(lines)
        except StoreError as error:
            log.warning("history.delivery_failed", records=len(batch), error=str(error))
            self._metrics.history(0, self.lag_records, self.lag_ms)
            self._waiting.extendleft(reversed(batch))
            await self._back_off()
            return 0
        confirmed = await self._read_answers(batch, items)
        self._metrics.history(confirmed, self.lag_records, self.lag_ms)
        return confirmed

    def _drawn_up(self, records: list[Record]) -> tuple[list[Record], list[bytes]]:
        """The first of these records, as many as one request may hold, with their lines; the others wait on."""
        batch: list[Record] = []
        lines: list[bytes] = []
        size_bytes = 0
        for place, record in enumerate(records):
            if size_bytes > _BULK_MAX_BYTES:
                self._waiting.extendleft(reversed(records[place:]))
                break
            row = self._row(record)
            if row is None:
                # It stays in its document, and is no lag: nothing waits for it.
                pair = (record.resident, record.row_id)
                self._on_the_way.pop(pair, None)
                self._unmade.add(pair)
            elif record.entry.kind == "audit":
                self._hand_to_trail(record, row)
            else:
                batch.append(record)
                lines += (_line_of(record), row)
                size_bytes += len(row)
        return batch, lines

    def _row(self, record: Record) -> bytes | None:
        """The record's body; None for one that can't be made: it stays in its outbox, and the others go on."""
        try:
            row: bytes = record.resident.lane.records.row(record.resident, record.row_id, record.entry)
            return stripped_row(row) if record.stripped or len(row) > _ROW_MAX_BYTES else row
        except Exception:
            self._metrics.loop_failed("history")
            log.exception("history.record_not_made", row=record.row_id)
            return None

    def _hand_to_trail(self, record: Record, row: bytes) -> None:
        def done(outcome: Outcome) -> None:
            if outcome == "standing":
                self._confirm(record)
                self._metrics.history(1, self.lag_records, self.lag_ms)
            elif (record.resident, record.row_id) in self._on_the_way:
                self._homeless.append(record)
                self._wanted.set()

        self._trail.submit(record.row_id, row, index=record.entry.index, done=done, repeated=record.repeated)

    async def refresh_once(self) -> int:
        """Make what is confirmed readable by search, then let the documents go; returns how many."""
        ready, self._confirmed = self._confirmed, []
        self._refresh_wanted.clear()
        if not ready:
            return 0
        try:
            await self._store.refresh(self._names.instances)
            if any(is_share(resident.instance) for resident in ready):
                await self._store.refresh(self._names.events)
        except StoreError as error:
            log.warning("history.refresh_failed", error=str(error))
            self._confirmed = ready + self._confirmed
            self._refresh_wanted.set()
            return 0
        self.on_ended({(one.instance.definition_tenant, one.instance.workflow) for one in ready})
        for resident in ready:
            if not (resident.lane.closed or resident.deletable):
                resident.lane.committer.delete(resident)
        return len(ready)

    async def run(self) -> None:
        """Deliver whenever something waits, refresh when something is confirmed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_delivery())
            group.create_task(self._run_refresh())
            group.create_task(self._run_look_ups())

    async def _run_look_ups(self) -> None:
        """Learn where an alias writes by now, when a record is to be named whose index was looked up a while ago."""
        while True:
            await self._look_up_wanted.wait()
            self._look_up_wanted.clear()
            try:
                await self.open()
            except StoreError as error:
                log.warning("history.look_up_failed", error=str(error))
                await asyncio.sleep(_RETRY_MS / 1_000)

    async def _run_delivery(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            # No caller waits for a row, and each bulk costs an fsync that commits have to share.
            await asyncio.sleep(self._settings.linger_ms / 1_000)
            while self._waiting or self._homeless:
                self._metrics.loop("history")
                await self.pass_once()

    async def _run_refresh(self) -> None:
        while True:
            await self._refresh_wanted.wait()
            await asyncio.sleep(self._settings.refresh_every_ms / 1_000)
            self._metrics.loop("history_refresh")
            await self.refresh_once()

    async def drain(self) -> None:
        """Deliver everything that waits now; used before an orderly hand-over."""
        while self._waiting:
            await self.pass_once()

    def _cut(self) -> list[Record]:
        batch: list[Record] = []
        while self._waiting and len(batch) < self._settings.bulk_max_records:
            record = self._waiting.popleft()
            if (record.resident, record.row_id) in self._on_the_way:
                batch.append(record)
        return batch

    async def _read_answers(self, batch: list[Record], items: list[BulkItem]) -> int:
        confirmed = 0
        retry: list[Record] = []
        closed: list[Record] = []
        for record, item in zip(batch, items, strict=True):
            if item.status in (200, 201, 409):
                self._confirm(record)
                confirmed += 1
            elif item.status == 400 and record.entry.kind == "memory":
                # There is nothing to strip it of, and the next run is better off with what an earlier one left.
                log.error("history.memory_refused", memory=record.row_id, reason=item.error_reason)
                self._confirm(record)
            elif item.status == 400 and not record.stripped:
                log.error("history.record_refused", row=record.row_id, reason=item.error_reason)
                record.stripped = True
                retry.append(record)
            elif item.status in (403, 404):
                closed.append(record)
            else:
                log.warning("history.record_failed", row=record.row_id, status=item.status, reason=item.error_reason)
                retry.append(record)
        self._waiting.extend(retry)
        self._homeless += closed
        if retry:
            await self._back_off()
        else:
            self._failures = 0
        return confirmed

    def _confirm(self, record: Record) -> None:
        pair = (record.resident, record.row_id)
        if pair in self._on_the_way:
            del self._on_the_way[pair]
            if record.entry.record is not None:
                self.on_confirmed(record.row_id, record.resident.instance.tenant)
            record.resident.lane.confirm(record.resident, record.row_id)

    async def _redirect(self, records: list[Record]) -> None:
        """The index that the outboxes name takes no more writes: what history holds is confirmed, the rest goes on.

        A record that goes to another index is first named there by its lane document, as every record is.
        """
        by_index: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            if record.entry.kind == "memory":
                # Its index has no other to follow it.
                self._waiting.append(record)
            else:
                key = (self._aliases[record.entry.kind], record.entry.index)
                by_index.setdefault(key, []).append(record)
        for (alias, closed), group in by_index.items():
            try:
                index = await self._store.resolve_write_index(alias)
                held = await rows_held(self._store, alias, closed, [record.row_id for record in group])
            except StoreError as error:
                log.warning("history.redirect_failed", index=closed, records=len(group), error=str(error))
                self._waiting.extend(group)
                continue
            log.info("history.redirected", index=closed, to=index, records=len(group), held=len(held))
            for record in group:
                if record.row_id in held:
                    self._confirm(record)
                elif index == closed:
                    self._waiting.append(record)
                else:
                    self._write_indices[record.entry.kind] = index
                    self._rename(record, index)

    def _rename(self, record: Record, index: str) -> None:
        resident, row_id = record.resident, record.row_id
        if self._on_the_way.pop((resident, row_id), None) is None:
            # The lane was lost meanwhile, and its next owner delivers.
            return
        known = resident.outbox.get(row_id)
        row = None if known is None else known.row
        resident.put_outbox(row_id, replace(record.entry, index=index), row)
        # The acknowledgement of this write delivers the record to the index that it names.
        resident.lane.committer.touch(resident)

    async def _back_off(self) -> None:
        self._failures += 1
        delay_ms = min(_RETRY_MAX_MS, _RETRY_MS * 2 ** min(self._failures, 10))
        await asyncio.sleep(delay_ms * (0.5 + self._random.random() / 2) / 1_000)


def _line_of(record: Record) -> bytes:
    """What stands in history is never written over; of what is remembered the newest stands."""
    entry = record.entry
    if entry.kind == "memory":
        return newest_line_in(entry.index, record.row_id, entry.count)
    return create_line_in(entry.index, record.row_id)
