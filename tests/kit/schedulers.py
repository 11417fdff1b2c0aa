"""The real replica on the model of Elasticsearch, in virtual time: what engine tests drive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
from leasehold.claim.wire import ClaimedStep, CompleteBody, ErrorInfo, FailBody, StartAnswer, StartBody
from leasehold.core.metrics import Metrics
from leasehold.core.opening import replica_on
from leasehold.core.peers import NoPeers, Peers
from leasehold.core.principal import Principal
from leasehold.core.replica import Replica
from leasehold.core.settings import LaneSettings, Settings
from leasehold.ilm import IndexNames

from .model_store import ModelElasticsearch, ModelStore
from .virtual_time import VirtualClock

NAMES = IndexNames("workflow")
LANE = NAMES.lane("00")
ROUND_TRIP_S = 0.002
SETTINGS = Settings(lanes=LaneSettings(lanes=1))
ANYBODY = Principal("tester", "acme", roles=("operator",))

ONE_STEP = """
name: one
steps:
  - {name: only, executor: work, input: {n: "{{ inputs.n | default(0) }}"}}
"""

TWO_STEPS = """
name: two
steps:
  - {name: first, executor: work}
  - {name: second, executor: work, input: {got: "{{ steps.first.result }}"}}
"""


class Scheduler:
    """A replica with its store, and the few calls that tests make again and again."""

    def __init__(self, replica: Replica, store: ModelStore) -> None:
        self.replica = replica
        self.store = store
        self.faults = store.faults

    async def define(self, *sources: str) -> None:
        for source in sources:
            name = source.split("name:", 1)[1].split()[0]
            await self.replica.put_definition(ANYBODY, name, source.encode())

    async def start(self, name: str, *, key: str | None = None, **params: Any) -> StartAnswer:
        answer, _ = await self.replica.start(
            ANYBODY, name, StartBody(params=params), idempotency_key=key, traceparent=None
        )
        return answer

    async def claim(
        self, *, max_steps: int = 1, lease_ms: int = 30_000, wait_ms: int = 0, request_id: str | None = None
    ) -> list[ClaimedStep]:
        return await self.replica.claim(
            ANYBODY,
            ("work",),
            max_steps=max_steps,
            lease_ms=lease_ms,
            wait_ms=wait_ms,
            worker="worker-1",
            request_id=request_id,
        )

    async def claim_one(self, *, lease_ms: int = 30_000, wait_ms: int = 60_000) -> ClaimedStep:
        (step,) = await self.claim(lease_ms=lease_ms, wait_ms=wait_ms)
        return step

    async def complete(self, step: ClaimedStep, result: Any = None) -> str:
        return (await self.replica.complete(ANYBODY, step.step_id, CompleteBody(result))).status

    async def fail(self, step: ClaimedStep, type: str, message: str = "") -> str:
        return (await self.replica.fail(ANYBODY, step.step_id, FailBody(ErrorInfo(type, message)))).status

    async def run_all(self, count: int) -> list[ClaimedStep]:
        """Claim and complete `count` steps, one by one."""
        steps = []
        for _ in range(count):
            steps.append(await self.claim_one())
            await self.complete(steps[-1], {"by": steps[-1].run_path})
        return steps

    async def status(self, instance_id: str) -> str:
        return (await self.replica.instance(ANYBODY, instance_id)).status


async def until_ready(replica: Replica) -> None:
    """Returns once the replica has loaded a lane. Raises: TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while not replica.owns_lanes():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def scheduler(
    cluster: ModelElasticsearch,
    *,
    settings: Settings = SETTINGS,
    replica_id: str = "replica-a",
    seed: int = 1,
    clock: VirtualClock | None = None,
    store: ModelStore | None = None,
    owning: bool = True,
    peers: Peers | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Scheduler]:
    """A replica, once it owns a lane (or at once, if not `owning`); its end is orderly unless the test abandons it."""
    store = store or ModelStore(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
    async with replica_on(
        store,
        settings,
        clock=clock or VirtualClock(),
        random=Random(seed),
        metrics=metrics or Metrics(),
        replica_id=replica_id,
        peers=peers or NoPeers(),
    ) as replica:
        if owning:
            await until_ready(replica)
        yield Scheduler(replica, store)


def new_cluster(lanes: int = 1) -> ModelElasticsearch:
    cluster = ModelElasticsearch()
    cluster.bootstrap(NAMES, lanes=lanes)
    return cluster


def documents(cluster: ModelElasticsearch, index: str, kind: str | None = None) -> dict[str, dict[str, Any]]:
    """What stands in an index now, refreshed or not, by id."""
    sources = {
        document.id: msgspec.json.decode(document.source)
        for one in cluster.resolve(index)
        for document in one.documents.values()
    }
    return {id: source for id, source in sources.items() if kind is None or source.get("kind") == kind}


def live(cluster: ModelElasticsearch) -> dict[str, dict[str, Any]]:
    """The instances' documents in the lane."""
    return documents(cluster, LANE, "instance")
