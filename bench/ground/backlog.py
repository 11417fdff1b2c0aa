"""Lanes full of waiting instances, as if they had been started long ago."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from time import time

from msgspec import Struct

from ...core.audit import Trail
from ...core.catalog import Catalog
from ...core.clock import SystemClock
from ...core.metrics import Metrics
from ...core.principal import Principal
from ...core.settings import LaneSettings, LimitSettings
from ...ilm import IndexNames, bootstrap
from ..load import hired
from ..load.documents import CAPABILITY, ONE_STEP, WORKFLOW, one_step
from ..load.orders import Backlog, Seed, Seeded, SeederSetup, SeedTenants
from .cluster import Cluster

_WITHIN_S = 600.0
_READY_SINCE_MS = 1_000


class Work(Struct, frozen=True):
    """The one-step workflow of a lane's instances. Its step asks for `capability`."""

    workflow: str = WORKFLOW
    capability: str = CAPABILITY

    @property
    def definition(self) -> str:
        return ONE_STEP if self == Work() else one_step(self.workflow, self.capability)


async def filled_lanes(
    cluster: Cluster,
    documents: int,
    *,
    lanes: int = LaneSettings().lanes,
    work_of: Callable[[str], Work] = lambda lane: Work(),
    tenants: int = 1,
) -> dict[str, Work]:
    """Make an installation whose lanes hold so many waiting instances in all; returns each lane's work.

    No replica may run. Lanes that are there from before are made anew. Instances are numbered from 0 on through all
    lanes. Raises: BenchError; IlmError.
    """
    names = IndexNames(cluster.prefix)
    work = await _new_lanes(cluster, lanes, work_of)
    share = -(-documents // len(work))
    async with hired("seeder", SeederSetup(cluster.address)) as seeder:
        first = 0
        for lane, each in work.items():
            count = min(share, documents - first)
            order = Seed(names.lane(lane), lane, each.workflow, each.capability, count, first, tenants)
            await seeder.ask(order, Seeded, within_s=_WITHIN_S)
            first += count
    await _refresh(cluster, work)
    return work


async def tenants_lanes(cluster: Cluster, backlogs: Sequence[Backlog], *, lanes: int, work: Work) -> list[str]:
    """Make an installation whose lanes hold these tenants' waiting instances, spread evenly; returns the lanes.

    No replica may run. Lanes that are there from before are made anew. Raises: BenchError; IlmError.
    """
    names = IndexNames(cluster.prefix)
    made = list(await _new_lanes(cluster, lanes, lambda lane: work))
    ready_ms = int(time() * 1_000) - _READY_SINCE_MS
    async with hired("seeder", SeederSetup(cluster.address)) as seeder:
        for number, lane in enumerate(made):
            parts = [_part(backlog, number, len(made)) for backlog in backlogs]
            order = SeedTenants(names.lane(lane), lane, work.workflow, work.capability, parts, ready_ms)
            await seeder.ask(order, Seeded, within_s=_WITHIN_S)
    await _refresh(cluster, made)
    return made


def _part(backlog: Backlog, number: int, parts: int) -> Backlog:
    begin, end = (backlog.documents * at // parts for at in (number, number + 1))
    return Backlog(backlog.tenant, end - begin, backlog.first + begin)


async def _new_lanes(cluster: Cluster, lanes: int, work_of: Callable[[str], Work]) -> dict[str, Work]:
    """Empty lanes, each with its work, whose definitions are stored."""
    names = IndexNames(cluster.prefix)
    await _remove_lanes(cluster)
    made = await bootstrap(cluster.store.request, names, lanes=lanes, capabilities=cluster.store.capabilities)
    work = {lane: work_of(lane) for lane in sorted(made.lanes)}
    store, clock = cluster.store, SystemClock()
    trail = Trail(store=store, names=names, clock=clock, metrics=Metrics(), replica_id="bench")
    await trail.open()
    catalog = Catalog(store=store, names=names, clock=clock, limits=LimitSettings(), trail=trail)
    for each in dict.fromkeys(work.values()):
        await catalog.put(Principal("bench", "default"), each.workflow, each.definition.encode())
    return work


async def _refresh(cluster: Cluster, lanes: Iterable[str]) -> None:
    names = IndexNames(cluster.prefix)
    await asyncio.gather(*(cluster.ask("POST", f"/{names.lane(lane)}/_refresh") for lane in lanes))


async def _remove_lanes(cluster: Cluster) -> None:
    found = await cluster.ask("GET", f"/{cluster.prefix}-lane-*/_alias?filter_path=*.aliases")
    if found:
        await cluster.ask("DELETE", f"/{','.join(found)}")
