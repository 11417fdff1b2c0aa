"""Replicas come, die and pause while groups are at work: the limit holds at every write, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import LeaseholdError

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, Scheduler, documents
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER, Watched, grouped, member, queued, watched

KEYS = ("x", "y", "z")
LIMITS = {"queue": 1, "two": 2, "newest": 1, "last": 1}


def definitions() -> list[str]:
    made = {
        "queue": grouped("queue"),
        "two": grouped("queue", 2),
        "newest": grouped("cancel_running"),
        "last": grouped("replace_waiting"),
    }
    return [source.replace("name: one", f"name: {name}") for name, source in made.items()]


class Story:
    """Some replicas, starts and work at random, and accidents; `ids` are the starts that were answered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster: Watched = watched(lanes=2)
        self.peers = ModelPeers()
        self.up: list[tuple[AsyncExitStack, Scheduler, str]] = []
        self.ids: list[str] = []
        self._born = 0

    async def join(self) -> Scheduler:
        self._born += 1
        port = self._born
        stack = AsyncExitStack()
        s = await stack.enter_async_context(member(self.cluster, self.peers, f"r{port}", port))
        self.up.append((stack, s, f"http://127.0.0.1:{port}"))
        return s

    async def leave(self, *, abruptly: bool) -> None:
        stack, s, address = self.up.pop(self.random.randrange(len(self.up)))
        if abruptly:
            self.peers.cut_off.add(address)
            s.faults.clear()
            # Its last words come when its lanes have other owners.
            s.faults.land_late(self.random.randrange(12_000, 30_000), on="bulk", index="workflow-lane-*", times=2)
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
                answer = await self.anyone().start(self.random.choice(list(LIMITS)), k=self.random.choice(KEYS))
                self.ids.append(answer.instance_id)

    async def work(self) -> None:
        with suppress(LeaseholdError, TimeoutError):
            async with asyncio.timeout(5):
                steps: list[ClaimedStep] = await self.anyone().claim(max_steps=3, lease_ms=2_000)
                for step in steps:
                    await asyncio.sleep(self.random.random() / 4)
                    if self.random.random() < 0.8:
                        await self.anyone().complete(step)

    async def accident(self) -> None:
        s = self.random.choice(self.up)[1]
        kind = self.random.randrange(5)
        if kind == 0:
            s.faults.lose_answer(on="bulk")
        elif kind == 1:
            s.faults.delay(self.random.randrange(2_000, 20_000), on="bulk", index="workflow-lane-*")
        elif kind == 2:
            s.faults.land_late(self.random.randrange(500, 20_000), on="bulk", index="workflow-keys")
        elif kind == 3 and len(self.up) > 1:
            await self.leave(abruptly=True)
        elif self.ids:
            with suppress(LeaseholdError, TimeoutError):
                async with asyncio.timeout(5):
                    await s.replica.cancel(ANYBODY, self.random.choice(self.ids), None)

    async def close(self) -> None:
        for stack, _, _ in self.up:
            await stack.aclose()


@pytest.mark.parametrize("seed", range(4))
def test_the_limit_holds_at_every_write_and_all_that_was_answered_ends(seed: int) -> None:
    async def main() -> None:
        story = Story(seed)
        first = await story.join()
        await asyncio.sleep(2)
        await first.define(*definitions())
        await story.join()
        acts = [*[story.start] * 5, *[story.work] * 5, story.accident]
        under_way: set[asyncio.Task[None]] = set()
        for _ in range(150):
            under_way.add(asyncio.create_task(story.random.choice(acts)()))
            await asyncio.sleep(story.random.random() / 2)
            if len(story.up) < 2:
                await story.join()
        await asyncio.wait(under_way)
        assert len(story.ids) > 10
        await asyncio.sleep(60)
        calm = await story.join()
        await asyncio.sleep(5)
        idle = 0
        while idle < 20:
            steps: list[ClaimedStep] = []
            with suppress(LeaseholdError):
                steps = await calm.claim(max_steps=50, lease_ms=2_000, wait_ms=1_000)
            for step in steps:
                with suppress(LeaseholdError):
                    await calm.complete(step)
            idle = 0 if steps else idle + 1
        statuses = {instance_id: await calm.status(instance_id) for instance_id in story.ids}
        await story.close()
        # Who loses its lease four times in a row has failed.
        ended = {"succeeded", "cancelled", "failed"}
        assert {id: status for id, status in statuses.items() if status not in ended} == {}
        assert queued(story.cluster) == []
        found = documents(story.cluster, "workflow-keys", "group")
        allowed = {id.removeprefix("group-"): LIMITS[str(one["workflow"])] for id, one in found.items()}
        assert {group: most for group, most in story.cluster.most.items() if most > allowed[group]} == {}

    run_virtual(main())
