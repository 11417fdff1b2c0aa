"""Idempotency keys go when they are old and their instances have ended, and no repeat starts twice because of it."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest
from leasehold.core.errors import LeaseholdError, Unavailable
from leasehold.core.metrics import Metrics

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import LANE, NAMES, ONE_STEP, Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, run_virtual
from tests.sim.groups.ground import FOREVER, dying

from .ground import KEPT_MS, cleared, clearing, member, retention_of

KEPT_S = KEPT_MS / 1_000


def keys(cluster: ModelElasticsearch) -> int:
    return len(documents(cluster, NAMES.keys, "start"))


def test_a_key_goes_when_it_is_old_and_a_later_start_is_another_instance() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, settings=clearing(), metrics=metrics) as s:
            await s.define(ONE_STEP)
            first = (await s.start("one", key="k")).instance_id
            await s.run_all(1)
            await asyncio.sleep(KEPT_S - 5)
            assert await retention_of(s).pass_once() == 0
            assert (await s.start("one", key="k")).instance_id == first

            await asyncio.sleep(10)
            assert await retention_of(s).pass_once() == 1
            assert (keys(cluster), cleared(metrics, "start")) == (0, 1)
            assert (await s.start("one", key="k")).instance_id != first

    run_virtual(main())


def test_a_key_stays_until_its_instance_has_ended_however_old_it_is() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing()) as s:
            await s.define(ONE_STEP)
            first = (await s.start("one", key="k")).instance_id
            await asyncio.sleep(2 * KEPT_S)
            await retention_of(s).pass_once()
            assert (await s.start("one", key="k")).instance_id == first

            await s.run_all(1)
            # A lane is searched as of its last refresh, half a minute ago at most.
            await asyncio.sleep(40)
            await retention_of(s).pass_once()
            assert keys(cluster) == 0

    run_virtual(main())


def test_a_key_whose_lane_can_t_be_read_stays() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing()) as s:
            await s.define(ONE_STEP)
            await s.start("one", key="k")
            await s.run_all(1)
            await asyncio.sleep(2 * KEPT_S)
            s.faults.refuse(503, on="mget", index=LANE)
            await retention_of(s).pass_once()
            assert keys(cluster) == 1

    run_virtual(main())


async def died_before_its_instance_came_to_be(cluster: ModelElasticsearch) -> None:
    """A key is written, and its writer dies."""
    async with dying(cluster, settings=clearing()) as s:
        await s.define(ONE_STEP)
        s.faults.lose_request(on="bulk", index=LANE, times=FOREVER)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await s.start("one", key="k")
    assert (keys(cluster), live(cluster)) == (1, {})


def test_a_repeat_that_begins_an_old_key_s_instance_keeps_the_key() -> None:
    """The deletion is on its way when the repeat comes, and arrives after it."""

    async def main() -> None:
        cluster = new_cluster()
        await died_before_its_instance_came_to_be(cluster)
        async with scheduler(cluster, settings=clearing(), replica_id="replica-b") as s:
            await asyncio.sleep(2 * KEPT_S)
            deletion = s.faults.hold("before", on="bulk", index=NAMES.keys)
            clearing_now = asyncio.create_task(retention_of(s).pass_once())
            await deletion.reached()
            first = (await s.start("one", key="k")).instance_id
            deletion.release()
            assert await clearing_now == 0
            assert (await s.start("one", key="k")).instance_id == first
            assert list(live(cluster)) == [first]

    run_virtual(main())


def test_a_repeat_that_has_read_an_old_key_which_then_goes_is_told_to_ask_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        await died_before_its_instance_came_to_be(cluster)
        async with scheduler(cluster, settings=clearing(), replica_id="replica-b") as s:
            await asyncio.sleep(2 * KEPT_S)
            answer = s.faults.hold("after", on="get", index=NAMES.keys)
            repeat = asyncio.create_task(s.start("one", key="k"))
            await answer.reached()
            assert await retention_of(s).pass_once() == 1
            answer.release()
            with pytest.raises(Unavailable, match="being changed by others; ask again"):
                await repeat
            first = (await s.start("one", key="k")).instance_id
            assert (await s.start("one", key="k")).instance_id == first
            assert list(live(cluster)) == [first]

    run_virtual(main())


@pytest.mark.parametrize("seed", range(3))
def test_repeats_within_the_retention_are_one_instance_whatever_happens(seed: int) -> None:
    """Two replicas that clear all the time, starts under few keys, accidents, and one replica that dies."""

    async def main() -> None:
        random, cluster, peers = Random(seed), new_cluster(lanes=2), ModelPeers()
        answered: dict[str, list[tuple[str, float]]] = {}
        now = asyncio.get_running_loop().time

        async def start(s: Scheduler, key: str) -> None:
            with suppress(LeaseholdError, TimeoutError):
                async with asyncio.timeout(3):
                    answered.setdefault(key, []).append(((await s.start("one", key=key)).instance_id, now()))

        async def work(s: Scheduler) -> None:
            with suppress(LeaseholdError, TimeoutError):
                async with asyncio.timeout(3):
                    for step in await s.claim(max_steps=3, lease_ms=2_000):
                        await s.complete(step)

        async with AsyncExitStack() as stack:
            up = [
                await stack.enter_async_context(member(cluster, peers, name, port, lanes=2, every_ms=700))
                for port, name in enumerate(("a", "b", "c"), 1)
            ]
            await asyncio.sleep(5)
            await up[0].define(ONE_STEP)
            under_way: set[asyncio.Task[None]] = set()
            for turn in range(240):
                s = random.choice(up)
                under_way.add(asyncio.create_task(start(s, f"k{random.randrange(4)}")))
                if random.random() < 0.3:
                    under_way.add(asyncio.create_task(work(s)))
                if random.random() < 0.1:
                    s.faults.lose_answer(on="bulk")
                if random.random() < 0.1:
                    s.faults.delay(random.randrange(3_000), on="bulk", index=NAMES.keys)
                if random.random() < 0.05:
                    s.faults.land_late(random.randrange(500, 4_000), on="bulk", index=NAMES.keys)
                if turn == 120:
                    dead = up.pop()
                    dead.faults.cut_off(times=FOREVER)
                await asyncio.sleep(random.random() / 2)
            await asyncio.wait(under_way)

        made = {id: int(id.split("-")[1][:12], 16) - EPOCH_MS for ids in answered.values() for id, _ in ids}
        assert len(made) > 4, "nothing was ever cleared"
        for ids in answered.values():
            for (one, at), (other, later) in itertools.pairwise(ids):
                # A key is as old as its first instance's id, or was written anew since.
                assert one == other or later * 1_000 - made[one] > KEPT_MS, (one, other, at, later)

    run_virtual(main())
