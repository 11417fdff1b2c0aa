"""Replicas that serve, what is sent to Elasticsearch past them, and the accidents that happen to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from leasehold.claim import ClaimClient

from tests.kit.served import Served

LANE_LEASE_S = 1.5
SETTINGS = {
    "LEASEHOLD_LANES_LEASE_MS": str(int(LANE_LEASE_S * 1_000)),
    "LEASEHOLD_LANES_RENEW_EVERY_MS": "400",
    "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
}
REPLICAS = 3

Accident = Callable[[Served], Awaitable[None]]


class Elasticsearch:
    """What ops and a suspicious observer send to it, past all replicas."""

    def __init__(self, session: aiohttp.ClientSession, url: str, prefix: str) -> None:
        self._session = session
        self._url = url
        self.prefix = prefix

    async def send(self, method: str, path: str, body: Any = None, *, refused: tuple[int, ...] = ()) -> Any:
        """The answer; None where it has one of the statuses `refused`."""
        while True:
            try:
                async with self._session.request(method, f"{self._url}/{self.prefix}-{path}", json=body) as answer:
                    if answer.status in refused:
                        return None
                    assert answer.status < 300, await answer.text()
                    return await answer.json()
            except aiohttp.ClientConnectionError:
                # All that is sent may be sent twice.
                await asyncio.sleep(0.05)

    async def hits(self, index: str, **body: Any) -> list[dict[str, Any]]:
        """What an index holds at this moment."""
        await self.send("POST", f"{index}/_refresh")
        found = await self.send("POST", f"{index}/_search", {"size": 10_000, "track_total_hits": True, **body})
        hits: list[dict[str, Any]] = found["hits"]["hits"]
        assert found["hits"]["total"]["value"] == len(hits), f"more than fits in one answer: {index}"
        return hits


class Ground:
    """The replicas. `down` are those that are killed or stand still; `accidents` counts what has happened."""

    def __init__(self, replicas: list[Served], store: Elasticsearch, random: Random) -> None:
        self.replicas = replicas
        self.store = store
        self.random = random
        self.down: set[Served] = set()
        self.accidents: Counter[str] = Counter()

    def client(self, *, tenant: str, worker: str = "") -> ClaimClient:
        """One that knows all replicas, and does not wait long for one that stands still."""
        urls = [one.url for one in self.replicas]
        self.random.shuffle(urls)
        return ClaimClient(
            urls, tenant=tenant, worker=worker, answer_within_s=2, give_up_after_s=10, random=Random(worker or tenant)
        )

    async def torment(self, for_s: float) -> None:
        """Kill replicas and let them stand still past their leases, two of the three at a time at most."""
        accidents = (self._kill, self._suspend)
        await asyncio.gather(self._torment(for_s, cycle(accidents)), self._torment(for_s, cycle(accidents[::-1])))

    async def _torment(self, for_s: float, accidents: Iterator[Accident]) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + for_s
        while loop.time() < until_s:
            await asyncio.sleep(self.random.uniform(0.3, 2.5))
            replica = self.random.choice([one for one in self.replicas if one not in self.down])
            self.down.add(replica)
            await next(accidents)(replica)
            self.down.discard(replica)

    async def _kill(self, replica: Served) -> None:
        self.accidents["killed"] += 1
        await replica.kill()
        await asyncio.sleep(self.random.choice((0.0, 0.5, 2.0)))
        await replica.start()

    async def _suspend(self, replica: Served) -> None:
        self.accidents["stood still"] += 1
        replica.suspend()
        await asyncio.sleep(LANE_LEASE_S * self.random.uniform(0.8, 2.2))
        replica.resume()


@asynccontextmanager
async def serving(
    url: str,
    prefix: str,
    folder: Path,
    random: Random,
    *,
    prepare: Callable[[Elasticsearch], Awaitable[None]] | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Ground]:
    """Replicas that serve. `prepare` is done once there is one, before there are more."""
    set_to = {**SETTINGS, **(settings or {})}
    replicas = [Served(url, prefix, folder / f"serve-{n}.log", **set_to) for n in range(REPLICAS)]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        store = Elasticsearch(session, url, prefix)
        await stack.enter_async_context(replicas[0])
        if prepare is not None:
            await prepare(store)
        await asyncio.gather(*(stack.enter_async_context(one) for one in replicas[1:]))
        yield Ground(replicas, store, random)
