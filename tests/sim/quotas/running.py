"""A watch on running instances: who runs of each tenant and workflow, by the documents, after every single write."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from leasehold.claim.wire import StartAnswer, StartBody
from leasehold.core.lanes.quotas.instances import RUNNING, WAITING, mark_of
from leasehold.core.machine.state import FINAL_INSTANCE, Instance
from leasehold.core.ports import BulkItem
from leasehold.core.principal import Principal

from tests.kit.model_index import Operation
from tests.kit.schedulers import NAMES, Scheduler, documents, scheduler

from .ground import Watched

Key = tuple[str, str]


class WatchedInstances(Watched):
    """`most_running`: the most top-level instances that ever ran at once, by tenant and workflow ("": all).

    Nothing is excused: a create that lands late runs as soon as its document says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most_running: Counter[Key] = Counter()
        self.running: Counter[Key] = Counter()
        self._runs: dict[str, tuple[Key, Key]] = {}

    def apply(self, operation: Operation) -> BulkItem:
        item = super().apply(operation)
        if "-lane-" in operation.index and 200 <= item.status < 300:
            self._count(operation)
        return item

    def _count(self, operation: Operation) -> None:
        self.running.subtract(self._runs.pop(operation.id, ()))
        found = {} if operation.source is None else msgspec.json.decode(operation.source)
        top = found.get("kind") == "instance" and not found.get("parent_id")
        if top and not found.get("queued") and found.get("status") not in FINAL_INSTANCE:
            keys = self._runs[operation.id] = ((found["tenant"], ""), (found["tenant"], found["workflow"]))
            self.running.update(keys)
            for key in keys:
                self.most_running[key] = max(self.most_running[key], self.running[key])


def watched(lanes: int = 2) -> WatchedInstances:
    cluster = WatchedInstances()
    cluster.bootstrap(NAMES, lanes=lanes)
    return cluster


def workflow(name: str, more: str = "") -> str:
    return f"name: {name}\n{more}\nsteps:\n  - {{name: only, executor: work}}\n"


@asynccontextmanager
async def alone(cluster: WatchedInstances, *workflows: str, **options: Any) -> AsyncIterator[Scheduler]:
    """One replica, and its workflows."""
    async with scheduler(cluster, **options) as s:
        await s.define(*(workflows or (workflow("one"),)))
        yield s


async def start_of(s: Scheduler, tenant: str, name: str = "one", *, key: str | None = None) -> StartAnswer:
    principal = Principal("tester", tenant, roles=("operator",))
    answer, _ = await s.replica.start(principal, name, StartBody(), idempotency_key=key, traceparent=None)
    return answer


def by_state(cluster: WatchedInstances, tenant: str = "acme") -> dict[str, list[str]]:
    """The live instances of a tenant, oldest first: who runs, who is queued, who waits to begin."""
    found: dict[str, list[str]] = {"running": [], "queued": [], "backlogged": []}
    indices = [name for name in cluster.indices if "-lane-" in name]
    stored = {id: one for name in indices for id, one in documents(cluster, name, "instance").items()}
    for id, one in sorted(stored.items(), key=lambda entry: entry[1]["created_at_ms"]):
        if one["tenant"] == tenant and one.get("status") not in FINAL_INSTANCE:
            found["queued" if one.get("queued") else "running"].append(id)
            if one.get("backlogged"):
                found["backlogged"].append(id)
    return found


def recounted(cluster: WatchedInstances, lane: str) -> dict[tuple[int, str, str], int]:
    """What the lane's documents hold of instances that run and of those that wait, by tenant and workflow."""
    found: Counter[tuple[int, str, str]] = Counter()
    for document in cluster.resolve(NAMES.lane(lane))[0].documents.values():
        if msgspec.json.decode(document.source).get("kind") != "instance":
            continue
        instance = msgspec.json.decode(document.source, type=Instance)
        for bit in (RUNNING, WAITING):
            if mark_of(instance) & bit:
                found[bit, instance.tenant, ""] += 1
                found[bit, instance.tenant, instance.workflow] += 1
    return dict(found)


def counted(s: Scheduler, lane: str) -> dict[tuple[int, str, str], int]:
    """What the lane's owner counts."""
    return dict(s.replica._engine.lanes[lane].instances._counts)


async def until_calm(s: Scheduler) -> None:
    """Until nothing of the replica's is on its way into a lane."""
    async with asyncio.timeout(60):
        while any(
            resident.changed or resident.in_flight
            for lane in s.replica._engine.lanes.values()
            for resident in lane.residents.values()
        ):
            await asyncio.sleep(0.01)
