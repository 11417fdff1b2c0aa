"""The grounds that the contract of change feeds is tried on: both feeds, on the model, a real server and a stub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from leasehold.core.change_feed import ChangeFeed, FleetFeed, SharedLooks, StatsFeed
from leasehold.core.clock import SystemClock
from leasehold.core.es import connect
from leasehold.core.es.lines import delete_line, put_line
from leasehold.core.ports import Store
from leasehold.core.settings import StoreSettings
from leasehold.ilm.fields import closed

from tests.kit.fleet_stub import FleetStub, fleet_stub
from tests.kit.model_cluster import ModelElasticsearch
from tests.kit.model_index import Operation
from tests.kit.model_store import ModelStore

from .ground import FIELDS, Ground, ModelGround, ServerGround

GROUNDS = ("stats-model", "stats-server", "fleet-model", "fleet-stub")
# Short, so that a test need not wait for what it is not about.
_INTERVAL_MS = 10
_WAIT_MS = 100


class FeedGround(Protocol):
    """One index, and feeds of it. `store` is what the feeds ask."""

    index: str

    @property
    def store(self) -> Store: ...

    def feed(self) -> ChangeFeed: ...

    async def write(self, count: int = 1) -> None:
        """So many operations, each of which takes a sequence number."""

    async def refuse(self) -> None:
        """A write that Elasticsearch refuses."""

    async def make_again(self) -> None:
        """Another index of the same name, empty."""

    async def remove(self) -> None: ...

    async def bring_back(self) -> None:
        """After `remove`: an empty index of the same name."""


class OnStore:
    """A ground whose store can write: the model and the server."""

    def __init__(self, ground: Ground, index: str, kind: str) -> None:
        self.index = index
        self.store: Store = ground.store
        self._ground = ground
        self._kind = kind
        self._looks = SharedLooks(ground.store)

    def feed(self) -> ChangeFeed:
        return make_feed(self._kind, self.store, self._looks, self.index)

    async def write(self, count: int = 1) -> None:
        lines = [line for n in range(count) for line in (put_line(f"d{n}"), b"{}")]
        await self.store.bulk(lines, index=self.index)

    async def refuse(self) -> None:
        (item,) = await self.store.bulk([delete_line("d0", 1_000, 1)], index=self.index)
        assert item.status == 409

    async def make_again(self) -> None:
        await self._ground.make_again(self.index)

    async def remove(self) -> None:
        await self._ground.remove_index(self.index)

    async def bring_back(self) -> None:
        await self._ground.bring_back(self.index)


class OnStub:
    """The stub, behind the real transport; it is written from behind."""

    index = "watched"

    def __init__(self, stub: FleetStub, store: Store) -> None:
        self.store = store
        self._cluster = stub.cluster
        self._looks = SharedLooks(store)
        self._mapping = closed(1, FIELDS)
        self._cluster.create_index(self.index, self._mapping)

    def feed(self) -> ChangeFeed:
        return make_feed("fleet", self.store, self._looks, self.index)

    async def write(self, count: int = 1) -> None:
        for n in range(count):
            assert self._cluster.apply(Operation("index", self.index, f"d{n}", b"{}")).status < 300

    async def refuse(self) -> None:
        line = Operation("create", self.index, "d0", b"{}")
        assert self._cluster.apply(line).status == 409

    async def make_again(self) -> None:
        await self.remove()
        await self.bring_back()

    async def remove(self) -> None:
        self._cluster.delete_index(self.index)

    async def bring_back(self) -> None:
        self._cluster.create_index(self.index, self._mapping)


def make_feed(kind: str, store: Store, looks: SharedLooks, index: str) -> ChangeFeed:
    if kind == "fleet":
        return FleetFeed(store, looks, SystemClock(), index, wait_ms=_WAIT_MS, rest_ms=1)
    return StatsFeed(looks, index, shortest_ms=_INTERVAL_MS, longest_ms=_INTERVAL_MS)


@asynccontextmanager
async def feed_ground(name: str, server_url: str | None, prefix: str) -> AsyncIterator[FeedGround]:
    kind, _, place = name.partition("-")
    if place == "stub":
        async with fleet_stub() as stub, connect(StoreSettings(urls=(stub.url,))) as store:
            yield OnStub(stub, store)
    elif place == "server":
        assert server_url is not None
        async with connect(StoreSettings(urls=(server_url,))) as store:
            ground: Ground = ServerGround(store, prefix)
            yield OnStore(ground, await ground.make_index(), kind)
    else:
        ground = ModelGround(prefix, store=ModelStore(ModelElasticsearch(), pushes=kind == "fleet"))
        yield OnStore(ground, await ground.make_index(), kind)
