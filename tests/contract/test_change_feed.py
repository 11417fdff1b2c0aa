"""What both change feeds promise (`core.change_feed`): on the model, on a real server and on a stub that pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from leasehold.core.change_feed import Change, ChangeFeed
from leasehold.core.errors import StoreError

from .feed_ground import GROUNDS, FeedGround, feed_ground

SOON_S = 10


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.elasticsearch) if "server" in name else name for name in GROUNDS]
)
async def ground(request: pytest.FixtureRequest, index_prefix: str) -> AsyncIterator[FeedGround]:
    url = request.getfixturevalue("elasticsearch_url") if "server" in request.param else None
    async with feed_ground(request.param, url, index_prefix) as made:
        yield made


async def told(feed: ChangeFeed) -> Change:
    async with asyncio.timeout(SOON_S):
        return await feed.next_change()


async def test_the_first_change_says_that_all_is_to_be_read(ground: FeedGround) -> None:
    await ground.write(3)

    assert await told(ground.feed()) == Change(ground.index, anew=True, above=-1, checkpoint=2)


async def test_an_index_without_a_write_is_told_of_as_well(ground: FeedGround) -> None:
    feed = ground.feed()

    assert await told(feed) == Change(ground.index, anew=True, above=-1, checkpoint=-1)

    await ground.write()
    assert await told(feed) == Change(ground.index, anew=False, above=-1, checkpoint=0)


async def test_an_advance_says_above_which_number_the_news_are(ground: FeedGround) -> None:
    feed = ground.feed()
    await ground.write(3)
    await told(feed)
    await ground.write(2)

    assert await told(feed) == Change(ground.index, anew=False, above=2, checkpoint=4)


async def test_a_write_while_the_feed_waits_wakes_it(ground: FeedGround) -> None:
    feed = ground.feed()
    await told(feed)
    waiting = asyncio.ensure_future(told(feed))
    await asyncio.sleep(0)
    await ground.write()

    assert (await waiting).checkpoint == 0


async def test_no_change_is_told_twice_and_none_for_a_refused_write(ground: FeedGround) -> None:
    feed = ground.feed()
    await ground.write()
    await told(feed)
    await ground.refuse()
    waiting = asyncio.ensure_future(told(feed))
    # A second feed has looked, and looked again, before anything was written.
    await told(ground.feed())
    assert not waiting.done()
    await ground.write()

    assert await waiting == Change(ground.index, anew=False, above=0, checkpoint=1)


async def test_what_happened_while_nobody_waited_is_told_by_the_next_call(ground: FeedGround) -> None:
    feed = ground.feed()
    await told(feed)
    waiting = asyncio.ensure_future(feed.next_change())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await ground.write(2)

    assert await told(feed) == Change(ground.index, anew=False, above=-1, checkpoint=1)


async def test_an_index_made_again_is_to_be_read_anew(ground: FeedGround) -> None:
    feed = ground.feed()
    await ground.write(5)
    await told(feed)
    await ground.make_again()
    await ground.write(2)

    change = await told_in_the_end(feed)

    assert (change.anew, change.above, change.checkpoint) == (True, -1, 1)


async def test_an_index_removed_while_the_feed_waits_is_an_error_and_its_return_a_change(ground: FeedGround) -> None:
    feed = ground.feed()
    await ground.write(3)
    await told(feed)
    waiting = asyncio.ensure_future(told(feed))
    await asyncio.sleep(0)
    await ground.remove()
    with pytest.raises(StoreError):
        await waiting
    await ground.bring_back()
    await ground.write()

    change = await told_in_the_end(feed)

    assert (change.anew, change.checkpoint) == (True, 0)


async def told_in_the_end(feed: ChangeFeed) -> Change:
    """The next change, past the errors on the way to it."""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                return await feed.next_change()
            except StoreError:
                continue
