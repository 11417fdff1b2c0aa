"""Owners die, pause and hand over, answers are lost, writes collide: the limit holds at every write, and all ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import LeaseholdError

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import NAMES, Scheduler
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER, ONE, Mortal, Watched, member, several, watched

LIMIT = 3


async def work(s: Scheduler, *, lease_ms: int = 2_000, takes_s: float = 0.05) -> None:
    """An executor at this replica, for ever, whatever it is answered."""
    while True:
        steps: list[ClaimedStep] = []
        with suppress(LeaseholdError):
            steps = await s.claim(max_steps=2, wait_ms=500, lease_ms=lease_ms)
        for step in steps:
            await asyncio.sleep(takes_s)
            with suppress(LeaseholdError):
                await s.complete(step)
        if not steps:
            await asyncio.sleep(0.05)


async def unfinished(s: Scheduler, ids: list[str]) -> list[str]:
    return [id for id in ids if await s.status(id) not in ("succeeded", "failed")]


async def all_end(s: Scheduler, ids: list[str], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while ids:
            with suppress(LeaseholdError):
                ids = await unfinished(s, ids)
            await asyncio.sleep(0.2)


def check(cluster: Watched, limit: int = LIMIT) -> None:
    assert cluster.wrong == []
    assert cluster.most <= limit


async def owner_ends(writes: int, *, applied: bool, pauses: bool) -> None:
    """One of two owners ends, or stands still for longer than its lease, at its nth write."""
    cluster = watched(lanes=4)
    cluster.limit(max_running_steps=LIMIT)
    async with several(cluster, lanes=4) as (first, second):
        ids = [(await s.start("one")).instance_id for s in (first, second) for _ in range(8)]
        store = second.store
        assert isinstance(store, Mortal)
        tasks = [asyncio.create_task(work(s)) for s in (first, second) for _ in range(2)]
        if pauses:
            store.pauses_in(writes, for_s=15)
        else:
            store.dies_in(writes, applied=applied)
        try:
            await all_end(first, ids, 60)
            check(cluster)
            assert cluster.most == LIMIT
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            store.dies_at = FOREVER


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize(
    "writes", [1, 3, 8, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4, 5, 6, 11, 15, 20))]
)
def test_the_limit_holds_though_an_owner_dies_at_any_write(writes: int, applied: bool) -> None:
    run_virtual(owner_ends(writes, applied=applied, pauses=False))


@pytest.mark.parametrize("writes", [2, 5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4, 8, 13, 20))])
def test_the_limit_holds_though_an_owner_stands_still_past_its_lease(writes: int) -> None:
    run_virtual(owner_ends(writes, applied=False, pauses=True))


class Story:
    """Some replicas with clocks of their own, random work, and accidents; `ids` are the starts that were answered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = watched(lanes=3)
        self.peers = ModelPeers()
        self.up: list[tuple[AsyncExitStack, Scheduler, str]] = []
        self.ids: list[str] = []
        self._born = 0

    async def join(self) -> Scheduler:
        self._born += 1
        port = self._born
        stack = AsyncExitStack()
        skew_ms = self.random.randrange(-3_600_000, 3_600_000)
        s = await stack.enter_async_context(member(self.cluster, self.peers, port, lanes=3, skew_ms=skew_ms))
        self.up.append((stack, s, f"http://127.0.0.1:{port}"))
        return s

    async def leave(self, *, abruptly: bool) -> None:
        stack, s, address = self.up.pop(self.random.randrange(len(self.up)))
        if abruptly:
            self.peers.cut_off.add(address)
            s.faults.clear()
            # Its last words come when its lanes have other owners.
            late_ms = self.random.randrange(12_000, 30_000)
            s.faults.land_late(
                late_ms, on="bulk", index=self.random.choice(["workflow-lane-*", NAMES.control]), times=2
            )
            await asyncio.sleep(0.2)
            s.faults.clear()
            s.faults.cut_off(times=FOREVER)
        await stack.aclose()
        self.peers.cut_off.add(address)

    def anyone(self) -> Scheduler:
        return self.random.choice(self.up)[1]

    async def start(self) -> None:
        with suppress(LeaseholdError, TimeoutError):
            async with asyncio.timeout(5):
                self.ids.append((await self.anyone().start("one")).instance_id)

    async def work(self) -> None:
        with suppress(LeaseholdError, TimeoutError):
            async with asyncio.timeout(5):
                s = self.anyone()
                for step in await s.claim(max_steps=3, lease_ms=2_000, wait_ms=1_000):
                    await asyncio.sleep(self.random.random() / 4)
                    if self.random.random() < 0.8:
                        await self.anyone().complete(step)

    async def accident(self) -> None:
        s = self.anyone()
        kind = self.random.randrange(7)
        if kind == 0:
            s.faults.lose_answer(on="bulk", index=self.random.choice([NAMES.control, "workflow-lane-*"]))
        elif kind == 1:
            s.faults.delay(self.random.randrange(500, 20_000), on="bulk", index="workflow-lane-*")
        elif kind == 2:
            s.faults.land_late(self.random.randrange(100, 20_000), on="bulk", index=NAMES.control)
        elif kind == 3:
            s.faults.fail_items(409, index=NAMES.control, fits=lambda item: item.id.startswith("quota:"), times=2)
        elif kind == 4 and len(self.up) > 1:
            await self.leave(abruptly=self.random.random() < 0.6)
        elif kind == 5:
            store = s.store
            assert isinstance(store, Mortal)
            store.stand_still(self.random.choice([0.5, 5.0, 14.0]))
        elif kind == 6:
            s.faults.lose_request(on="bulk", index=NAMES.control)

    async def close(self) -> None:
        for stack, _, _ in self.up:
            await stack.aclose()


# In the story of 2067 an owner wakes after a later one has given back all units of its lane.
@pytest.mark.parametrize(
    "seed", [0, 7, 2067, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3, 4, 5, 6, 8, 9))]
)
def test_the_limit_holds_at_every_write_whatever_goes_wrong_and_all_that_was_answered_ends(seed: int) -> None:
    async def main() -> None:
        story = Story(seed)
        story.cluster.limit(max_running_steps=LIMIT)
        first = await story.join()
        await asyncio.sleep(2)
        await first.define(ONE)
        await story.join()
        acts = [*[story.start] * 5, *[story.work] * 6, story.accident]
        under_way: set[asyncio.Task[None]] = set()
        for _ in range(200):
            under_way.add(asyncio.create_task(story.random.choice(acts)()))
            await asyncio.sleep(story.random.random() / 3)
            if len(story.up) < 2:
                await story.join()
        await asyncio.wait(under_way)
        assert len(story.ids) > 10
        await asyncio.sleep(45)
        calm = await story.join()
        await asyncio.sleep(5)
        tasks = [asyncio.create_task(work(calm)) for _ in range(3)]
        await all_end(calm, story.ids, 120)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        check(story.cluster)
        assert story.cluster.most == LIMIT
        await story.close()

    run_virtual(main())
