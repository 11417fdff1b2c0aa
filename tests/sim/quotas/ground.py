"""Replicas under quotas, and a watch that looks at the documents after every single write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from leasehold.core.errors import OutcomeUnknown, StoreUnavailable
from leasehold.core.ports import BulkItem
from leasehold.core.settings import Settings

from tests.kit.faults import Held, Moment
from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import NAMES, ROUND_TRIP_S, SETTINGS, Scheduler, documents, scheduler
from tests.kit.virtual_time import VirtualClock

FOREVER = 1_000_000_000
STEPS = "quota:running_steps:acme:"

ONE = """
name: one
steps:
  - {name: only, executor: work}
"""


class Watched(ModelElasticsearch):
    """Counts leased steps after every write; `most` is the highest number there ever was since it was last set.

    A lease that an earlier owner wrote behind a later one's fence was never answered, and counts for nothing.
    `wrong` lists the writes of quotas' documents that gave out more than is allowed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.wrong: list[str] = []
        self.quota_writes = 0
        self._fences: dict[str, int] = {}
        self._leased: dict[tuple[str, str], dict[str, int]] = {}
        self._claimed: dict[tuple[str, str], dict[str, int]] = {}

    @property
    def leased(self) -> int:
        return sum(map(len, self._leased.values()))

    def leased_in(self, lane: str) -> int:
        """Leased steps of one lane, those included that nobody was told of."""
        return sum(len(steps) for (index, _), steps in self._claimed.items() if index == NAMES.lane(lane))

    def apply(self, operation: Operation) -> BulkItem:
        before = documents(self, NAMES.control) if operation.id.startswith("quota:") else {}
        item = super().apply(operation)
        if 200 <= item.status < 300:
            if "-lane-" in operation.index:
                self._note(operation)
            elif operation.id.startswith("quota:"):
                self.quota_writes += 1
                self._check(operation, before.get(operation.id))
        return item

    def _note(self, operation: Operation) -> None:
        found = {} if operation.source is None else msgspec.json.decode(operation.source)
        if found.get("kind") == "fence":
            self._fences[operation.index] = found["epoch"]
            return
        key = operation.index, operation.id
        claimed = {
            path: step["token"] for path, step in found.get("steps", {}).items() if step.get("status") == "claimed"
        }
        valid = claimed
        if found.get("epoch", 0) < self._fences.get(operation.index, 0):
            known = self._leased.get(key, {})
            valid = {path: token for path, token in claimed.items() if known.get(path) == token}
        self._leased[key], self._claimed[key] = valid, claimed
        self.most = max(self.most, self.leased)

    def _check(self, operation: Operation, before: dict[str, Any] | None) -> None:
        if operation.source is None:
            return
        after = msgspec.json.decode(operation.source)
        had: dict[str, list[int]] = {} if before is None else before["shares"]
        given = sum(units for _, units in after["shares"].values())
        if given <= after["limit"] or given <= sum(units for _, units in had.values()):
            return
        for lane, (_, units) in after["shares"].items():
            if units > had.get(lane, [0, 0])[1] and units > self.leased_in(lane):
                self.wrong.append(f"{operation.id}: {before} -> {after}")

    def limit(self, tenant: str = "acme", **fields: Any) -> None:
        """What ops write into the tenants index."""
        source = msgspec.json.encode(fields)
        assert super().apply(Operation("index", NAMES.tenants, tenant, source)).status in (200, 201)


