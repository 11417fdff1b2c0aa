"""The audit of changes of tenant documents: every one has one row in `workflow-audit`, whoever made it by what means.

Whoever sees a change records it: the API that made it, and every replica that the change feed tells of it. Reads are
realtime GETs; the document is read after what the audit keeps, so a write conditional on the latter never records what
is older than what is recorded. Two raw edits within one moment may be one change to all who look.

The row waits in the audit's document until it stands. Whoever recorded it brings it home; the others do so when it has
waited too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from ...ilm import IndexNames
from ..audit import Outcome, Trail, outcomes_of
from ..errors import StoreError, StoreUnavailable
from ..es.lines import create_line, index_line
from ..es.rows_held import rows_held
from ..ports import BulkItem, Clock, Store, Version
from .recording import recorded
from .stored import Audited, Waiting, audited_id, audited_of

log = structlog.get_logger(__name__)

BATCH = 100
OUTBOX_MAX = 100
"""Rows of one tenant that may wait while the audit index does not take them."""
_PASSES = 10
# How long another replica's row is left to that replica, and how long the trail is waited for.
_LEFT_TO_OTHERS_MS = 1_500
_STANDS_WITHIN_S = 30.0


class Standing(Struct, frozen=True):
    """What the audit keeps of a tenant, as it stands in the index; `version` is None where nothing does."""

    audited: Audited
    version: Version | None


class Auditor:
    """One replica's. `remembered` gives what is known of a tenant whose audit document is gone."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        trail: Trail,
        remembered: Callable[[str], Audited | None],
    ) -> None:
        self._store = store
        self._index = names.tenants
        self._alias = names.audit
        self._clock = clock
        self._trail = trail
        self._remembered = remembered
        # Rows that this replica has recorded.
        self._own: set[str] = set()

    async def audit(self, tenants: Iterable[str]) -> None:
        """Record what has changed of these, and bring the rows home. Raises: StoreError; nothing is lost by it."""
        ordered = sorted(set(tenants))
        for at in range(0, len(ordered), BATCH):
            await self._settle(ordered[at : at + BATCH])

    async def record(self, tenant: str) -> Standing:
        """Record what stands now, and return it recorded. Raises: StoreError."""
        for _ in range(_PASSES):
            settled, full = await self._record([tenant])
            if tenant in settled:
                return settled[tenant]
            await self._deliver(full)
        raise _restless(1)

    async def write(self, standing: Standing) -> Standing | None:
        """Write what the audit keeps over what was read; None where another came first. Raises: StoreError."""
        (item,) = await self._write([standing])
        return None if item.version is None else Standing(standing.audited, item.version)

    async def _settle(self, tenants: Sequence[str]) -> None:
        left: set[str] = set()
        for _ in range(_PASSES):
            settled, full = await self._record(tenants)
            waiting = [*(one for one in settled.values() if one.audited.outbox), *full]
            others = [one for one in waiting if any(row.row_id not in self._own | left for row in one.audited.outbox)]
            home = await self._deliver([one for one in waiting if one not in others])
            if others:
                # Who has recorded them is about to bring them home.
                await asyncio.sleep(_LEFT_TO_OTHERS_MS / 1_000)
                left |= {row.row_id for one in others for row in one.audited.outbox}
            tenants = [
                tenant
                for tenant in tenants
                if tenant not in settled or (settled[tenant].audited.outbox and tenant not in home)
            ]
            if not tenants:
                return
        raise _restless(len(tenants))

    async def _record(self, tenants: Sequence[str]) -> tuple[dict[str, Standing], list[Standing]]:
        """Those that are recorded as they stand now, and those whose rows have to go before more is recorded.

        Where a race was lost they are in neither.
        """
        kept = await self._store.mget(self._index, [audited_id(tenant) for tenant in tenants])
        found = await self._store.mget(self._index, tenants)
        index, now_ms = self._trail.index, self._clock.now_ms()
        settled: dict[str, Standing] = {}
        full: list[Standing] = []
        wanted: list[Standing] = []
        for tenant, old, document in zip(tenants, kept, found, strict=True):
            audited = (None if old is None else audited_of(old.source)) or self._remembered(tenant)
            version = None if old is None else old.version
            standing = Standing(audited or Audited(tenant, now_ms), version)
            after = recorded(standing.audited, document, index=index, now_ms=now_ms)
            if after is None:
                settled[tenant] = standing
            elif len(standing.audited.outbox) >= OUTBOX_MAX:
                full.append(standing)
            else:
                wanted.append(Standing(after, version))
        for standing, item in zip(wanted, await self._write(wanted), strict=True):
            if item.version is not None:
                settled[standing.audited.tenant] = Standing(standing.audited, item.version)
                self._own.add(standing.audited.outbox[-1].row_id)
        return settled, full

    async def _deliver(self, standing: Sequence[Standing]) -> set[str]:
        """Have the rows written that wait, and take those that stand out of the outboxes. Returns whose all do."""
        rows = [row for one in standing for row in one.audited.outbox]
        if not rows:
            return set()
        outcomes = await self._outcomes(rows)
        moved = await self._moved([row for row in rows if outcomes[row.row_id] == "closed"])
        changed = []
        for one in standing:
            outbox = tuple(moved[row.row_id] for row in one.audited.outbox if row.row_id in moved)
            changed.append(Standing(replace(one.audited, outbox=outbox), one.version))
        await self._write(changed)
        self._own -= {row.row_id for row in rows if row.row_id not in moved}
        return {one.audited.tenant for one in changed if not one.audited.outbox}

    async def _outcomes(self, rows: Sequence[Waiting]) -> dict[str, Outcome]:
        """What becomes of each. Raises: StoreUnavailable where the trail takes none for long; they are on their way."""
        given = ((row.row_id, row.row, row.index) for row in rows)
        outcomes = await outcomes_of(self._trail, given, within_s=_STANDS_WITHIN_S)
        if len(outcomes) < len(rows):
            raise StoreUnavailable("the audit trail takes no rows at the moment")
        return outcomes

    async def _moved(self, closed: Sequence[Waiting]) -> dict[str, Waiting]:
        """Their index takes no more rows: what stands in the trail is home, the rest is named for another index."""
        moved: dict[str, Waiting] = {}
        for index in {row.index for row in closed}:
            there = [row for row in closed if row.index == index]
            held = await rows_held(self._store, self._alias, index, [row.row_id for row in there])
            moved |= {row.row_id: replace(row, index=self._trail.index) for row in there if row.row_id not in held}
        return moved

    async def _write(self, standing: Sequence[Standing]) -> list[BulkItem]:
        """Raises: StoreError; a lost race is an item without a version."""
        lines = []
        for one in standing:
            version, id = one.version, one.audited.id
            lines.append(create_line(id) if version is None else index_line(id, version.seq_no, version.primary_term))
            lines.append(msgspec.json.encode(one.audited))
        items = await self._store.bulk(lines, index=self._index) if lines else []
        for item in items:
            if item.status not in (200, 201, 409):
                raise StoreError(f"{item.id} could not be stored: {item.status} {item.error_reason}")
        return items


def _restless(tenants: int) -> StoreUnavailable:
    return StoreUnavailable(f"{tenants} tenant documents are being changed by others all the time")
