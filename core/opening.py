"""Puts a replica on a store: as the settings alone say, or with a store, a clock and chance that the caller brings."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random, SystemRandom

from ..ilm import IndexNames, bootstrap
from .clock import SystemClock
from .engine import Engine
from .es import connect
from .metrics import Metrics
from .peers import NoPeers, Peers
from .ports import Clock, Store
from .replica import Replica
from .settings import Settings


@asynccontextmanager
async def open_replica(
    settings: Settings,
    *,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    peers: Peers | None = None,
    address: str | None = None,
) -> AsyncIterator[Replica]:
    """A replica on the cluster that the settings name: indices made, lanes taken as far as they are free.

    Leaving the context hands the lanes over. Raises: StoreError; SchemaTooNew.
    """
    async with connect(settings.store) as store:
        await bootstrap(
            store.request,
            IndexNames(settings.store.index_prefix),
            lanes=settings.lanes.lanes,
            capabilities=store.capabilities,
        )
        async with replica_on(
            store,
            settings,
            clock=clock or SystemClock(),
            random=SystemRandom(),
            metrics=metrics or Metrics(),
            replica_id=secrets.token_hex(6),
            peers=peers or NoPeers(),
            address=address,
        ) as replica:
            yield replica


@asynccontextmanager
async def replica_on(
    store: Store,
    settings: Settings,
    *,
    clock: Clock,
    random: Random,
    metrics: Metrics,
    replica_id: str,
    peers: Peers,
    address: str | None = None,
) -> AsyncIterator[Replica]:
    """A replica on a store whose indices stand; clock, chance and name are the caller's. Raises: StoreError.

    `address` is where its peers reach it; by default where the settings say that it listens.
    """
    engine = Engine(
        store=store,
        names=IndexNames(settings.store.index_prefix),
        clock=clock,
        random=random,
        settings=settings,
        metrics=metrics,
        replica_id=replica_id,
        address=address or f"http://{settings.server.host}:{settings.server.port}",
        peers=peers,
    )
    replica = Replica(engine, peers)
    await engine.open()
    try:
        yield replica
    finally:
        await replica.leave()
        await engine.close()
