"""What tests of the ageing of history share: policies, what stands of them, and a client that dies at a given write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from leasehold.claim.wire.lifecycle import LastPass
from leasehold.core.errors import OutcomeUnknown, StoreUnavailable
from leasehold.core.ports import BulkItem
from leasehold.core.principal import Principal
from leasehold.ilm.lifecycle import BackendName, Done, IndexStatus
from leasehold.ilm.policies import Policy

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, ROUND_TRIP_S, Scheduler, documents

ALICE = Principal("alice", "acme", roles=("operator",), address="192.0.2.7")
BOB = Principal("bob", "acme", roles=("operator",))


def policy(delete: str | None = "30d", **rollover: Any) -> bytes:
    """A policy as somebody writes it: rolls over as told, and deletes, or keeps for ever."""
    phases: dict[str, Any] = {"hot": {"actions": {"rollover": rollover or {"max_age": "7d"}}}}
    if delete is not None:
        phases["delete"] = {"min_age": delete, "actions": {"delete": {}}}
    return msgspec.json.encode({"phases": phases})


class Mortal(ModelStore):
    """A client that is dead to the world from its n-th write of policies and of the audit trail on.

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
        self._live()
        if b'"policy:' in lines[0] or (index or "").startswith((NAMES.audit, NAMES.keys)):
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

    async def search(self, index: str | None, body: Mapping[str, Any]) -> Any:
        self._live()
        return await super().search(index, body)

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self._live()
        return await super().request(method, path, body)

    def _live(self) -> None:
        if self.dead:
            raise StoreUnavailable("dead")


class Recording:
    """A backend that notes what it is told, and has a defect where it is given one. Implements `Lifecycle`."""

    name: BackendName = "ager"
    run_on_a_server = False

    def __init__(self) -> None:
        self.applied: list[dict[str, Policy]] = []
        self.passes = 0
        self.defect: Exception | None = None

    @classmethod
    def of(cls, scheduler: Scheduler) -> Recording:
        """Put one in the place of the replica's own."""
        scheduler.replica._engine.ageing.backend = backend = cls()
        return backend

    async def apply(self, policies: Mapping[str, Policy]) -> list[str]:
        self.applied.append(dict(policies))
        return []

    async def pass_once(self, policies: Mapping[str, Policy], now_ms: int) -> list[Done]:
        self.passes += 1
        if self.defect is not None:
            raise self.defect
        return []

    async def status(self, policies: Mapping[str, Policy], now_ms: int) -> list[IndexStatus]:
        return []

    async def findings(self, policies: Mapping[str, Policy]) -> list[str]:
        return []


async def put(scheduler: Scheduler, family: str, source: bytes, *, by: Principal = ALICE, yes: bool = False) -> int:
    """The revision that is in force then."""
    changed = await scheduler.replica.put_policy(by, family, source, revision=None, yes=yes)
    return changed.after.revision


async def last_pass(scheduler: Scheduler) -> LastPass:
    found = (await scheduler.replica.lifecycle()).last_pass
    assert found is not None
    return found


def rows(cluster: ModelElasticsearch, family: str) -> list[dict[str, Any]]:
    """The rows of a policy's changes in the audit trail, in their order. None stands twice."""
    found = [
        (tuple(map(int, id.split(":")[2:])), row)
        for index in cluster.resolve(NAMES.audit)
        for id, row in documents(cluster, index.name).items()
        if id.startswith(f"policy:{family}:")
    ]
    assert len({place for place, _ in found}) == len(found)
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def outbox(cluster: ModelElasticsearch, family: str) -> list[Any]:
    """The rows that are not confirmed."""
    return list(documents(cluster, NAMES.control)[f"policy:{family}"].get("outbox", ()))


def deletes_after(row: dict[str, Any]) -> tuple[str | None, str | None]:
    """What a change did to the age of deletion, before and after."""
    old, new = (row["details"][side]["phases"].get("delete", {}).get("min_age") for side in ("old", "new"))
    return old, new


def indices(cluster: ModelElasticsearch, alias: str) -> list[str]:
    """The numbers of the indices behind an alias."""
    return [index.name.rpartition("-")[2] for index in cluster.resolve(alias)]
