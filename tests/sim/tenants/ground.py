"""What tests of tenant documents share: raw edits, what the audit says, and a client that dies at a given write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from leasehold.core.errors import OutcomeUnknown, StoreUnavailable
from leasehold.core.es.lines import delete_line, put_line
from leasehold.core.ports import BulkItem
from leasehold.core.principal import Principal
from leasehold.tenancy.rules import Rules

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, ROUND_TRIP_S, Scheduler, documents

ALICE = Principal("alice", "default", roles=("operator",))
OUTSIDE = "(outside the API)"


class Mortal(ModelStore):
    """A client that is dead to the world from its n-th write of tenants, audit and heads of chains on.

    `applied`: that write still takes effect. Without `dies_at` it lives.
    """

    def __init__(self, cluster: ModelElasticsearch) -> None:
        super().__init__(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
        self.dies_at: int | None = None
        self.applied = False
        self.writes = 0

    @property
    def dead(self) -> bool:
        return self.dies_at is not None and self.writes >= self.dies_at

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        if self.dead:
            raise StoreUnavailable("dead")
        if index == NAMES.tenants or (index or "").startswith(NAMES.audit) or b'"chain:' in lines[0]:
            self.writes += 1
            if self.dead:
                if self.applied:
                    await super().bulk(lines, index=index, timeout_ms=timeout_ms)
                raise OutcomeUnknown("died")
        return await super().bulk(lines, index=index, timeout_ms=timeout_ms)

    async def get(self, index: str, id: str) -> Any:
        self._live()
        return await super().get(index, id)

    async def mget(self, index: str, ids: Sequence[str]) -> Any:
        self._live()
        return await super().mget(index, ids)

    async def refresh(self, index: str) -> None:
        self._live()
        await super().refresh(index)

    def _live(self) -> None:
        if self.dead:
            raise StoreUnavailable("dead")


async def edit(store: ModelStore, tenant: str, document: Any) -> None:
    """Write a document as any client of Elasticsearch may; None deletes it."""
    if document is None:
        (item,) = await store.bulk([delete_line(tenant)], index=NAMES.tenants)
    else:
        (item,) = await store.bulk([put_line(tenant), msgspec.json.encode(document)], index=NAMES.tenants)
    assert item.status in (200, 201), item


def rules(scheduler: Scheduler) -> Rules:
    """What the replica obeys."""
    return scheduler.replica._engine.tenants.rules


def rows(cluster: ModelElasticsearch, tenant: str) -> list[dict[str, Any]]:
    """The audit rows of a tenant's document, in the order of its changes. No change has two."""
    found = [
        (tuple(map(int, id.split(":")[2:])), row)
        for id, row in documents(cluster, NAMES.audit).items()
        if id.startswith(f"tenant:{tenant}:")
    ]
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def told(cluster: ModelElasticsearch, tenant: str) -> list[tuple[str, Any]]:
    """Who changed the document to what, by the audit, which leaves nothing out: each row begins where one ended."""
    before = None
    changes = []
    for row in rows(cluster, tenant):
        assert row["details"]["old"] == before, row
        before = row["details"]["new"]
        assert row["event"]["action"] == ("remove_tenant" if before is None else "change_tenant")
        changes.append((row["user"]["name"], before))
    return changes


def outboxes(cluster: ModelElasticsearch) -> list[Any]:
    """Rows that are not confirmed."""
    kept = documents(cluster, NAMES.tenants, "audited").values()
    return [waiting for one in kept for waiting in one.get("outbox", ())]
