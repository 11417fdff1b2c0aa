"""Trails on the model of Elasticsearch, and what stands there afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from leasehold.core.audit import Outcome, Trail
from leasehold.core.audit.rows import Head
from leasehold.core.audit.verify import Facts, IndexFact, Report, Row, verify
from leasehold.core.errors import OutcomeUnknown, StoreUnavailable
from leasehold.core.metrics import Metrics
from leasehold.core.ports import BulkItem

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, ROUND_TRIP_S, documents
from tests.kit.virtual_time import EPOCH_MS, VirtualClock

AUDIT_1 = NAMES.first(NAMES.audit)
AUDIT_2 = NAMES.numbered(NAMES.audit, 2)


class Mortal(ModelStore):
    """A client that is dead to the world from its n-th write on. `applied`: that write still takes effect."""

    def __init__(self, cluster: ModelElasticsearch, *, dies_at: int | None = None, applied: bool = False) -> None:
        super().__init__(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
        self.dies_at = dies_at
        self.applied = applied
        self.writes = 0

    @property
    def dead(self) -> bool:
        return self.dies_at is not None and self.writes >= self.dies_at

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        if self.dead:
            raise StoreUnavailable("dead")
        self.writes += 1
        if self.dead:
            if self.applied:
                await super().bulk(lines, index=index, timeout_ms=timeout_ms)
            raise OutcomeUnknown("died")
        return await super().bulk(lines, index=index, timeout_ms=timeout_ms)

    async def _request(self, *args: Any, **options: Any) -> Any:
        if self.dead and args[0] != "bulk":
            raise StoreUnavailable("dead")
        return await super()._request(*args, **options)


class Submitter:
    """Somebody whose rows wait in an outbox, under the index that it names, until they stand."""

    def __init__(self, trail: Trail, outbox: dict[str, str | None], *, repeated: bool = False) -> None:
        self.trail = trail
        self.outbox = outbox
        self.told: dict[str, list[Outcome]] = {}
        for id in list(outbox):
            self.submit(id, repeated=repeated)

    def submit(self, id: str, *, repeated: bool = False) -> None:
        def done(outcome: Outcome) -> None:
            self.told.setdefault(id, []).append(outcome)
            if outcome == "standing":
                del self.outbox[id]
            else:
                self.outbox[id] = self.trail.index
                self.submit(id)

        self.trail.submit(id, row(id), index=self.outbox[id], done=done, repeated=repeated)


def row(id: str) -> bytes:
    return msgspec.json.encode(
        {"@timestamp": "2027-01-15T08:00:00Z", "event": {"action": "cancel"}, "details": {"id": id, "x": [1.0, {}]}}
    )


def new_trail(store: ModelStore, *, replica_id: str = "a", skew_ms: int = 0, metrics: Metrics | None = None) -> Trail:
    return Trail(
        store=store, names=NAMES, clock=VirtualClock(skew_ms), metrics=metrics or Metrics(), replica_id=replica_id
    )


@asynccontextmanager
async def running(store: ModelStore, *, replica_id: str = "a", skew_ms: int = 0) -> AsyncIterator[Trail]:
    """A trail at work; it ends without a word, as a process does that is killed."""
    trail = new_trail(store, replica_id=replica_id, skew_ms=skew_ms)
    await trail.open()
    task = asyncio.create_task(trail.run())
    try:
        yield trail
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def all_written(trail: Trail, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while trail.waiting:
            await asyncio.sleep(0.05)


def standing(cluster: ModelElasticsearch) -> list[str]:
    """The ids of all rows but the trail's own; one that stands twice is there twice."""
    found = [id for one in cluster.resolve(NAMES.audit) for id in one.documents]
    return sorted(id for id in found if not id.startswith("chain:"))


def heads(cluster: ModelElasticsearch) -> tuple[Head, ...]:
    return tuple(msgspec.convert(one, Head) for one in documents(cluster, NAMES.keys, "chain").values())


def report(cluster: ModelElasticsearch) -> Report:
    """What `verify` says of all that stands now."""
    rows = [
        Row(index.name, document.id, msgspec.json.decode(document.source))
        for index in cluster.resolve(NAMES.audit)
        for document in index.documents.values()
    ]
    rows.sort(key=lambda one: (one.source["chain"]["writer"], one.source["chain"]["seq"]))
    indices = tuple(IndexFact(one.name, EPOCH_MS) for one in cluster.resolve(NAMES.audit))
    return verify(rows, Facts(NAMES.audit, EPOCH_MS, None, indices, heads(cluster), heads(cluster)))


def whole(cluster: ModelElasticsearch) -> Report:
    """The same, and there is no finding."""
    found = report(cluster)
    assert [finding.text for finding in found.findings] == []
    return found