class Mortal(ModelStore):
    """A replica's way to Elasticsearch, which may end for good at the nth write of lanes or quotas, or stand still."""

    def __init__(self, cluster: ModelElasticsearch) -> None:
        super().__init__(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
        self.writes = 0
        self.dies_at = FOREVER
        self.applied = False
        self.pauses_at = FOREVER
        self.pause_s = 0.0
        self.still_until_s = 0.0
        self._holds: list[tuple[Moment, Held]] = []

    def dies_in(self, writes: int, *, applied: bool) -> None:
        """So many writes from now on are the last; with `applied` the last one is, and its answer is lost."""
        self.dies_at, self.applied = self.writes + writes, applied

    def hold_quota(self, moment: Moment) -> Held:
        """The next write of a quota's document stands still on this side of its effect."""
        held = Held()
        self._holds.append((moment, held))
        return held

    def pauses_in(self, writes: int, *, for_s: float) -> None:
        """After so many writes nothing comes or goes for a while."""
        self.pauses_at, self.pause_s = self.writes + writes, for_s

    def stand_still(self, for_s: float) -> None:
        """What is asked meanwhile is asked then."""
        self.still_until_s = asyncio.get_running_loop().time() + for_s

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        if (index or "").startswith(f"{NAMES.prefix}-lane-") or any(b'"quota:' in line for line in lines):
            self.writes += 1
            if self.writes == self.pauses_at:
                self.stand_still(self.pause_s)
        held = self._holds.pop() if self._holds and any(b'"quota:' in line for line in lines) else None
        if held is not None and held[0] == "before":
            await held[1].stand_still()
        items = await self._sent(lines, index, timeout_ms)
        if held is not None and held[0] == "after":
            await held[1].stand_still()
        return items

    async def _sent(self, lines: Sequence[bytes], index: str | None, timeout_ms: int) -> list[BulkItem]:
        if self.writes == self.dies_at and self.applied:
            await super().bulk(lines, index=index, timeout_ms=timeout_ms)
            self.writes += 1
            raise OutcomeUnknown("the answer is lost")
        return await super().bulk(lines, index=index, timeout_ms=timeout_ms)

    async def _request(self, operation: str, *rest: Any, **options: Any) -> Any:
        if self.writes >= self.dies_at and not (self.applied and self.writes == self.dies_at):
            raise StoreUnavailable(f"{operation}: cannot connect")
        wait_s = self.still_until_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        return await super()._request(operation, *rest, **options)


def settings(lanes: int, port: int, **changes: Any) -> Settings:
    changed = msgspec.structs.replace(SETTINGS, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=lanes, **changes))
    return msgspec.structs.replace(changed, server=msgspec.structs.replace(SETTINGS.server, port=port))


def watched(lanes: int = 2) -> Watched:
    cluster = Watched()
    cluster.bootstrap(NAMES, lanes=lanes)
    return cluster


@asynccontextmanager
async def member(
    cluster: Watched, peers: ModelPeers, port: int, *, lanes: int = 2, skew_ms: int = 0, **changes: Any
) -> AsyncIterator[Scheduler]:
    """One replica of several, which reach each other. Its store is a `Mortal`."""
    async with scheduler(
        cluster,
        settings=settings(lanes, port, **changes),
        replica_id=f"r{port}",
        seed=port,
        owning=False,
        peers=peers,
        clock=VirtualClock(skew_ms),
        store=Mortal(cluster),
    ) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s


@asynccontextmanager
async def several(
    cluster: Watched, *, replicas: int = 2, lanes: int = 2, peers: ModelPeers | None = None
) -> AsyncIterator[list[Scheduler]]:
    """Replicas that own the lanes between them, and workflow `one`."""
    peers = peers or ModelPeers()
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(member(cluster, peers, port, lanes=lanes))
            for port in range(1, replicas + 1)
        ]
        await asyncio.sleep(10)
        await found[0].define(ONE)
        yield found


def quota_documents(cluster: ModelElasticsearch) -> dict[str, dict[str, Any]]:
    return documents(cluster, NAMES.control, "quota")


def shares(cluster: ModelElasticsearch, quota: str = STEPS) -> dict[str, int]:
    """How many units each lane has, by the quota's document."""
    found = quota_documents(cluster).get(quota)
    return {} if found is None else {lane: units for lane, (_, units) in found["shares"].items()}
