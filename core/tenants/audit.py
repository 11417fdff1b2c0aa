"""The audit of changes of tenant documents: every one has one row in `workflow-audit`, whoever made it by what means.

Whoever sees a change records it: the API that made it, and every replica that the change feed tells of it. Reads are
realtime GETs; the document is read after what the audit keeps, so a write conditional on the latter never records what
is older than what is recorded. Two raw edits within one moment may be one change to all who look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from ...ilm import IndexNames
from ..errors import StoreError, StoreRejected, StoreUnavailable
from ..es.lines import create_line, create_line_in, index_line
from ..history_rows import stripped_row
from ..ports import BulkItem, Clock, Store, Version
from .recording import recorded
from .stored import Audited, Waiting, audited_id, audited_of

log = structlog.get_logger(__name__)

BATCH = 100
OUTBOX_MAX = 100
"""Rows of one tenant that may wait while the audit index does not take them."""
_PASSES = 10


class Standing(Struct, frozen=True):
    """What the audit keeps of a tenant, as it stands in the index; `version` is None where nothing does."""

    audited: Audited
    version: Version | None


class Auditor:
    """One replica's. `remembered` gives what is known of a tenant whose audit document is gone."""

    def __init__(
        self, *, store: Store, names: IndexNames, clock: Clock, remembered: Callable[[str], Audited | None]
    ) -> None:
        self._store = store
        self._index = names.tenants
        self._alias = names.audit
        self._clock = clock
        self._remembered = remembered
        self._write_index: str | None = None

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
        for _ in range(_PASSES):
            settled, full = await self._record(tenants)
            home = await self._deliver([*(one for one in settled.values() if one.audited.outbox), *full])
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
        index, now_ms = await self._row_index(), self._clock.now_ms()
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
        return settled, full

    async def _deliver(self, standing: Sequence[Standing]) -> set[str]:
        """Create the rows that wait, and take those that are home out of the outboxes. Returns whose all are."""
        rows = [(one, waiting) for one in standing for waiting in one.audited.outbox]
        if not rows:
            return set()
        lines = [line for _, row in rows for line in (create_line_in(row.index, row.row_id), row.row.encode())]
        items = await self._store.bulk(lines)
        left: dict[str, list[Waiting]] = {one.audited.tenant: [] for one in standing}
        for (one, waiting), item in zip(rows, items, strict=True):
            if (after := await self._after(waiting, item)) is not None:
                left[one.audited.tenant].append(after)
        changed = [
            Standing(replace(one.audited, outbox=tuple(left[one.audited.tenant])), one.version) for one in standing
        ]
        await self._write(changed)
        return {tenant for tenant, waiting in left.items() if not waiting}

    async def _after(self, waiting: Waiting, item: BulkItem) -> Waiting | None:
        """What still waits after an attempt to create the row."""
        if item.status in (200, 201, 409):
            return None
        log.warning("tenants.row_failed", row=waiting.row_id, status=item.status, reason=item.error_reason)
        if item.status == 400:
            return replace(waiting, row=stripped_row(waiting.row.encode()).decode())
        if item.status in (403, 404):
            return await self._elsewhere(waiting)
        raise StoreUnavailable(f"the audit row {waiting.row_id} was answered {item.status}")

    async def _elsewhere(self, waiting: Waiting) -> Waiting | None:
        """The index takes no more rows: what it holds is home, the rest goes where the alias writes now."""
        try:
            if await self._store.get(waiting.index, waiting.row_id) is not None:
                return None
        except StoreRejected as error:
            if error.status != 404:
                raise
        self._write_index = None
        index = await self._row_index()
        if index == waiting.index:
            raise StoreUnavailable(f"{index} takes no audit rows")
        return replace(waiting, index=index)

    async def _row_index(self) -> str:
        """The concrete index that rows go to; it stands in the outbox, so that no roll-over doubles a row."""
        if self._write_index is None:
            self._write_index = await self._store.resolve_write_index(self._alias)
        return self._write_index

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
