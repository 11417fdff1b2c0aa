"""Delivery of history: from the outboxes of acknowledged instances into the history indices, then the documents' end.

The order makes repeats harmless: the lane document names a record and its concrete index before the record is written;
the record is written by `create` under an id of its own, so a repeat meets 409 in that same index; an instance's
document is deleted only after a refresh of history that began after its last record was confirmed, so that it can be
read by id at every moment. Nothing here is lost with the process: a take-over finds the outboxes in the documents.
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
from ..errors import StoreError, StoreRejected
from ..es.lines import create_line_in, newest_line_in
from ..history_rows import stripped_row
from ..machine.events import AttemptRecord
from ..metrics import Metrics
from ..ports import BulkItem, Clock, Store
from ..settings import HistorySettings
from .children.known import is_share
from .codec import OutboxEntry
from .memory.resident import Named, Resident

log = structlog.get_logger(__name__)

# A request is closed above the first; Elasticsearch takes 100 MB at most. A row above the second goes without payloads:
# that of an instance holds the results of all items of its foreach steps.
_BULK_MAX_BYTES = 5_000_000
_ROW_MAX_BYTES = 50_000_000
_RETRY_MS = 200
_RETRY_MAX_MS = 5_000


@dataclass(slots=True, eq=False)
class Record:
    """One record on its way."""

    resident: Resident
    row_id: str
    entry: OutboxEntry
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
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._random = random
        self._settings = settings
        self._metrics = metrics
        self._aliases = {
            "step": names.steps,
            "instance": names.instances,
            "events": names.events,
            "calls": names.events,
            "audit": names.audit,
            "share": names.events,
        }
        self._write_indices: dict[str, str] = {}
        self._waiting: deque[Record] = deque()
        self._on_the_way: set[tuple[Resident, str]] = set()
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
    def behind(self) -> bool:
        """Whether admission is to close until history has caught up."""
        return len(self._on_the_way) > self._settings.lag_max_records

    async def open(self) -> None:
        """Learn the concrete indices that the aliases write to now."""
        for kind, alias in self._aliases.items():
            self._write_indices[kind] = await self._store.resolve_write_index(alias)

    def index(self, kind: str) -> str:
        """The concrete index for a new record of that kind."""
        return self._write_indices[kind]

    def deliver(self, resident: Resident, named: Named) -> None:
        """Send the records that an acknowledged document names, as far as they are not on their way yet."""
        outbox, on_the_way = resident.outbox, self._on_the_way
        for row_id, record in named:
            if outbox.get(row_id) is record and (resident, row_id) not in on_the_way:
                on_the_way.add((resident, row_id))
                self._waiting.append(Record(resident, row_id, record.entry))
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
        self._on_the_way = {pair for pair in self._on_the_way if pair[0].lane is not lane}
        self._confirmed = [resident for resident in self._confirmed if resident.lane is not lane]

    async def pass_once(self) -> int:
        """Send one bulk of what waits; returns how many records were confirmed."""
        batch, lines = self._drawn_up(self._cut())
        if not batch:
            return 0
        try:
            items = await self._store.bulk(lines)
        except StoreError as error:
            log.warning("history.delivery_failed", records=len(batch), error=str(error))
            self._waiting.extendleft(reversed(batch))
            await self._back_off()
            return 0
        confirmed = await self._read_answers(batch, items)
        self._metrics.history(confirmed, self.lag_records)
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
            if row is not None:
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

    async def _run_delivery(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            # No caller waits for a row, and each bulk costs an fsync that commits have to share.
            await asyncio.sleep(self._settings.linger_ms / 1_000)
            while self._waiting:
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
        if closed:
            await self._redirect(closed)
        if retry or closed:
            await self._back_off()
        else:
            self._failures = 0
        return confirmed

    def _confirm(self, record: Record) -> None:
        pair = (record.resident, record.row_id)
        if pair in self._on_the_way:
            self._on_the_way.discard(pair)
            if record.entry.record is not None:
                self.on_confirmed(record.row_id, record.resident.instance.tenant)
            record.resident.lane.confirm(record.resident, record.row_id)

    async def _redirect(self, records: list[Record]) -> None:
        """The index that the outboxes name takes no more writes: what it holds is confirmed, the rest goes elsewhere.

        A record that goes to another index is first named there by its lane document, as every record is.
        """
        for record in records:
            if record.entry.kind == "memory":
                # Its index has no other to follow it.
                self._waiting.append(record)
                continue
            try:
                held = await self._held(record)
                index = await self._store.resolve_write_index(self._aliases[record.entry.kind])
            except StoreError as error:
                log.warning("history.redirect_failed", row=record.row_id, error=str(error))
                self._waiting.append(record)
                continue
            if held:
                self._confirm(record)
            elif index == record.entry.index:
                self._waiting.append(record)
            else:
                self._write_indices[record.entry.kind] = index
                self._rename(record, index)

    async def _held(self, record: Record) -> bool:
        try:
            return await self._store.get(record.entry.index, record.row_id) is not None
        except StoreRejected as error:
            if error.status == 404:
                return False
            raise

    def _rename(self, record: Record, index: str) -> None:
        resident, row_id = record.resident, record.row_id
        known = resident.outbox.get(row_id)
        row = None if known is None else known.row
        resident.put_outbox(row_id, replace(record.entry, index=index), row)
        self._on_the_way.discard((resident, row_id))
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
