"""Rows of changed definitions on their way from their heads into the audit trail.

The replica that made a change brings its rows home. If it dies before, the owner of the first lane finds the head that
still has some, by one search a while after definitions have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from ...ilm import IndexNames
from ..audit import Outcome, Trail, outcomes_of
from ..errors import StoreError
from ..es.rows_held import rows_held
from ..es.unaudited_heads import unaudited_heads_body
from ..metrics import Metrics
from ..ports import Clock, Store
from .documents import WaitingRow
from .heads import Heads
from .recording import delivered

log = structlog.get_logger(__name__)

LEFT_TO_OTHERS_MS = 10_000
"""How long a row is left to whoever made the change."""
_LOOK_AFTER_MS = 12_000
_AGAIN_S = 1.0
_STANDS_WITHIN_S = 60.0

Name = tuple[str, str]
"""Whose a definition is, and what it is called."""


class Deliveries:
    """One replica's. `due` says whether it is this replica that looks after the changes of others."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        metrics: Metrics,
        heads: Heads,
        trail: Trail,
        due: Callable[[], bool],
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._metrics = metrics
        self._heads = heads
        self._trail = trail
        self._due = due
        self._own: set[Name] = set()
        self._wanted = asyncio.Event()
        # Set from the start: definitions may have changed before.
        self._look_wanted = asyncio.Event()
        self._look_wanted.set()
        heads.on_changed = self.changed

    def changed(self, tenant: str, name: str) -> None:
        """This replica has changed the head, and rows wait in it."""
        self._own.add((tenant, name))
        self._wanted.set()

    def definitions_changed(self) -> None:
        """Somebody has changed definitions."""
        self._look_wanted.set()

    async def run(self) -> None:
        """Deliver what this replica has changed, and look for what others left, until cancelled."""
        await asyncio.gather(self._run_own(), self._run_others())

    async def deliver_once(self) -> bool:
        """Bring home the rows of this replica's changes; whether all are."""
        own, self._own = self._own, set()
        for name in own:
            if not await self._kept(name):
                self._own.add(name)
        return not self._own

    async def look_once(self) -> int:
        """Bring home what others left; returns of how many definitions. Raises: StoreError."""
        until_ms = self._clock.now_ms() - LEFT_TO_OTHERS_MS
        page = await self._store.search(self._names.definitions, unaudited_heads_body(until_ms))
        names = [tuple(hit.id.split("/", 1)) for hit in page.hits]
        for tenant, name in names:
            await self._deliver((tenant, name))
        return len(names)

    async def _run_own(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._metrics.loop("definitions_audit")
            if not await self.deliver_once():
                self._metrics.loop_failed("definitions_audit")
                await asyncio.sleep(_AGAIN_S)
                self._wanted.set()

    async def _run_others(self) -> None:
        while True:
            await self._look_wanted.wait()
            await asyncio.sleep(_LOOK_AFTER_MS / 1_000)
            if not self._due():
                continue
            self._look_wanted.clear()
            try:
                if not await self.look_once():
                    continue
            except StoreError as error:
                log.warning("definitions.rows_not_looked_for", error=str(error))
            except Exception:
                log.exception("definitions.rows_not_looked_for")
            self._look_wanted.set()

    async def _kept(self, name: Name) -> bool:
        try:
            return await self._deliver(name)
        except StoreError as error:
            log.warning("definitions.rows_not_delivered", tenant=name[0], workflow=name[1], error=str(error))
        except Exception:
            log.exception("definitions.rows_not_delivered", tenant=name[0], workflow=name[1])
        return False

    async def _deliver(self, name: Name) -> bool:
        """Whether all rows of the head stand, and it says so. Raises: StoreError."""
        head, _ = await self._heads.stored(*name)
        if head is None or not head.outbox:
            return True
        outcomes = await self._outcomes(head.outbox)
        moved = await self._moved([row for row in head.outbox if outcomes.get(row.id) == "closed"])
        standing = {id for id, outcome in outcomes.items() if outcome == "standing"}
        head, at = await self._heads.stored(*name)
        if head is None:
            return True
        waiting = [moved.get(row.id, row) for row in head.outbox if row.id not in standing]
        left = [row for row in waiting if row is not None]
        return await self._heads.put(delivered(head, left), at) and not left

    async def _outcomes(self, rows: list[WaitingRow]) -> dict[str, Outcome]:
        """What has become of each, as far as that is known in time."""
        given = ((row.id, row.row, row.index) for row in rows)
        outcomes = await outcomes_of(self._trail, given, within_s=_STANDS_WITHIN_S)
        if len(outcomes) < len(rows):
            log.warning("definitions.rows_wait", rows=len(rows) - len(outcomes))
        return outcomes

    async def _moved(self, closed: list[WaitingRow]) -> dict[str, WaitingRow | None]:
        """Where rows go whose index takes no more; None for one that the trail has."""
        moved: dict[str, WaitingRow | None] = {}
        for row in closed:
            held = await rows_held(self._store, self._names.audit, row.index, [row.id])
            moved[row.id] = None if held else replace(row, index=self._trail.index)
        return moved
