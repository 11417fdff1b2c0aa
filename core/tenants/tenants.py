"""The rules that are in force, kept up with the tenants index."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import structlog

from ...ilm import IndexNames
from ...tenancy.rules import NO_RULES, Rules
from ..audit import Trail
from ..change_feed import Change
from ..errors import StoreError
from ..es.lines import create_line, put_line
from ..es.tenant_documents import Found, tenant_documents
from ..metrics import Metrics
from ..ports import Clock, Store, StoredDocument
from .audit import Auditor
from .in_force import InForce
from .stored import BEGAN_ID, Began, began_of

log = structlog.get_logger(__name__)

_PAUSE_MS = 100
_PAUSE_MAX_MS = 2_000
# Up to so many documents are read by id when something has changed.
_READ_BY_ID_MAX = 1_000


class Tenants:
    """One replica's. `rules` follow the change feed; `on_changed` are called after each change of them.

    `rules.seq_no` is twice the sum of when the index was first seen, in milliseconds, and the checkpoint that was read
    up to, or one less: so it grows with each change, also when the index is made anew. `open` before `run`. While
    Elasticsearch does not answer, or the index is gone, what was in force stays.
    """

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics, trail: Trail) -> None:
        self._store = store
        self._index = names.tenants
        self._clock = clock
        self._metrics = metrics
        self._in_force = InForce()
        self.auditor = Auditor(
            store=store, names=names, clock=clock, trail=trail, remembered=self._in_force.audited.get
        )
        self.rules: Rules = NO_RULES
        self.on_changed: list[Callable[[], None]] = []
        # Up to where the index was read, and up to where it is to be read.
        self._read_to = -1
        self._wanted_to = -1
        # Whether other rules are in force than was told. What stands above `_wanted_to` may be read already, while
        # something below it is not there yet; so it is told again, under its number, with the next pass.
        self._differs = False
        self._concerned: set[str] = set()
        self._anew = True
        self._changed = asyncio.Event()
        self._look_wanted = asyncio.Event()
        self._unaudited: set[str] = set()
        self._audit_wanted = asyncio.Event()
        self._told: dict[str, int] = {}
        self._names: list[str] | None = None

    async def open(self) -> None:
        """Read all documents. Raises: StoreError."""
        self._wanted_to = (await self._store.checkpoint(self._index)).global_checkpoint
        await self.pass_once()

    def changed(self, change: Change) -> None:
        """The index has changed: what is new is read soon."""
        if change.anew:
            self._anew = True
            self._wanted_to = change.checkpoint
        else:
            self._wanted_to = max(self._wanted_to, change.checkpoint)
        self._changed.set()
        self._look_wanted.set()

    def look_now(self) -> None:
        """This replica has changed a document: it obeys without waiting for the change feed."""
        self._changed.set()

    def names_after(self, name: str, size: int) -> list[str]:
        """The next tenants that have a document, in order; the deployment's is among them."""
        if self._names is None:
            self._names = sorted(self._in_force.documents)
        at = bisect_right(self._names, name)
        return self._names[at : at + size]

    def audit_soon(self, tenant: str) -> None:
        """Have the rows of a tenant's changes brought home."""
        self._unaudited.add(tenant)
        self._audit_wanted.set()

    async def run(self) -> None:
        """Read what has changed, and see to its audit, until cancelled."""
        await asyncio.gather(
            self._repeat("tenants", self._changed, self.pass_once),
            self._repeat("tenants_look", self._look_wanted, self.look_once),
            self._repeat("tenants_audit", self._audit_wanted, self.audit_once),
        )

    async def pass_once(self) -> None:
        """Read what is new, or all of it. Raises: StoreError, and the next pass reads it all the same."""
        self._changed.clear()
        anew, self._anew = self._anew, False
        try:
            await self._pass(anew, self._wanted_to)
        except BaseException:
            self._anew |= anew
            raise

    async def look_once(self) -> None:
        """Obey what has changed of known documents, where few are known, while a pass may be at it. Raises: StoreError.

        A pass has to refresh, which under load waits for the refreshes of other indices, a second and more.
        """
        self._look_wanted.clear()
        known, to = list(self._in_force.documents), self._wanted_to
        if self._anew or not known or len(known) > _READ_BY_ID_MAX:
            return
        found = await self._store.mget(self._index, known)
        if self._anew:
            return
        # What a pass has found to be deleted meanwhile stays so.
        still = self._in_force.documents
        self._note(self._in_force.take(one for one in found if one is not None and one.id in still))
        if self._differs:
            self._tell_of_invalid()
            self._put_in_force(self._number(to) - 1)
            self._differs = False

    async def _pass(self, anew: bool, to: int) -> None:
        await self._store.refresh(self._index)
        found = await self._found(-1 if anew else self._read_to)
        self._note(self._in_force.take_all(found.documents) if anew else self._in_force.take(found.documents))
        if not anew and found.total != self._in_force.count:
            # Something was deleted, and nothing says what.
            found = await self._found(-1)
            self._note(self._in_force.take_all(found.documents))
        await self._begin()
        self._read_to = to
        self._put_in_force(self._number(to))
        self._differs = _highest(found.documents) > to
        self._look_after()

    def _number(self, to: int) -> int:
        """The number of the rules that all documents up to there make. There is one below it that no others have."""
        return 2 * ((self._in_force.began_ms or 0) + to)

    async def _found(self, above_seq_no: int) -> Found:
        return await tenant_documents(self._store, self._index, above_seq_no=above_seq_no)

    def _note(self, taken: tuple[set[str], bool]) -> None:
        """Nothing of it is forgotten if the pass fails."""
        self._concerned |= taken[0]
        self._differs |= taken[1]

    async def _begin(self) -> None:
        """Have the index say when it was first seen. Rules do not wait for that where it can't be written."""
        if self._in_force.began_ms is not None:
            return
        now_ms = self._clock.now_ms()
        try:
            line = put_line(BEGAN_ID) if self._in_force.began_is_broken else create_line(BEGAN_ID)
            (item,) = await self._store.bulk([line, msgspec.json.encode(Began(now_ms))], index=self._index)
            if item.status == 409 and (found := await self._store.get(self._index, BEGAN_ID)) is not None:
                self._in_force.began_ms = began_of(found.source)
            elif item.version is not None:
                self._in_force.began_ms = now_ms
        except StoreError as error:
            log.warning("tenants.not_begun", error=str(error))

    async def audit_once(self) -> None:
        """Record the changes that were seen. Raises: StoreError, and the next pass sees to them all the same."""
        self._audit_wanted.clear()
        tenants, self._unaudited = self._unaudited, set()
        try:
            await self.auditor.audit(tenants)
        except BaseException:
            self._unaudited |= tenants
            raise

    def _put_in_force(self, seq_no: int) -> None:
        # A pass may end after a look that began later.
        seq_no = max(seq_no, self.rules.seq_no)
        if seq_no != self.rules.seq_no or self._differs:
            self.rules = self._in_force.rules(seq_no)
        if self._differs:
            log.info("tenants.rules_changed", seq_no=seq_no, tenants=len(self.rules.tenants))
            for tell in self.on_changed:
                tell()

    def _look_after(self) -> None:
        self._names = None
        self._tell_of_invalid()
        unaudited = self._in_force.unaudited(self._concerned)
        self._concerned = set()
        if unaudited:
            self._unaudited |= unaudited
            self._audit_wanted.set()

    def _tell_of_invalid(self) -> None:
        """Each version of a document that is not in force, once."""
        invalid = self._in_force.invalid
        for tenant, known in invalid.items():
            if self._told.get(tenant) != known.seq_no:
                log.error("tenants.document_invalid", tenant=tenant, fault=known.fault, seq_no=known.seq_no)
        self._told = {tenant: known.seq_no for tenant, known in invalid.items()}
        self._metrics.tenant_documents_invalid(len(invalid))

    async def _repeat(self, loop: str, wanted: asyncio.Event, pass_once: Callable[[], Awaitable[None]]) -> None:
        pause_ms = _PAUSE_MS
        while True:
            await wanted.wait()
            self._metrics.loop(loop)
            try:
                await pass_once()
                pause_ms = _PAUSE_MS
                continue
            except StoreError as error:
                log.warning(f"{loop}.pass_failed", error=str(error))
            except Exception:
                log.exception(f"{loop}.pass_failed")
            self._metrics.loop_failed(loop)
            await asyncio.sleep(pause_ms / 1_000)
            pause_ms = min(_PAUSE_MAX_MS, pause_ms * 2)
            wanted.set()


def _highest(documents: Iterable[StoredDocument]) -> int:
    return max((one.version.seq_no for one in documents if one.version is not None), default=-1)
