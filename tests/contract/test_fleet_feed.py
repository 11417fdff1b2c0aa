"""The feed that the cluster pushes, on a stub behind the real transport: what can come instead of an advance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from leasehold.core.change_feed import Change, ChangeFeed, Feeds, FleetFeed, SharedLooks, StatsFeed
from leasehold.core.clock import SystemClock
from leasehold.core.errors import StoreRejected, StoreUnavailable
from leasehold.core.es import connect, long_poll
from leasehold.core.es.store import ElasticsearchStore
from leasehold.core.settings import StoreSettings
from leasehold.ilm.fields import closed

from tests.kit.fleet_stub import FleetStub, fleet_stub
from tests.kit.model_index import ModelIndex, Operation

from .ground import FIELDS

INDEX = "watched"


@asynccontextmanager
async def cluster(request_timeout_ms: int = 30_000) -> AsyncIterator[tuple[FleetStub, ElasticsearchStore]]:
    async with fleet_stub() as stub:
        stub.cluster.create_index(INDEX, closed(1, FIELDS))
        async with connect(StoreSettings(urls=(stub.url,), request_timeout_ms=request_timeout_ms)) as store:
            yield stub, store


def feed_of(store: ElasticsearchStore, *, wait_ms: int = 30_000, rest_ms: int = 0) -> FleetFeed:
    return FleetFeed(store, SharedLooks(store), SystemClock(), INDEX, wait_ms=wait_ms, rest_ms=rest_ms)


def write(stub: FleetStub, count: int = 1) -> ModelIndex:
    for n in range(count):
        stub.cluster.apply(Operation("index", INDEX, f"d{n}", b"{}"))
    return stub.cluster.indices[INDEX]


async def told(feed: ChangeFeed) -> Change:
    async with asyncio.timeout(10):
        return await feed.next_change()


async def until(true: Callable[[], bool]) -> None:
    """Let the loop turn until it is true."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)


async def test_a_cluster_that_has_the_module_is_asked_to_push() -> None:
    async with cluster() as (_, store):
        assert store.pushes
        feeds = Feeds(store, SystemClock())
        await feeds.open(INDEX)

        assert isinstance(feeds.of(INDEX), FleetFeed)


@pytest.mark.parametrize(
    ("status", "error_type"), [(403, "security_exception"), (400, "illegal_argument_exception"), (405, "")]
)
async def test_a_cluster_that_refuses_to_push_is_asked_for_its_statistics(status: int, error_type: str) -> None:
    async with cluster() as (stub, store):
        stub.refuse_polls(status, error_type, "not for you")
        feeds = Feeds(store, SystemClock())
        await feeds.open(INDEX)

        assert isinstance(feeds.of(INDEX), StatsFeed)


async def test_an_index_without_changes_is_asked_for_again_after_each_wait_and_nothing_is_told() -> None:
    async with cluster() as (stub, store):
        feed = feed_of(store, wait_ms=5)
        await told(feed)
        waiting = asyncio.ensure_future(told(feed))
        await until(lambda: stub.polls >= 3)
        assert not waiting.done()
        write(stub)

        assert await waiting == Change(INDEX, anew=False, above=-1, checkpoint=0)


async def test_an_advance_costs_one_poll_and_no_look() -> None:
    async with cluster() as (stub, store):
        feed = feed_of(store)
        await told(feed)
        before = stub.looks, stub.polls
        for n in range(3):
            write(stub)
            assert (await told(feed)).checkpoint == n

        assert (stub.looks - before[0], stub.polls - before[1]) == (0, 3)


async def test_a_checkpoint_that_falls_is_noticed_when_the_wait_is_over() -> None:
    async with cluster() as (stub, store):
        index = write(stub, 5)
        feed = feed_of(store, wait_ms=20)
        await told(feed)
        index.held_checkpoint = 2

        assert await told(feed) == Change(INDEX, anew=True, above=-1, checkpoint=2)


async def test_an_index_made_again_while_a_poll_waits_is_told_at_once() -> None:
    async with cluster() as (stub, store):
        write(stub, 5)
        feed = feed_of(store)
        await told(feed)
        waiting = asyncio.ensure_future(told(feed))
        await until(lambda: stub.waiting == 1)
        stub.cluster.delete_index(INDEX)
        with pytest.raises(StoreRejected, match="CLOSED"):
            await waiting
        stub.cluster.create_index(INDEX, closed(1, FIELDS))
        write(stub, 9)

        assert await told(feed) == Change(INDEX, anew=True, above=-1, checkpoint=8)


async def test_lost_connections_are_an_error_at_last_and_lose_no_change() -> None:
    async with cluster() as (stub, store):
        feed = feed_of(store)
        await told(feed)
        waiting = asyncio.ensure_future(told(feed))
        while not waiting.done():
            # The client may try a read again by itself.
            await until(lambda: stub.waiting == 1 or waiting.done())
            stub.cut_connections()
            await until(lambda: stub.waiting == 0)
        with pytest.raises(StoreUnavailable):
            await waiting
        write(stub, 2)

        assert await told(feed) == Change(INDEX, anew=False, above=-1, checkpoint=1)


async def test_a_burst_of_writes_is_one_change() -> None:
    async with cluster() as (stub, store):
        feed = feed_of(store, rest_ms=30)
        await told(feed)
        write(stub)
        waiting = asyncio.ensure_future(told(feed))
        await asyncio.sleep(0)
        write(stub, 3)

        assert (await waiting).checkpoint == 3


async def test_a_poll_outlives_the_timeout_of_other_requests() -> None:
    async with cluster(request_timeout_ms=30) as (stub, store):
        feed = feed_of(store, wait_ms=400)
        await told(feed)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await feed.next_change()

        assert (stub.polls, stub.looks) == (1, 1)


async def test_however_many_polls_wait_other_requests_have_their_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "CONNECTIONS_PER_NODE", 2)
    async with cluster() as (stub, store):
        polls = [asyncio.ensure_future(store.wait_past(INDEX, -1, wait_ms=30_000)) for _ in range(5)]
        await until(lambda: stub.waiting == 2)
        for _ in range(100):
            await store.checkpoint(INDEX)
        write(stub)

        assert await asyncio.gather(*polls) == [0] * 5


async def test_an_index_that_is_not_there_is_waited_for_and_then_an_error() -> None:
    async with cluster() as (_, store):
        with pytest.raises(StoreRejected, match="404"):
            await store.wait_past("missing", -1, wait_ms=1)
