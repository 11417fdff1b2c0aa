"""Group commit: all changed instances of one lane in one `_bulk`, behind the lane's fence.

Changes that arise while a bulk is in flight join the next one, so batching grows with load by itself and an idle lane
answers in one round trip. Nobody is answered before the write that holds the effect, and the fence item behind it,
are acknowledged. What an item's answer means:

- 2xx: the new version is kept and the callers are answered.
- 409, 5xx, timeout, connection lost: the outcome is unknown (a 409 may be one's own write that landed). The document is
  read and its write id compared. A read alone proves nothing, since the primary may lose it: whatever is found, the
  instance is written again by CAS and the callers wait for that acknowledgement.
- the fence refused: another replica owns the lane. Nobody is answered and the lane is dropped.
- 429, 413 for the request: the bulk is halved, the lane backs off with jitter, admission closes, and narrows.
- 400: this instance is set aside with that reason, the others go on.
- 403, 404 for the index: the lane is unavailable and tries again.

The first item of a bulk with somebody's starts is their entry in the journal (`start_journal`): they are answered only
when it stands too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

import msgspec
import structlog
from msgspec.structs import replace

from ....tenancy.adaptive import AdaptiveLimit
from ...errors import OutcomeUnknown, StoreRejected, StoreUnavailable
from ...es.lines import fence_lines
from ...metrics import Metrics
from ...ports import BulkItem, Clock, Store, StoredDocument
from ...settings import CommitSettings, LimitSettings
from .. import codec
from ..memory.resident import Answer, Resident
from .drafts import Drafts, Write
from .own_writes import OwnWrites
from .start_journal import Journaled, StartEntry, StartJournal

log = structlog.get_logger(__name__)

# Item statuses that say "not now" for sure: a blocked index (a full disk, most often), no room.
_NOT_NOW = frozenset({403, 429})
_NO_INDEX = "index_not_found_exception"
# A bulk that is under way for longer than this keeps no other from leaving.
_LATE_MS = 50
# Slots of the journal of starts are deleted when none was needed for so long.
_SWEEP_AFTER_S = 1.0


class CommitListener(Protocol):
    """What the lane is told. All calls are synchronous and may change residents again."""

    def flushing(self) -> None:
        """A bulk is about to be cut: what can still join it is to happen now."""

    def acknowledged(self, resident: Resident, write: Write) -> None:
        """A write of the instance stands: the records that it named may be delivered, its intents carried out."""

    def started(self, slot: str, entry: StartEntry) -> None:
        """These starts stand: they go into the audit trail, and then the slot of their entry is done with."""

    def gone(self, resident: Resident) -> None:
        """The document is deleted, by this owner or by an earlier one that finished it."""

    def foreign(self, resident: Resident, found: StoredDocument) -> None:
        """Another writer's document was found: what memory holds of the instance is void, and so are its answers."""

    def refused(self, resident: Resident, reason: str, answers: Sequence[Answer]) -> None:
        """Elasticsearch can't hold this document: the instance is to be set aside."""

    def lost(self, reason: str) -> None:
        """The fence was refused: this replica does not own the lane."""


