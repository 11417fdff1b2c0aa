"""Replicas die, pause and hand lanes over: the limit of instances holds at every write, and all of them get done."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import LeaseholdError

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, Scheduler
from tests.kit.virtual_time import run_virtual

from .ground import FOREVER, Mortal, member
from .running import alone, by_state, counted, recounted, until_calm, watched, workflow

LIMIT = 4
OF_SLOW = 2
GROUP = "concurrency: {key: \"{{ inputs.k | default('a') }}\", limit: 2, strategy: queue}"
DEFINITIONS = (workflow("one"), workflow("slow"), workflow("grouped", GROUP))
NAMES = ("one", "slow", "grouped")


class Story:
    """Some replicas, starts and work at random, and accidents; `ids` are the starts that were answered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = watched(lanes=2)
        self.cluster.limit(max_running_instances=LIMIT, workflows={"slow": {"max_running_instances": OF_SLOW}})
        self.peers = ModelPeers()
        self.up: list[tuple[AsyncExitStack, Scheduler, str]] = []
        self.ids: list[str] = []
        self._born = 0

    async def join(self) -> Scheduler:
        self._born += 1
        port = self._born
        stack = AsyncExitStack()
        s = await stack.enter_async_context(member(self.cluster, self.peers, port))
        self.up.append((stack, s, f"http://127.0.0.1:{port}"))
        return s

    async def leave(self, *, abruptly: bool) -> None:
        stack, s, address = self.up.pop(self.random.randrange(len(self.up)))
        if abruptly:
            self.peers.cut_off.add(address)
            s.faults.clear()
            # Its last words come when its lanes have other owners.
            s.faults.land_late(self.random.randrange(8_000, 30_000), on="bulk", index="workflow-lane-*", times=2)
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
                answer = await self.anyone().start(self.random.choice(NAMES), k=self.random.choice("ab"))
                self.ids.append(answer.instance_id)

    async def work(self) -> None:
        with suppress(LeaseholdError, TimeoutError):
            async with asyncio.timeout(5):
                for step in await self.anyone().claim(max_steps=3, lease_ms=2_000):
                    await asyncio.sleep(self.random.random() / 4)
                    if self.random.random() < 0.8:
                        await self.anyone().complete(step)

    async def accident(self) -> None:
        s = self.random.choice(self.up)[1]
        kind = self.random.randrange(6)
        if kind == 0:
            s.faults.lose_answer(on="bulk")
        elif kind == 1:
            s.faults.delay(self.random.randrange(2_000, 20_000), on="bulk", index="workflow-lane-*")
        elif kind == 2:
            s.faults.land_late(self.random.randrange(500, 20_000), on="bulk", index="workflow-control")
        elif kind == 3 and len(self.up) > 1:
            await self.leave(abruptly=True)
        elif kind == 4 and len(self.up) > 1:
            await self.leave(abruptly=False)
        elif self.ids:
            with suppress(LeaseholdError, TimeoutError):
                async with asyncio.timeout(5):
                    await s.replica.cancel(ANYBODY, self.random.choice(self.ids), None)

    async def close(self) -> None:
        for stack, _, _ in self.up:
            await stack.aclose()


async def finish(s: Scheduler) -> None:
    """Work until nothing comes any more, though a lease may have to run out first."""
    idle = 0
    while idle < 40:
        steps: list[ClaimedStep] = []
        with suppress(LeaseholdError):
            steps = await s.claim(max_steps=50, lease_ms=2_000, wait_ms=1_000)
        for step in steps:
            with suppress(LeaseholdError):
                await s.complete(step)
        idle = 0 if steps else idle + 1


@pytest.mark.parametrize("seed", range(3))
def test_no_more_run_than_are_allowed_at_any_write_and_all_that_was_answered_ends(seed: int) -> None:
    async def main() -> None:
        story = Story(seed)
        first = await story.join()
        await asyncio.sleep(2)
        await first.define(*DEFINITIONS)
        await story.join()
        acts = [*[story.start] * 6, *[story.work] * 5, story.accident]
        under_way: set[asyncio.Task[None]] = set()
        for _ in range(120):
            under_way.add(asyncio.create_task(story.random.choice(acts)()))
            await asyncio.sleep(story.random.random() / 2)
            if len(story.up) < 2:
                await story.join()
        await asyncio.wait(under_way)
        assert len(story.ids) > 10
        await asyncio.sleep(60)
        calm = await story.join()
        await asyncio.sleep(5)
        await finish(calm)
        statuses = {instance_id: await calm.status(instance_id) for instance_id in story.ids}
        for _, s, _ in story.up:
            await until_calm(s)
            for lane in s.replica._engine.lanes:
                assert counted(s, lane) == recounted(story.cluster, lane)
        await story.close()
        # Who loses its lease four times in a row has failed.
        ended = {"succeeded", "cancelled", "failed"}
        assert {id: status for id, status in statuses.items() if status not in ended} == {}
        assert by_state(story.cluster) == {"running": [], "queued": [], "backlogged": []}
        assert story.cluster.most_running["acme", ""] == LIMIT
        assert story.cluster.most_running["acme", "slow"] <= OF_SLOW

    run_virtual(main())


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("writes", range(1, 26))
def test_the_next_owner_goes_on_whichever_write_was_the_last_one(writes: int, applied: bool) -> None:
    async def main() -> None:
        cluster = watched(lanes=1)
        cluster.limit(max_running_instances=2)
        store = Mortal(cluster)
        async with alone(cluster, *DEFINITIONS, store=store) as old:
            ids = [(await old.start(name)).instance_id for name in ("one", "grouped", "grouped", "one", "slow")]
            store.dies_in(writes, applied=applied)
            with suppress(LeaseholdError, TimeoutError):
                async with asyncio.timeout(3):
                    for _ in range(3):
                        await old.start("one")
                        await old.run_all(1)
            store.dies_at = 0
        async with alone(cluster, *DEFINITIONS, replica_id="next") as new:
            await finish(new)
            assert {await new.status(id) for id in ids} == {"succeeded"}
            await until_calm(new)
            assert counted(new, "00") == recounted(cluster, "00") == {}
            assert cluster.most_running["acme", ""] == 2

    run_virtual(main())
