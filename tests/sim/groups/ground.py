"""Workflows with concurrency groups, and a watch that looks at the documents after every single write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from leasehold.core.machine.state import FINAL_INSTANCE
from leasehold.core.ports import BulkItem

from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import NAMES, SETTINGS, Scheduler, documents, scheduler

FOREVER = 1_000_000_000


def grouped(strategy: str = "queue", limit: int = 1, *, version: int = 1, more: str = "") -> str:
    """A workflow whose instances with the same `k` form a group."""
    return f"""
name: one
version: {version}
concurrency: {{key: "{{{{ inputs.k | default('a') }}}}", limit: {limit}, strategy: {strategy}}}
{more}
steps:
  - {{name: only, executor: work}}
"""


class Watched(ModelElasticsearch):
    """Counts, after every write, who runs of each group in all lanes; `most` is the highest count there ever was.

    A member whose first document does not wait counts as far too many."""

    def __init__(self) -> None:
        super().__init__()
        self.most: dict[str, int] = {}
        self._running: dict[str, set[str]] = {}
        self._group_of: dict[str, str] = {}

    def apply(self, operation: Operation) -> BulkItem:
        item = super().apply(operation)
        if "-lane-" in operation.index and 200 <= item.status < 300:
            self._note(operation)
        return item

    def delete_index(self, name: str) -> None:
        assert not any(self._running.values()) or "-lane-" not in name, "a lane went with running members"
        super().delete_index(name)

    def _note(self, operation: Operation) -> None:
        known = self._group_of.get(operation.id)
        if known is not None:
            self._running[known].discard(operation.id)
        if operation.source is None:
            return
        found = msgspec.json.decode(operation.source)
        group = found.get("group")
        if group is None:
            return
        if known is None and not found.get("queued"):
            # Whoever takes the lane over could not know of it.
            self.most[group] = FOREVER
        self._group_of[operation.id] = group
        running = self._running.setdefault(group, set())
        if not found.get("queued") and found.get("status", "running") not in FINAL_INSTANCE:
            running.add(operation.id)
        self.most[group] = max(self.most.get(group, 0), len(running))


def watched(lanes: int = 1) -> Watched:
    cluster = Watched()
    cluster.bootstrap(NAMES, lanes=lanes)
    return cluster


def queued(cluster: ModelElasticsearch) -> list[str]:
    """The instances that wait for a slot, by what stands in the lanes."""
    lanes = [name for name in cluster.indices if "-lane-" in name]
    found = {id: one for lane in lanes for id, one in documents(cluster, lane, "instance").items()}
    return [id for id, one in found.items() if one.get("queued") and one.get("status") not in FINAL_INSTANCE]


def settings(lanes: int, port: int = 0, **changes: Any) -> Any:
    changed = msgspec.structs.replace(SETTINGS, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=lanes, **changes))
    if port:
        changed = msgspec.structs.replace(changed, server=msgspec.structs.replace(SETTINGS.server, port=port))
    return changed


@asynccontextmanager
async def member(
    cluster: ModelElasticsearch, peers: ModelPeers, name: str, port: int, *, lanes: int = 2, **changes: Any
) -> AsyncIterator[Scheduler]:
    """One replica of several, which reach each other."""
    async with scheduler(
        cluster, settings=settings(lanes, port, **changes), replica_id=name, seed=port, owning=False, peers=peers
    ) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s


@asynccontextmanager
async def dying(cluster: ModelElasticsearch, **options: Any) -> AsyncIterator[Scheduler]:
    """A replica that ends as by SIGKILL: nothing that it sends from then on arrives."""
    async with scheduler(cluster, **options) as s:
        yield s
        s.faults.cut_off(times=FOREVER)
