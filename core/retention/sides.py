"""Side documents that a crash has left behind: large values in a lane whose instance is gone for good.

A value belongs to an instance, and that to a root: itself, or the instance that it is a descendant of. It is an orphan
when neither stands in the lane or in its owner's memory, and the root can't come back: history does not hold it (a
re-drive needs that) and no idempotency key names it (a repeat needs that). Ids are never used again, so nobody can come
to want the value between this judgement and the deletion. It is judged in two passes, at least a minute apart, and
deleted only if both find the same version. So what is written just now is never taken, whatever is under way.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ...ilm import IndexNames
from ..es.sweeps import keys_naming_body, of_kind, sweep
from ..lanes.lane import Lane
from ..metrics import Metrics
from ..ports import Clock, Store, StoredDocument
from .clearing import PAGE, Pace, Suspect, delete, suspected
from .keys import gone_from


class _Side(Struct, frozen=True):
    side_of: str


class _Named(Struct, frozen=True):
    instance_id: str


class _Row(Struct, frozen=True):
    workflow: dict[str, object] = {}


_decode = msgspec.json.Decoder(_Side).decode
_named = msgspec.json.Decoder(_Named).decode
_row = msgspec.json.Decoder(_Row).decode


class Sides:
    """One replica's. What it found in a lane is remembered until the next pass."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._metrics = metrics
        self._suspects: dict[str, dict[str, Suspect]] = {}

    async def pass_over(self, lane: Lane) -> int:
        """Delete the lane's orphans that were orphans before; returns how many. Raises: StoreError."""
        before, found = self._suspects.pop(_life_of(lane), {}), dict[str, Suspect]()
        pace = Pace(self._clock)
        cleared = 0
        async for page in sweep(self._store, lane.index, [of_kind("side")], fields=["side_of"], page_size=PAGE):
            orphans = await self._orphans(lane, page)
            sure = suspected(orphans, before, found, self._clock.monotonic_ms())
            if sure and lane.open and not lane.leaving:
                gone = await delete(self._store, lane.index, sure)
                if gone:
                    lane.committer.own_writes.acknowledge(gone)
                self._metrics.cleared("side", len(gone))
                cleared += len(gone)
            await pace.rest()
        self._suspects = {life: seen for life, seen in self._suspects.items() if not life.startswith(f"{lane.name}.")}
        self._suspects[_life_of(lane)] = found
        return cleared

    async def orphans(self, lane: Lane) -> int:
        """How many of the lane's side documents are orphans at this moment. Raises: StoreError."""
        count = 0
        async for page in sweep(self._store, lane.index, [of_kind("side")], fields=["side_of"], page_size=PAGE):
            count += len(await self._orphans(lane, page))
        return count

    async def _orphans(self, lane: Lane, page: list[StoredDocument]) -> list[StoredDocument]:
        owners = {hit.id: _decode(hit.source).side_of for hit in page}
        absent = await self._absent(lane, set(owners.values()))
        if not absent:
            return []
        roots = {_root_of(id) for id in absent}
        back = await self._may_come_back(roots)
        return [hit for hit in page if owners[hit.id] in absent and _root_of(owners[hit.id]) not in back]

    async def _absent(self, lane: Lane, owners: set[str]) -> set[str]:
        """The owners that neither the lane nor memory holds, and whose roots they do not hold either."""
        ids = {id for owner in owners for id in (owner, _root_of(owner))}
        gone = {id for id in await gone_from(self._store, lane.index, sorted(ids)) if id not in lane.residents}
        return {owner for owner in owners if owner in gone and _root_of(owner) in gone}

    async def _may_come_back(self, roots: set[str]) -> set[str]:
        ids = sorted(roots)
        keys = await self._store.search(self._names.keys, keys_naming_body(ids))
        ended = {
            "query": {"terms": {"workflow.id": ids}},
            "_source": ["workflow.id"],
            "size": 10_000,
            "track_total_hits": False,
        }
        rows = await self._store.search(self._names.instances, ended)
        back = {_named(hit.source).instance_id for hit in keys.hits}
        back.update(str(_row(hit.source).workflow.get("id", "")) for hit in rows.hits)
        # A page of hits that is full may hide some.
        return roots if len(keys.hits) >= 10_000 or len(rows.hits) >= 10_000 else back


def _root_of(instance_id: str) -> str:
    """The instance that nobody's child is: ids of children begin with their parents'."""
    return instance_id.partition(":")[0]


def _life_of(lane: Lane) -> str:
    return f"{lane.name}.{lane.epoch}"
