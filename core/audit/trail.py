"""One replica's writer of `workflow-audit`: the only one, so that every row is a link of a chain.

Rows wait half a second for others, then go out in bulks of one index each, one in flight at a time. What a failure may
do to each request:

- A bulk's outcome is unknown: the same bytes go again. A 409 is then one's own row, which its hash tells.
- A row is refused, or stands already as another writer's: its number is void, and the next row of the chain says so.
- The index takes no more writes: what it holds is found by realtime reads, the chain ends with the last row that
  stands, and the rest goes elsewhere. Voids of a chain that has ended are said in the next one.
- The head can't be written: nothing is sent that it does not announce, and nobody is told that rows stand which it does
  not confirm.
- The process dies: rows that the head announces and does not confirm were confirmed to nobody. Whoever keeps them in an
  outbox submits them again (`repeated`), and finds those that stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence

import msgspec
import structlog

from ...ilm import IndexNames
from ..errors import StoreError, StoreRejected, StoreUnavailable, Unavailable
from ..es.lines import create_line
from ..metrics import Metrics
from ..ports import BulkItem, Clock, Store
from .chain import Chain, Entry, Outcome
from .heads import begin_head, heads_to_name, write_head
from .rows import Head, Sealed, chain_hash_of, open_row, own_row_id, void_row

log = structlog.get_logger(__name__)

__all__ = ["BULK_MAX_ROWS", "Outcome", "Trail"]

BULK_MAX_ROWS = 1_000
_BULK_MAX_BYTES = 5_000_000
_ROW_MAX_BYTES = 50_000_000
_REASON_CHARACTERS = 500
_LINGER_MS = 500
_LOOK_AGAIN_MS = 10_000
_RETRY_MS = 200
_RETRY_MAX_MS = 5_000
_CLOSE_WITHIN_S = 2.0
_WRITE_WITHIN_S = 30.0


class Trail:
    """One replica's. `open` before use; `submit` takes rows, `run` writes them."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics, replica_id: str) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._metrics = metrics
        self._replica_id = replica_id
        self._entries: dict[tuple[str | None, str], Entry] = {}
        # By the index that they name; those of None go wherever the alias writes.
        self._waiting: dict[str | None, list[Entry]] = {}
        self._chains: dict[str, Chain] = {}
        # Chains that have ended, and wait for their heads, and for the next chain to say what they left void.
        self._ended: list[Chain] = []
        self._closed: set[str] = set()
        self._write_index = ""
        self._looked_at_ms = -_LOOK_AGAIN_MS
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._failures = 0
        self._begun = 0

    async def open(self) -> None:
        """Learn where the alias writes. Raises: StoreError."""
        await self._look()

    @property
    def index(self) -> str:
        """The concrete index that new rows go to, for an outbox that has to name one; seconds old at most in use."""
        if self._clock.monotonic_ms() - self._looked_at_ms > _LOOK_AGAIN_MS:
            self._wanted.set()
        return self._write_index

    @property
    def waiting(self) -> int:
        """Rows on their way."""
        return len(self._entries)

    def submit(
        self, id: str, row: bytes, *, index: str | None, done: Callable[[Outcome], None], repeated: bool = False
    ) -> None:
        """Have a row written; `done` is told what became of it, once, and must not raise. Never waits.

        `row`: its JSON without `chain`. `index`: the concrete index that somebody's outbox names; None lets the trail
        choose, and go on elsewhere without doubling. `repeated`: the row may stand there already, from before this
        process.
        """
        entry = self._entries.get((index, id))
        if entry is None:
            entry = Entry(id, row, index, repeated)
            self._entries[index, id] = entry
            self._waiting.setdefault(index, []).append(entry)
        entry.done.append(done)
        self._wanted.set()

    async def write(self, id: str, row: bytes) -> None:
        """Have a row written, and return once it stands.

        Raises: Unavailable after half a minute; the row is on its way all the same.
        """
        standing = asyncio.get_running_loop().create_future()
        self.submit(id, row, index=None, done=lambda _: None if standing.done() else standing.set_result(None))
        try:
            async with asyncio.timeout(_WRITE_WITHIN_S):
                await standing
        except TimeoutError:
            raise Unavailable("the audit trail takes no rows at the moment") from None

    async def run(self) -> None:
        """Write whatever waits, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            # Few wait for a row, and each bulk costs an fsync that commits have to share.
            await asyncio.sleep(_LINGER_MS / 1_000)
            while True:
                self._metrics.loop("audit")
                if not await self.pass_once():
                    self._metrics.loop_failed("audit")
                    await self._back_off()
                elif not self._busy:
                    break

    async def flush(self) -> None:
        """Write what waits, now, until something fails. Never raises."""
        while self._busy and await self.pass_once():
            pass

    async def close(self) -> None:
        """Write what waits, now. What can't be written in time stays in its outbox, if it has one. Never raises."""
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self.flush()
        except TimeoutError:
            pass
        if self._entries:
            log.warning("audit.rows_left", rows=len(self._entries))

    async def pass_once(self) -> bool:
        """Send one bulk to each index that rows wait for; false where something failed and wants a pause first."""
        async with self._lock:
            fine = await self._kept(self._look_again())
            for index in self._targets():
                fine &= await self._kept(self._advance(index))
            for chain in [one for one in self._ended if not one.voids]:
                fine &= await self._kept(self._confirm(chain))
            self._ended = [one for one in self._ended if one.voids or one.standing]
            if fine:
                self._failures = 0
            self._metrics.audit_waiting(self.waiting)
            return fine

    async def _kept(self, work: Coroutine[None, None, bool]) -> bool:
        """Whatever goes wrong, what waits goes on waiting."""
        try:
            return await work
        except StoreError as error:
            log.warning("audit.pass_failed", rows=self.waiting, error=str(error))
        except Exception:
            log.exception("audit.pass_failed", rows=self.waiting)
        return False

    @property
    def _busy(self) -> bool:
        return bool(self._entries or self._ended)

    def _targets(self) -> list[str]:
        """The indices for which there is something to do."""
        targets = {index for index, waiting in self._waiting.items() if waiting and index is not None}
        targets |= {chain.index for chain in self._chains.values() if chain.lot or chain.standing}
        if self._waiting.get(None) or any(chain.voids for chain in self._ended):
            targets.add(self._write_index)
        return sorted(targets)

    async def _advance(self, index: str) -> bool:
        """The next bulk of the index's chain, then its head."""
        if index in self._closed:
            return await self._find(index, self._waiting.get(index, []), closed=True)
        for key in self._keys(index):
            await self._find(index, [one for one in self._waiting.get(key, ()) if one.repeated])
        chain = self._chains.get(index)
        if chain is None:
            if not (self._waits(index) or any(one.voids for one in self._ended)):
                return True
            chain = await self._begin(index)
        if not chain.lot:
            self._number(chain)
        if chain.announced != (chain.seq, chain.hash):
            await self._write_head(chain)
        if chain.lot and not await self._send(chain):
            return False
        if chain.voids or self._chains.get(index) is not chain:
            return True
        return await self._confirm(chain)

    def _keys(self, index: str) -> Iterable[str | None]:
        """Which of those that wait go to the index."""
        return (index, None) if index == self._write_index else (index,)

    def _waits(self, index: str) -> bool:
        return any(self._waiting.get(key) for key in self._keys(index))

    async def _begin(self, index: str) -> Chain:
        """A chain that has no row yet. Its head stands first, so that no chain is ever without one."""
        heads = await heads_to_name(self._store, self._names)
        now_ms = self._clock.now_ms()
        self._begun += 1
        writer = f"{self._replica_id}-{now_ms:x}.{self._begun}"
        if not await begin_head(self._store, self._names, Head(writer, index, now_ms, now_ms)):
            raise StoreUnavailable(f"there is a chain {writer} already")
        chain = Chain(writer, index, now_ms)
        chain.opening = open_row(replica_id=self._replica_id, index=index, heads=heads, now_ms=now_ms)
        self._chains[index] = chain
        return chain

    def _number(self, chain: Chain) -> None:
        """Give numbers to the next lot."""
        if chain.seq == 0:
            self._number_own(chain, chain.opening)
        speaking = [one for one in (chain, *self._ended) if one.voids]
        if speaking:
            voids = [void for one in speaking for void in one.voids]
            row = void_row(replica_id=self._replica_id, voids=voids, now_ms=self._clock.now_ms())
            self._number_own(chain, row, says_voids=True)
            chain.said = speaking
        if chain.standing:
            # They wait for the head, which comes after this one row.
            return
        size_bytes = 0
        for key in self._keys(chain.index):
            waiting = self._waiting.get(key, [])
            taken = 0
            for entry in waiting:
                if len(chain.lot) >= BULK_MAX_ROWS or size_bytes > _BULK_MAX_BYTES:
                    break
                taken += 1
                size_bytes += self._numbered(chain, entry)
            del waiting[:taken]

    def _number_own(self, chain: Chain, row: bytes, *, says_voids: bool = False) -> None:
        id = own_row_id(chain.writer, chain.seq + 1)
        chain.number(Entry(id, row, chain.index, own=True, says_voids=says_voids))

    def _numbered(self, chain: Chain, entry: Entry) -> int:
        """Bytes of the row that has a number now; 0 for one that can have none."""
        try:
            if len(entry.row) > _ROW_MAX_BYTES:
                entry.strip()
            return len(chain.number(entry).source)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            self._give_up(entry, repr(error))
            return 0

    async def _send(self, chain: Chain) -> bool:
        """Send the lot; whether all of it was answered for good."""
        lot = list(chain.lot)
        items = await self._answers(chain.index, [sealed for _, sealed in lot])
        asked: list[tuple[Entry, Sealed]] = []
        closed = False
        for (entry, sealed), item in zip(lot, items, strict=True):
            if item.status in (200, 201):
                self._stands(chain, sealed)
            elif item.status == 400:
                self._refused(chain, entry, sealed, item.error_reason)
            else:
                closed |= item.status in (403, 404)
                asked.append((entry, sealed))
                if item.status != 409:
                    log.warning("audit.row_failed", row=item.id, status=item.status, reason=item.error_reason)
        if asked:
            held = await self._held(chain.index, [sealed.id for _, sealed in asked])
            for entry, sealed in asked:
                if held.get(sealed.id) == sealed.hash:
                    self._stands(chain, sealed)
                elif sealed.id in held:
                    chain.void(sealed, "it stands already")
                    self._tell(entry, "standing")
        return await self._end(chain) if closed else not chain.lot

    async def _answers(self, index: str, lot: Sequence[Sealed]) -> list[BulkItem]:
        """One bulk, or where it is refused as a whole as many as tell which rows are to blame. Raises: StoreError."""
        lines = [line for sealed in lot for line in (create_line(sealed.id), sealed.source)]
        try:
            return await self._store.bulk(lines, index=index)
        except StoreRejected as error:
            if error.status not in (400, 413):
                raise
            if len(lot) == 1:
                return [BulkItem(400, index, lot[0].id, None, error.error_type, str(error))]
        half = len(lot) // 2
        return [*await self._answers(index, lot[:half]), *await self._answers(index, lot[half:])]

    def _stands(self, chain: Chain, sealed: Sealed) -> None:
        if chain.stands(sealed):
            for one in chain.said:
                one.voids = []
            chain.said = []

    def _refused(self, chain: Chain, entry: Entry, sealed: Sealed, reason: str) -> None:
        """Its number is void; it comes again under another without what users put into it."""
        log.error("audit.row_refused", row=entry.id, reason=reason)
        chain.void(sealed, f"refused: {reason[:_REASON_CHARACTERS]}")
        if entry.own or entry.stripped:
            self._give_up(entry, reason)
        else:
            entry.strip()
            self._waiting.setdefault(entry.index, []).insert(0, entry)

    def _give_up(self, entry: Entry, reason: str) -> None:
        log.error("audit.row_dropped", row=entry.id, reason=reason)
        self._metrics.audit_dropped()
        self._tell(entry, "standing")

    async def _end(self, chain: Chain) -> bool:
        """The index takes no more writes: the chain ends there, unless there is no other index."""
        await self._look()
        if self._write_index == chain.index:
            return False
        del self._chains[chain.index]
        self._closed.add(chain.index)
        self._ended.append(chain)
        anywhere = []
        for entry in chain.cut():
            if entry.own:
                continue
            if entry.index is None:
                anywhere.append(entry)
            else:
                self._tell(entry, "closed")
        self._waiting[None] = anywhere + self._waiting.get(None, [])
        return True

    async def _confirm(self, chain: Chain) -> bool:
        """Move the head up to the last row, then tell who waits."""
        if chain.standing:
            await self._write_head(chain, confirmed=True)
            released = chain.release()
            self._metrics.audit_rows(len(released))
            for entry in released:
                self._tell(entry, "standing")
        return True

    async def _write_head(self, chain: Chain, *, confirmed: bool = False) -> None:
        at = (chain.seq, chain.hash)
        chain.head_version += 1
        standing = at if confirmed else chain.confirmed
        head = Head(chain.writer, chain.index, self._clock.now_ms(), chain.created_at_ms, *standing, *at)
        await write_head(self._store, self._names, head, chain.head_version)
        chain.confirmed, chain.announced = standing, at

    async def _find(self, index: str, entries: list[Entry], *, closed: bool = False) -> bool:
        """Which of these stand there already; the others are to be written, or sent elsewhere."""
        for at in range(0, len(entries), BULK_MAX_ROWS):
            batch = entries[at : at + BULK_MAX_ROWS]
            held = await self._held(index, [entry.id for entry in batch])
            for entry in batch:
                entry.repeated = False
                if entry.id in held or closed:
                    self._tell(entry, "standing" if entry.id in held else "closed")
            gone = {id(entry) for entry in batch if entry.id in held or closed}
            for key in self._keys(index):
                self._waiting[key] = [one for one in self._waiting.get(key, ()) if id(one) not in gone]
        return True

    async def _held(self, index: str, ids: Sequence[str]) -> dict[str, str | None]:
        """Which of these rows the index holds, with the hashes of their chains. Raises: StoreError."""
        try:
            found = await self._store.mget(index, ids)
        except StoreRejected as error:
            if error.status != 404:
                raise
            return {}
        return {one.id: chain_hash_of(one.source) for one in found if one is not None}

    def _tell(self, entry: Entry, outcome: Outcome) -> None:
        self._entries.pop((entry.index, entry.id), None)
        for done in entry.done:
            try:
                done(outcome)
            except Exception:
                log.exception("audit.not_told", row=entry.id)

    async def _look_again(self) -> bool:
        if self._clock.monotonic_ms() - self._looked_at_ms > _LOOK_AGAIN_MS:
            await self._look()
        return True

    async def _look(self) -> None:
        self._write_index = await self._store.resolve_write_index(self._names.audit)
        self._looked_at_ms = self._clock.monotonic_ms()
        self._closed.discard(self._write_index)

    async def _back_off(self) -> None:
        self._failures += 1
        await asyncio.sleep(min(_RETRY_MAX_MS, _RETRY_MS * 2 ** min(self._failures, 10)) / 1_000)
