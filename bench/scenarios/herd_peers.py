"""Claimers without ownership on one index of tasks, for the `herd` scenario."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic_ns

from msgspec import Struct

from ..ground import Cluster
from ..load import Hand, hired
from ..load.peers import Kind, Poll, Polled, PollerSetup, SeededTasks, SeedTasks, TaskSeederSetup
from ..load.peers.tasks import INDEX_MAPPING, INDEX_SETTINGS

KIBANA_INTERVAL_MS = 500
KIBANA_CAPACITY = 10
# The most that Kibana lets `xpack.task_manager.capacity` be.
KIBANA_MOST_CAPACITY = 50

_LEAD_IN_NS = 50_000_000
_WITHIN_S = 120.0


class Outcome(Struct, frozen=True):
    """What so many nodes claimed together. `doubled` counts tasks that two of them hold: there should be none."""

    nodes: int
    capacity: int
    claims_per_s: float
    claims: int
    conflicts_per_claim: float
    stale_per_claim: float
    cycles: int
    doubled: int
    client_cpu_s: float


class Tasks:
    """The index of tasks. Before every measurement as many wait in it as before every other."""

    def __init__(self, cluster: Cluster, index: str, seeder: Hand, waiting: int) -> None:
        self._cluster = cluster
        self._index = index
        self._seeder = seeder
        self._wanted = waiting
        self._waiting = 0
        self._written = 0
        self.document_bytes = 0

    @asynccontextmanager
    async def nodes(self, count: int) -> AsyncIterator[Nodes]:
        """So many claimers, each a process."""
        names = [f"node-{number}" for number in range(count)]
        async with AsyncExitStack() as stack:
            setups = [PollerSetup(self._cluster.address, self._index, name) for name in names]
            hands = await asyncio.gather(*(stack.enter_async_context(hired("poller", setup)) for setup in setups))
            yield Nodes(self, names, hands)

    def claimed(self, count: int) -> None:
        self._waiting -= count

    async def fill(self) -> None:
        """Let as many wait as should."""
        missing = self._wanted - self._waiting
        if missing > 0:
            seeded = await self._seeder.ask(SeedTasks(missing, self._written), SeededTasks, within_s=_WITHIN_S)
            self._written += missing
            self._waiting += missing
            self.document_bytes = seeded.document_bytes


class Nodes:
    """Claimers that share the tasks."""

    def __init__(self, tasks: Tasks, names: list[str], hands: list[Hand]) -> None:
        self._tasks = tasks
        self._names = names
        self._hands = hands

    async def poll(
        self, kind: Kind, *, capacity: int, duration_s: float, interval_ms: int = 0, seed: int = 0
    ) -> Outcome:
        """Let all of them claim for so long."""
        await self._tasks.fill()
        begin_ns = monotonic_ns() + _LEAD_IN_NS
        order = Poll(kind, begin_ns, duration_s, capacity, interval_ms, self._names, str(seed))
        within_s = duration_s + _WITHIN_S
        answers = await asyncio.gather(*(hand.ask(order, Polled, within_s=within_s) for hand in self._hands))
        outcome = outcome_of(answers, capacity, begin_ns, duration_s)
        self._tasks.claimed(outcome.claims)
        return outcome


@asynccontextmanager
async def task_index(cluster: Cluster, waiting: int) -> AsyncIterator[Tasks]:
    """An index as Kibana makes it, in which so many tasks wait. It is removed with the context."""
    index = f"{cluster.prefix}-tasks"
    await cluster.ask("PUT", f"/{index}", {"settings": {"index": INDEX_SETTINGS}, "mappings": INDEX_MAPPING})
    try:
        async with hired("task-seeder", TaskSeederSetup(cluster.address, index)) as seeder:
            yield Tasks(cluster, index, seeder, waiting)
    finally:
        await cluster.store.request("DELETE", f"/{index}")


def outcome_of(answers: Sequence[Polled], capacity: int, begin_ns: int, duration_s: float) -> Outcome:
    """What all nodes' cycles come to. The last cycles may have ended after the time: then that counts as time too."""
    cycles = [cycle for answer in answers for cycle in answer.cycles]
    numbers = [number for answer in answers for number in answer.numbers]
    claims = sum(cycle.claimed for cycle in cycles)
    end_ns = max([begin_ns + int(duration_s * 1e9), *(cycle.ended_ns for cycle in cycles)])
    return Outcome(
        nodes=len(answers),
        capacity=capacity,
        claims_per_s=round(claims / ((end_ns - begin_ns) / 1e9), 1),
        claims=claims,
        conflicts_per_claim=per_claim(sum(cycle.conflicts for cycle in cycles), claims),
        stale_per_claim=per_claim(sum(cycle.stale for cycle in cycles), claims),
        cycles=len(cycles),
        doubled=len(numbers) - len(set(numbers)),
        client_cpu_s=round(sum(answer.cpu_ns for answer in answers) / 1e9, 2),
    )


def per_claim(count: float, claims: int) -> float:
    return round(count / max(1, claims), 4)


def best(outcomes: Sequence[Outcome]) -> Outcome:
    """The one with the most claims a second."""
    return max(outcomes, key=lambda outcome: outcome.claims_per_s)


def allowed_by_kibana(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.capacity <= KIBANA_MOST_CAPACITY]
