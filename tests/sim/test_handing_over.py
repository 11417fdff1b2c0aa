"""A replica that leaves hands its lanes over in well under a second, whatever it was at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
import pytest
from leasehold.core.errors import LeaseholdError
from leasehold.core.ids import lane_of

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import LANE, ONE_STEP, SETTINGS, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

FOUR_LANES = msgspec.structs.replace(SETTINGS, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=4))
ONE_WAY_S = 0.004
FOREVER = 1_000_000_000
GAP_S = 1.0


@asynccontextmanager
async def member(cluster: ModelElasticsearch, peers: ModelPeers, name: str, port: int) -> AsyncIterator[Scheduler]:
    """A replica that is some way from Elasticsearch, and reaches its peers."""
    settings = msgspec.structs.replace(FOUR_LANES, server=msgspec.structs.replace(SETTINGS.server, port=port))
    store = ModelStore(cluster, latency_s=lambda: ONE_WAY_S)
    async with scheduler(
        cluster, settings=settings, replica_id=name, seed=port, owning=False, peers=peers, store=store
    ) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s


class Load:
    """Executors at each replica, and a caller that starts. `claims` are (when, replica, lane); `done` never repeats."""

    def __init__(self) -> None:
        self.claims: list[tuple[float, Scheduler, str]] = []
        self.started: list[str] = []
        self.done: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = True

    def begin(self, *replicas: Scheduler) -> None:
        for s in replicas:
            self._tasks += [asyncio.create_task(self._start(s))]
            self._tasks += [asyncio.create_task(self._execute(s)) for _ in range(2)]

    async def end(self) -> None:
        """Stop starting, and let the executors finish all there is."""
        self._starting = False
        await asyncio.sleep(0.5)
        async with asyncio.timeout(60):
            while set(self.started) - set(self.done):
                await asyncio.sleep(0.1)
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def gap_s(self, leaver: Scheduler, lane: str) -> float:
        """From the last claim in this lane that the leaving replica answered to the first that another did."""
        last_s = max(at_s for at_s, by, of in self.claims if (by, of) == (leaver, lane))
        return min(at_s for at_s, by, of in self.claims if by is not leaver and of == lane and at_s > last_s) - last_s

    async def _start(self, s: Scheduler) -> None:
        while self._starting:
            with suppress(LeaseholdError):
                self.started.append((await s.start("one")).instance_id)
            await asyncio.sleep(0.02)

    async def _execute(self, s: Scheduler) -> None:
        """Peers are not asked: who answers a claim is who owns its lane."""
        while True:
            try:
                steps = await s.claim(max_steps=5, wait_ms=0, lease_ms=2_000)
                for step in steps:
                    lane = lane_of(step.workflow_id)
                    assert lane is not None
                    self.claims.append((asyncio.get_running_loop().time(), s, lane))
                    await s.complete(step)
                    self.done.append(step.workflow_id)
            except LeaseholdError:
                steps = []
            await asyncio.sleep(0.01 if steps else 0.03)


@asynccontextmanager
async def pair_under_load() -> AsyncIterator[tuple[Scheduler, Scheduler, Load, AsyncExitStack]]:
    """Two replicas with two lanes each; the second leaves when the stack is closed."""
    cluster, peers = new_cluster(lanes=4), ModelPeers()
    async with member(cluster, peers, "a", 1) as stays, AsyncExitStack() as leaving:
        leaver = await leaving.enter_async_context(member(cluster, peers, "b", 2))
        await asyncio.sleep(10)
        await stays.define(ONE_STEP)
        load = Load()
        # Starts go to lanes of the replica that is asked.
        load.begin(stays, leaver)
        await asyncio.sleep(0.5)
        yield stays, leaver, load, leaving


async def lanes_of(s: Scheduler) -> list[str]:
    return [view.lane for view in await s.replica.lanes() if view.mine]


def owners(cluster: ModelElasticsearch) -> list[str | None]:
    return [lease.get("owner") for lease in documents(cluster, "workflow-control", "lane").values()]


@pytest.mark.parametrize("trouble", ["none", "history backlog", "long bulk", "lost answer", "unreachable peer"])
def test_lanes_of_a_leaving_replica_are_served_again_within_a_second(trouble: str) -> None:
    async def main() -> None:
        async with pair_under_load() as (stays, leaver, load, leaving):
            lanes = await lanes_of(leaver)
            assert len(lanes) == 2
            if trouble == "history backlog":
                leaver.faults.delay(30_000, on="bulk", index="workflow-steps*", times=FOREVER)
                await asyncio.sleep(1)
            elif trouble == "long bulk":
                for lane in lanes:
                    leaver.faults.delay(20_000, on="bulk", index=f"workflow-lane-{lane}")
                await asyncio.sleep(0.05)
            elif trouble == "lost answer":
                leaver.faults.lose_answer(on="bulk", index="workflow-lane-*", times=2)
            elif trouble == "unreachable peer":
                stays.faults.delay(150, on="mget", times=3)
            began_s = asyncio.get_running_loop().time()
            await leaver.replica.leave()
            took_s = asyncio.get_running_loop().time() - began_s
            await asyncio.sleep(1.5)
            await leaving.aclose()
            await load.end()
            assert took_s < GAP_S
            assert len(await lanes_of(stays)) == 4
            assert all(load.gap_s(leaver, lane) < GAP_S for lane in lanes), [load.gap_s(leaver, x) for x in lanes]
            # A start that was told to come back may stand all the same.
            assert set(load.started) <= set(load.done)
            assert len(load.done) == len(set(load.done))

    run_virtual(main())


def test_peers_learn_of_the_lanes_at_once_and_not_at_their_next_look() -> None:
    async def main() -> None:
        slow_look = msgspec.structs.replace(FOUR_LANES.lanes, observe_every_ms=2_500)
        cluster, peers = new_cluster(lanes=4), ModelPeers()
        settings = msgspec.structs.replace(FOUR_LANES, lanes=slow_look)
        async with scheduler(cluster, settings=settings, replica_id="a", owning=False, peers=peers) as stays:
            peers.join("http://127.0.0.1:8080", stays.replica)
            async with member(cluster, peers, "b", 2) as leaver:
                await asyncio.sleep(15)
                assert len(await lanes_of(leaver)) == 2
                await leaver.replica.leave()
                await asyncio.sleep(0.1)
                assert len(await lanes_of(stays)) == 4

    run_virtual(main())


def test_lanes_that_go_to_a_replica_that_joins_are_served_again_within_a_second() -> None:
    async def main() -> None:
        cluster, peers, load = new_cluster(lanes=4), ModelPeers(), Load()
        async with member(cluster, peers, "a", 1) as first:
            await asyncio.sleep(3)
            await first.define(ONE_STEP)
            load.begin(first)
            await asyncio.sleep(1)
            first.faults.delay(30_000, on="bulk", index="workflow-steps*", times=FOREVER)
            async with member(cluster, peers, "b", 2) as second:
                load.begin(second)
                await asyncio.sleep(2)
                lanes = await lanes_of(second)
                assert len(lanes) == 2
                assert all(load.gap_s(first, lane) < GAP_S for lane in lanes)
                await load.end()
                assert set(load.started) <= set(load.done)

    run_virtual(main())


def test_a_lane_that_is_being_handed_over_answers_what_was_begun_and_leases_nothing_more() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(), ModelPeers()
        async with member(cluster, peers, "a", 1) as a, member(cluster, peers, "b", 2) as b:
            await asyncio.sleep(10)
            s = a if a.replica.owns_lanes() else b
            await s.define(ONE_STEP)
            await s.start("one")
            held = s.faults.hold("before", on="bulk", index=LANE)
            begun = asyncio.create_task(s.start("one"))
            await held.reached()
            leaving = asyncio.create_task(s.replica.leave())
            await asyncio.sleep(0.1)
            assert await s.claim() == []
            held.release()
            assert (await begun).status == "running"
            await leaving

    run_virtual(main())


def test_the_last_replica_to_leave_delivers_history_before_it_goes() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=4)
        async with member(cluster, ModelPeers(), "a", 1) as s:
            await asyncio.sleep(3)
            await s.define(ONE_STEP)
            started = [(await s.start("one")).instance_id for _ in range(20)]
            await s.run_all(20)
        assert set(documents(cluster, "workflow-instances")) == set(started)

    run_virtual(main())


def test_waiting_claims_are_answered_with_nothing_and_no_lease_is_left_behind() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=4), ModelPeers()
        async with member(cluster, peers, "a", 1) as s:
            await asyncio.sleep(3)
            await s.define(ONE_STEP)
            waiting = asyncio.create_task(s.claim(wait_ms=60_000))
            await asyncio.sleep(1)
            await s.replica.leave()
            assert await waiting == []
            assert await s.claim(wait_ms=60_000) == []
        assert owners(cluster) == [None] * 4

    run_virtual(main())


def test_an_executor_that_waits_elsewhere_gets_work_from_the_lanes_next_owner() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(), ModelPeers()
        async with AsyncExitStack() as stack:
            replicas = [
                await stack.enter_async_context(member(cluster, peers, name, n)) for n, name in enumerate("abc", 1)
            ]
            await asyncio.sleep(10)
            (owner,) = [s for s in replicas if s.replica.owns_lanes()]
            asked, heir = [s for s in replicas if s is not owner]
            await asked.define(ONE_STEP)
            waiting = asyncio.create_task(asked.claim(wait_ms=60_000))
            await asyncio.sleep(1)
            await owner.replica.leave()
            await asyncio.sleep(2)
            if asked.replica.owns_lanes():
                heir = asked
            started = await heir.start("one")
            async with asyncio.timeout(0.1):
                (step,) = await waiting
            assert step.workflow_id == started.instance_id

    run_virtual(main())