class Committer:
    """Writes one lane. All methods but the bulks themselves are synchronous, on the event loop."""

    def __init__(
        self,
        *,
        store: Store,
        lane: str,
        index: str,
        epoch: int,
        writer: str,
        clock: Clock,
        random: Random,
        settings: CommitSettings,
        limits: LimitSettings,
        metrics: Metrics,
        starts_limit: AdaptiveLimit,
        listener: CommitListener,
        trail_index: Callable[[], str],
    ) -> None:
        self._store = store
        self._index = index
        self._drafts = Drafts(epoch=epoch, writer=writer, limits=limits)
        self.journal = StartJournal(lane=lane, epoch=epoch, writer=writer, trail_index=trail_index)
        self._clock = clock
        self._random = random
        self._settings = settings
        self._metrics = metrics
        self._starts_limit = starts_limit
        self._listener = listener
        self._changed: dict[Resident, None] = {}
        self._bulks = 0
        self._scheduled = False
        self._sent_at_ms = 0
        self._late: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._bulk_documents = settings.bulk_max_documents
        self._backoff_ms = 0
        self._paused_until_ms = 0
        self._fence = fence_lines(epoch, writer)
        # What the safety net compares the lane's checkpoint with.
        self.own_writes = OwnWrites()

    @property
    def pushed_back(self) -> bool:
        """Whether Elasticsearch refuses work for now: admission is closed meanwhile."""
        return self._backoff_ms > 0

    @property
    def changed(self) -> int:
        """How many instances wait to be written."""
        return len(self._changed)

    async def in_flight_answered(self) -> None:
        """Returns once the bulks that are in flight now have been answered, or their outcome is known to be unknown."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def touch(self, resident: Resident) -> None:
        """The instance has changed: it is in the next bulk, which leaves as soon as this turn of the loop is done."""
        resident.changed = True
        if not resident.in_flight:
            self._changed[resident] = None
            self._schedule()

    def delete(self, resident: Resident) -> None:
        """The finished instance's record is confirmed and readable in history: its document goes."""
        resident.deletable = True
        self.touch(resident)

    def close(self) -> list[Answer]:
        """Write no more. Returns the answers that nobody will settle now; bulks in flight settle theirs."""
        self._closed = True
        for timer in (self._late, self._sweep):
            if timer is not None:
                timer.cancel()
        answers = [answer for resident in self._changed for answer in resident.answers]
        for resident in self._changed:
            resident.answers = []
        self._changed.clear()
        return answers

    async def drain(self) -> None:
        """Wait until everything changed has been written and answered."""
        while not self._closed and (self._tasks or self._changed):
            if self._tasks:
                await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.005)

    def flush(self) -> None:
        """Send what has changed, as far as the bounds on bulks in flight allow."""
        self._scheduled = False
        if self._closed:
            return
        self._listener.flushing()
        wait_ms = self._paused_until_ms - self._clock.monotonic_ms()
        if wait_ms > 0:
            self._schedule_in(wait_ms)
            return
        while self._changed and self._may_send():
            writes = self._cut()
            if not writes:
                return
            self._leave(writes, self.journal.entry_for(writes, self._clock.now_ms()))

    def _leave(self, writes: list[Write], journaled: Journaled | None) -> None:
        self._bulks += 1
        self._sent_at_ms = self._clock.monotonic_ms()
        task = asyncio.get_running_loop().create_task(self._send(writes, journaled))
        self._tasks.add(task)
        task.add_done_callback(self._sent)

    def audited(self, slot: str) -> None:
        """The rows of the entry in that slot stand. A lane that has become quiet is swept a little later."""
        self.journal.done(slot)
        self.sweep_later()

    def sweep_later(self) -> None:
        """Delete the journal's slots once none of them has been needed for a while."""
        if self.journal.quiet and self._sweep is None and not self._closed:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_AFTER_S, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweep = None
        if self._closed or not self.journal.quiet:
            return
        if self._bulks or self._changed:
            self.sweep_later()
            return
        journaled = self.journal.sweep()
        if journaled is not None:
            self._leave([], journaled)

    def _may_send(self) -> bool:
        """Whether a bulk may leave now. Beside another one it has to be worth it, or that one has to be late.

        A bulk costs Elasticsearch as much as some twenty documents, however few it holds.
        """
        if self._bulks == 0:
            return True
        if self._bulks >= self._settings.bulks_in_flight:
            return False
        if len(self._changed) >= self._settings.overlap_min_documents:
            return True
        late_in_ms = self._sent_at_ms + _LATE_MS - self._clock.monotonic_ms()
        if late_in_ms > 0 and self._late is None:
            self._late = asyncio.get_running_loop().call_later(late_in_ms / 1_000, self._flush_late)
        return late_in_ms <= 0

    def _flush_late(self) -> None:
        self._late = None
        self.flush()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A defect of ours: what the bulk held is in doubt, so the lane is given up and read anew.
            log.error("commit.failed", lane=self._index, exc_info=task.exception())
            self._listener.lost("an unexpected error while committing")

    def _schedule(self) -> None:
        if not self._scheduled and not self._closed:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def _schedule_in(self, wait_ms: int) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_later(wait_ms / 1_000, self.flush)

    def _cut(self) -> list[Write]:
        """Take the next bulk's instances out of the changed ones; each is in flight from here on."""
        writes: list[Write] = []
        size_bytes = 0
        now_ms = self._clock.now_ms()
        while self._changed and len(writes) < self._bulk_documents and size_bytes < self._settings.bulk_max_bytes:
            resident = next(iter(self._changed))
            del self._changed[resident]
            write = self._drafts.deletion(resident) if resident.deletable else self._drafts.write(resident, now_ms)
            if isinstance(write, Write):
                writes.append(write)
                size_bytes += write.size_bytes
            elif write is not None:
                self._listener.refused(resident, write.reason, write.answers)
        return writes

    async def _send(self, writes: list[Write], journaled: Journaled | None) -> None:
        lines = [] if journaled is None else [*journaled.lines]
        for write in writes:
            lines += write.lines
        lines += self._fence
        unknown: list[Write] = []
        self._metrics.bulk(self._index, len(writes))
        number = self._starts_limit.sent(len(writes), self._clock.monotonic_ms())
        try:
            items = await self._answered(number, lines)
        except StoreUnavailable as error:
            self._untouched(journaled)
            self._push_back(writes, str(error))
        except OutcomeUnknown as error:
            log.warning("commit.outcome_unknown", lane=self._index, instances=len(writes), error=str(error))
            if journaled is not None:
                self.journal.doubtful(journaled)
            unknown = writes
        except StoreRejected as error:
            self._untouched(journaled)
            self._whole_request_rejected(writes, error)
        else:
            self.own_writes.acknowledge(items)
            unknown = self._read_answers(writes, items, journaled)
        try:
            if unknown:
                await self._resolve(unknown)
        finally:
            self._bulks -= 1
        if self._closed:
            # What came back unsettled after the lane was closed has nobody else to settle it.
            self._listener.lost(f"lane {self._index} is closed")
        self.flush()

    async def _answered(self, number: int, lines: Sequence[bytes]) -> Sequence[BulkItem]:
        """One bulk; admission learns how long it took. Raises: as `Store.bulk`."""
        try:
            items = await self._store.bulk(lines, index=self._index)
        except BaseException:
            self._starts_limit.unanswered(number)
            raise
        self._starts_limit.answered(number, self._clock.monotonic_ms())
        return items

    def _untouched(self, journaled: Journaled | None) -> None:
        if journaled is not None:
            self.journal.untouched(journaled)

    def _read_answers(self, writes: list[Write], items: Sequence[BulkItem], journaled: Journaled | None) -> list[Write]:
        """Settle what is certain; returns the writes whose outcome is not."""
        fence = items[-1]
        if fence.status == 409:
            for write in writes:
                write.resident.answers[:0] = write.answers
            self._listener.lost(f"the fence of {self._index} was refused: {fence.error_reason}")
            return []
        fenced = 200 <= fence.status < 300
        at = 0 if journaled is None else len(journaled.slots) + len(journaled.adopted)
        journal_stands = journaled is None or self._journal_stands(journaled, items[:at], fenced)
        unknown: list[Write] = []
        held_back: list[tuple[Write, BulkItem]] = []
        for write in writes:
            item = items[at + write.side_count]
            sides = items[at : at + write.side_count] if write.side_count else ()
            at += write.items
            if 200 <= item.status < 300 and not write.delete:
                self._written(write, item, sides, fenced and (journal_stands or write.resident.started_by is None))
            elif item.status in _NOT_NOW or (item.status == 404 and item.error_type == _NO_INDEX):
                held_back.append((write, item))
            elif write.delete:
                self._read_deletion(write, item, unknown)
            elif item.status == 400:
                self._release(write)
                reason = f"{item.error_type}: {item.error_reason}"
                self._listener.refused(write.resident, reason, write.answers)
            else:
                unknown.append(write)
        if held_back:
            self._push_back([write for write, _ in held_back], held_back[0][1].error_reason)
        elif not fenced:
            self._slow_down(f"the fence item failed: {fence.error_reason}")
        elif not journal_stands:
            self._slow_down(f"the journal of starts was refused: {items[0].error_reason}")
        else:
            self._backoff_ms = 0
            self._grow()
        if journaled is not None and journaled.entry is not None and journal_stands:
            self._starts_stand(journaled.slots[0], journaled.entry, writes)
        if unknown:
            self._metrics.conflicts(self._index, sum(item.status == 409 for item in items[:-1]))
        return unknown

    def _journal_stands(self, journaled: Journaled, items: Sequence[BulkItem], fenced: bool) -> bool:
        """Whether the bulk's entry stands, or it has none. A slot without one that counts may be used again."""
        if journaled.entry is None:
            # An earlier owner's slot that has changed since (409) holds another entry, which is found by itself.
            if not (fenced and all(item.status in (200, 404, 409) for item in items)):
                self.journal.untouched(journaled)
            return True
        if fenced and 200 <= items[0].status < 300:
            return True
        self.journal.untouched(journaled)
        return False

    def _starts_stand(self, slot: str, entry: StartEntry, writes: Sequence[Write]) -> None:
        """Of the entry's starts those that stand are told of; the others are in the entry of their next write."""
        stand = {write.resident.id for write in writes if write.resident.acknowledged_write_id == write.write_id}
        groups = [replace(group, ids=[id for id in group.ids if id in stand]) for group in entry.groups]
        for write in writes:
            if write.resident.id in stand:
                write.resident.started_by = None
        self._listener.started(slot, replace(entry, groups=[group for group in groups if group.ids]))

    def _written(self, write: Write, item: BulkItem, sides: Sequence[BulkItem], fenced: bool) -> None:
        resident = write.resident
        resident.version = item.version
        if write.sides:
            missing = tuple(
                side
                for side, answer in zip(write.sides, sides, strict=True)
                if not (200 <= answer.status < 300 or answer.status == 409)
            )
            resident.side_writes = missing + resident.side_writes
            fenced = fenced and not missing
        if not fenced:
            self._again(write)
            return
        resident.acknowledged_write_id = write.write_id
        resident.attempted = ()
        resident.acknowledged_tokens = write.tokens
        resident.strays_stored = write.strays
        self._release(write)
        for ticket, slot, outcome in write.answers:
            ticket.settle(slot, outcome)
        self._listener.acknowledged(resident, write)

    def _read_deletion(self, write: Write, item: BulkItem, unknown: list[Write]) -> None:
        if 200 <= item.status < 300 or item.status == 404:
            self._release(write)
            self._changed.pop(write.resident, None)
            self._listener.gone(write.resident)
        else:
            unknown.append(write)

    def _whole_request_rejected(self, writes: list[Write], error: StoreRejected) -> None:
        if error.status == 413:
            if len(writes) == 1 and not writes[0].delete:
                write = writes[0]
                self._release(write)
                self._listener.refused(write.resident, str(error), write.answers)
                return
            self._bulk_documents = max(1, len(writes) // 2)
        log.error("commit.rejected", lane=self._index, status=error.status, error=str(error))
        self._push_back(writes, str(error))

    def _push_back(self, writes: list[Write], reason: str) -> None:
        """Nothing of these was applied: they wait for the next bulk, which is smaller and later."""
        for write in writes:
            write.resident.side_writes = write.sides + write.resident.side_writes
            self._again(write)
        self._slow_down(reason)

    def _slow_down(self, reason: str) -> None:
        """The next bulk is smaller and later; while a pause lasts it is not made longer."""
        self._starts_limit.pushed_back(self._clock.monotonic_ms())
        if self._paused_until_ms <= self._clock.monotonic_ms():
            self._bulk_documents = max(1, self._bulk_documents // 2)
            self._pause()
            log.warning("commit.pushed_back", lane=self._index, reason=reason, backoff_ms=self._backoff_ms)

    def _pause(self) -> None:
        settings = self._settings
        self._backoff_ms = min(settings.backoff_max_ms, max(settings.backoff_initial_ms, self._backoff_ms * 2))
        jittered = self._backoff_ms * (0.5 + self._random.random() / 2)
        self._paused_until_ms = self._clock.monotonic_ms() + int(jittered)

    def _grow(self) -> None:
        """Additive increase after a push-back halved the bulks."""
        if self._bulk_documents < self._settings.bulk_max_documents:
            self._bulk_documents = min(self._settings.bulk_max_documents, self._bulk_documents + 50)

    def _again(self, write: Write) -> None:
        """The instance is to be written once more, for the same callers, before those that came later."""
        resident = write.resident
        resident.answers[:0] = write.answers
        resident.in_flight = False
        self.touch(resident)

    def _release(self, write: Write) -> None:
        resident = write.resident
        resident.in_flight = False
        if resident.changed:
            self._changed[resident] = None
            self._schedule()

    async def _resolve(self, writes: list[Write]) -> None:
        """Find out what became of writes with an unknown outcome, however long Elasticsearch takes to say."""
        found = await self._read(writes)
        if found is None:
            return
        for write, document in zip(writes, found, strict=True):
            self._resolve_one(write, document)

    async def _read(self, writes: list[Write]) -> list[StoredDocument | None] | None:
        while not self._closed:
            try:
                return await self._store.mget(self._index, [write.resident.id for write in writes])
            except (StoreUnavailable, OutcomeUnknown, StoreRejected) as error:
                log.warning("commit.resolve_failed", lane=self._index, error=str(error))
                self._pause()
                await asyncio.sleep(self._backoff_ms / 1_000)
        for write in writes:
            write.resident.answers[:0] = write.answers
        return None

    def _resolve_one(self, write: Write, document: StoredDocument | None) -> None:
        resident = write.resident
        found = None if document is None else _write_id_of(document)
        if document is None or found is None:
            if document is None and not write.delete and resident.version is None:
                resident.side_writes = write.sides + resident.side_writes
                self._again(write)
                return
            self._release(write)
            resident.answers[:0] = write.answers
            self._changed.pop(resident, None)
            self._listener.gone(resident)
            return
        if write.delete or found == resident.acknowledged_write_id or found in resident.attempted:
            resident.version = document.version
            resident.side_writes = write.sides + resident.side_writes
            self._again(write)
            return
        self._release(write)
        resident.answers[:0] = write.answers
        self._listener.foreign(resident, document)


def _write_id_of(document: StoredDocument) -> str | None:
    """None for what is no instance's document: it is left alone, and the instance is no longer held."""
    try:
        return codec.decode_document(document.source)[1].write_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        log.error("lane.document_unreadable", index=document.index, id=document.id, error=str(error))
        return None
