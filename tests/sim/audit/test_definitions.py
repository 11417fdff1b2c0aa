"""Every change of a definition has its rows in the audit trail, whoever died after making it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from leasehold.claim.wire.versions import RollbackBody
from leasehold.core.errors import LeaseholdError
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, ROUND_TRIP_S, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import Mortal, whole

ANN = Principal("ann", "acme", roles=("author",), address="10.0.0.7")


def source(version: int) -> bytes:
    return f"name: flow\nversion: {version}\nsteps:\n  - {{name: only, executor: work}}\n".encode()


def rows(cluster: ModelElasticsearch) -> list[dict[str, Any]]:
    found = [(int(id.rsplit(":", 1)[1]), row) for id, row in definition_rows(cluster).items()]
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def definition_rows(cluster: ModelElasticsearch) -> dict[str, dict[str, Any]]:
    return {id: row for id, row in documents(cluster, NAMES.audit).items() if id.startswith("definition:")}


def told(cluster: ModelElasticsearch) -> list[tuple[str, int]]:
    return [(row["event"]["action"], row["workflow"]["version"]) for row in rows(cluster)]


def outbox(cluster: ModelElasticsearch) -> list[Any]:
    return [row for head in documents(cluster, NAMES.definitions, "head").values() for row in head.get("outbox", ())]


async def put(s: Scheduler, version: int, *, activate: bool = True) -> None:
    await s.replica.put_definition(ANN, "flow", source(version), activate=activate)


def test_what_happens_to_a_definition_is_told_with_who_from_where_and_before_and_after() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await put(s, 1)
            await put(s, 2)
            await s.replica.roll_back_version(ANN, "flow", RollbackBody())
            await s.replica.delete_definition(ANN, "flow")
            await asyncio.sleep(5)
        assert told(cluster) == [
            ("store_version", 1),
            ("activate", 1),
            ("store_version", 2),
            ("activate", 2),
            ("rollback", 1),
            ("delete_definition", 1),
        ]
        assert not outbox(cluster)
        (activated,) = [row for row in rows(cluster) if row["workflow"]["version"] == 2 and "before" in row["details"]
                        and row["event"]["action"] == "activate"]  # fmt: skip
        assert activated["user"] == {"name": "ann", "roles": ["author"], "tenant": "acme", "space": ["default"]}
        assert activated["source"] == {"ip": "10.0.0.7"}
        assert (activated["tenant"], activated["space"]) == ("acme", "*")
        before, after = activated["details"]["before"]["active"], activated["details"]["after"]["active"]
        assert (before["version"], after["version"]) == (1, 2)
        assert before["content_hash"] != after["content_hash"]
        assert len(after["source_sha256"]) == 64
        stored = rows(cluster)[2]["details"]
        assert stored == {"before": None, "after": after}
        whole(cluster)

    run_virtual(main())


def test_what_changes_nothing_leaves_no_row() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await put(s, 1)
            await put(s, 1)
            await asyncio.sleep(5)
            assert len(rows(cluster)) == 2

    run_virtual(main())


class Watched(Mortal):
    """Dies at the n-th write of definitions, the trail and its heads."""

    armed = False

    async def bulk(self, lines: Any, *, index: str | None = None, timeout_ms: int = 30_000) -> Any:
        watched = index in (NAMES.definitions,) or (index or "").startswith(NAMES.audit) or b'"chain:' in lines[0]
        if self.armed and (watched or self.dead):
            return await super().bulk(lines, index=index, timeout_ms=timeout_ms)
        return await ModelStore.bulk(self, lines, index=index, timeout_ms=timeout_ms)


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, 9))
@pytest.mark.parametrize("rolls", [False, True], ids=["", "rolled"])
def test_whoever_makes_a_change_may_die_at_any_write(dies_at: int, applied: bool, rolls: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster, replica_id="first", owning=False) as s:
            await put(s, 1)
        store = Watched(cluster, dies_at=dies_at, applied=applied)
        store._latency_s = lambda: ROUND_TRIP_S / 2
        done = False
        async with scheduler(cluster, store=store, replica_id="mortal", owning=False) as s:
            store.armed = True
            with suppress(LeaseholdError):
                await put(s, 2)
                done = True
            await asyncio.sleep(5)
        if rolls:
            cluster.roll_over(NAMES.audit)
            cluster.indices[NAMES.first(NAMES.audit)].write_blocked = True
        async with scheduler(cluster, replica_id="survivor"):
            await asyncio.sleep(90)
        head = documents(cluster, NAMES.definitions, "head")["acme/flow"]
        changed = head["active"] == 2
        assert changed or not done
        assert told(cluster)[2:] == ([("store_version", 2), ("activate", 2)] if changed else [])
        ids = [id for index in cluster.resolve(NAMES.audit) for id in index.documents if id.startswith("definition:")]
        assert len(ids) == len(set(ids))
        assert not outbox(cluster)
        assert "unaudited_since_ms" not in head
        whole(cluster)

    run_virtual(main())
