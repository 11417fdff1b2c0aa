"""What has been left in the control index: records of replicas that nobody lists, shares of lanes that are gone.

A replica that lives renews its record every few seconds. So one that no list names and that stands in the same version
a minute later is nobody's; should its replica wake up after all, its next renewal writes the record again. Shares of
lanes that are gone are struck off by whoever has to do with the quota; what nobody has to do with is cleared here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec
import structlog
from msgspec import Struct

from ...ilm import IndexNames
from ...tenancy.shares import QuotaDocument, without_removed
from ..es.lines import delete_line, index_line
from ..es.sweeps import of_kind, sweep
from ..lanes.ownership.control import MEMBERS, Members
from ..metrics import Metrics
from ..ports import Clock, Store, StoredDocument
from .clearing import PAGE, Pace, Suspect, delete, suspected

log = structlog.get_logger(__name__)


class Record(Struct, frozen=True):
    """What a replica's record says of it."""

    replica: str
    started_at_ms: int = 0


_replica = msgspec.json.Decoder(Record).decode
_quota = msgspec.json.Decoder(QuotaDocument).decode
_members = msgspec.json.Decoder(Members).decode


class LeftBehind:
    """One replica's. `was_removed` tells lanes that are gone."""

    def __init__(
        self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics, was_removed: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._index = names.control
        self._clock = clock
        self._metrics = metrics
        self._was_removed = was_removed
        self._suspects: dict[str, Suspect] = {}

    async def pass_once(self) -> int:
        """Returns how many documents were deleted or changed. Raises: StoreError."""
        return await self._clear_records() + await self._clear_quotas()

    async def unlisted(self) -> list[tuple[Record, StoredDocument]]:
        """The records of replicas that are not listed, as they stand; one that signs on just now may be among them."""
        found = [hit async for page in self._all("replica", []) for hit in page]
        stand = [one for one in await self._store.mget(self._index, [hit.id for hit in found]) if one is not None]
        listed = await self._store.get(self._index, MEMBERS)
        members = [] if listed is None else _members(listed.source).replicas
        records = [(_replica(one.source), one) for one in stand]
        return [(record, one) for record, one in records if record.replica not in members]

    async def _clear_records(self) -> int:
        unlisted = [one for _, one in await self.unlisted()]
        found: dict[str, Suspect] = {}
        sure = suspected(unlisted, self._suspects, found, self._clock.monotonic_ms())
        self._suspects = found
        gone = await delete(self._store, self._index, sure)
        self._metrics.cleared("replica", len(gone))
        return len(gone)

    async def _clear_quotas(self) -> int:
        pace = Pace(self._clock)
        cleared = 0
        async for page in self._all("quota", None):
            lines = [line for hit in page for line in self._lines(hit)]
            if lines:
                items = await self._store.bulk(lines, index=self._index)
                done = sum(item.status == 200 for item in items)
                self._metrics.cleared("quota", done)
                cleared += done
            await pace.rest()
        return cleared

    def _lines(self, hit: StoredDocument) -> list[bytes]:
        """What is to be written over a quota's document: nothing, unless it names lanes that are gone."""
        before, version = _quota(hit.source), hit.version
        after = without_removed(before, self._was_removed)
        if after is before or version is None:
            return []
        if not after.shares and not after.wants:
            # Whoever needs the quota next makes it again, by the rules that are in force then.
            return [delete_line(hit.id, version.seq_no, version.primary_term)]
        return [index_line(hit.id, version.seq_no, version.primary_term), msgspec.json.encode(after)]

    def _all(self, kind: str, fields: list[str] | None) -> AsyncIterator[list[StoredDocument]]:
        return sweep(self._store, self._index, [of_kind(kind)], fields=fields, page_size=PAGE)
