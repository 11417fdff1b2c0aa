"""Any replica's address serves every lane: what belongs to another owner is passed on (`core.peers`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from leasehold.claim.wire import CompleteBody, DecisionBody, HeartbeatBody, StartBody, StartItem, StepReport
from leasehold.core.errors import Unavailable
from leasehold.core.orders import Cancel, Pause, Resume, Retry, Signal, Skip
from leasehold.core.peers import Relayed

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, ONE_STEP, SETTINGS, TWO_STEPS, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

APPROVED = """
name: approved
steps:
  - {name: only, executor: work, requires_approval: true}
"""


@asynccontextmanager
async def pair(cluster: ModelElasticsearch, peers: ModelPeers) -> AsyncIterator[tuple[Scheduler, Scheduler]]:
    """Two replicas; the first owns every lane there is, so the second has to pass everything on."""
    async with member(cluster, peers, "a", 1) as owner, member(cluster, peers, "b", 2) as other:
        await asyncio.sleep(10)
        if not owner.replica.owns_lanes():
            owner, other = other, owner
        assert not other.replica.owns_lanes()
        await owner.define(ONE_STEP, TWO_STEPS, APPROVED)
        yield owner, other


@asynccontextmanager
async def member(cluster: ModelElasticsearch, peers: ModelPeers, name: str, port: int) -> AsyncIterator[Scheduler]:
    settings = msgspec.structs.replace(SETTINGS, server=msgspec.structs.replace(SETTINGS.server, port=port))
    async with scheduler(cluster, settings=settings, replica_id=name, seed=port, owning=False, peers=peers) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s


def test_starts_reports_and_decisions_reach_the_owner_through_any_replica() -> None:
    async def main() -> None:
        async with pair(new_cluster(), ModelPeers()) as (_, other):
            started = await other.start("approved")
            view = await other.replica.decide(
                ANYBODY, started.instance_id, approved=True, step=None, body=DecisionBody()
            )
            assert view.steps[0].status == "ready"
            step = await other.claim_one()
            answer = await other.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(checkpoint=1))
            assert answer.lease_ttl_ms == 30_000
            assert await other.complete(step, "done") == "succeeded"
            assert await other.status(started.instance_id) == "succeeded"
            second = await other.start("two")
            assert (await other.replica.cancel(ANYBODY, second.instance_id, "enough")).status == "cancelled"

    run_virtual(main())


def test_orders_reach_the_owner_through_any_replica_and_so_does_a_redrive() -> None:
    async def main() -> None:
        async with pair(new_cluster(), ModelPeers()) as (_, other):
            id = (await other.start("two")).instance_id
            assert (await other.replica.steer(ANYBODY, id, Pause(reason="look"))).status == "paused"
            assert (await other.replica.steer(ANYBODY, id, Resume())).status == "running"
            view = await other.replica.steer(ANYBODY, id, Signal(name="note", payload={"n": 1}))
            assert view.signals == {"note": {"n": 1}}
            view = await other.replica.steer(ANYBODY, id, Skip(step="first"))
            assert view.steps[0].status == "skipped"
            await other.fail(await other.claim_one(), "boom")
            await asyncio.sleep(5)
            view = await other.replica.steer(ANYBODY, id, Retry(step="second"))
            assert (view.status, view.redrives) == ("running", 1)
            assert (await other.replica.steer(ANYBODY, id, Cancel())).status == "cancelled"
            with pytest.raises(Relayed) as refused:
                await other.replica.steer(ANYBODY, id, Pause())
            assert refused.value.problem.status == 409

    run_virtual(main())


def test_a_keyed_start_gives_one_instance_whichever_replica_is_asked() -> None:
    async def main() -> None:
        async with pair(new_cluster(), ModelPeers()) as (owner, other):
            answers = await asyncio.gather(*(s.start("one", key="k") for s in (owner, other, other, owner)))
            assert len({answer.instance_id for answer in answers}) == 1

    run_virtual(main())


def test_bulk_starts_and_reports_are_passed_on_in_one_request_each() -> None:
    async def main() -> None:
        peers = ModelPeers()
        async with pair(new_cluster(), peers) as (_, other):
            starts = [StartItem(workflow="one") for _ in range(30)]
            results = await other.replica.start_many(ANYBODY, starts, traceparent=None)
            assert [result.code for result in results] == [201] * 30
            steps = await other.claim(max_steps=30, wait_ms=1_000)
            assert len(steps) == 30
            reports = [StepReport(step.step_id, "complete", complete=CompleteBody()) for step in steps]
            done = await other.replica.report_many(ANYBODY, reports)
            assert [result.code for result in done] == [200] * 30
            assert (peers.asked["start_many"], peers.asked["report"]) == (1, 1)

    run_virtual(main())


def test_what_the_owner_refuses_is_refused_in_its_own_words() -> None:
    async def main() -> None:
        async with pair(new_cluster(), ModelPeers()) as (owner, other):
            await owner.start("one")
            old = await owner.claim_one(lease_ms=1_000)
            new = await owner.claim_one()
            with pytest.raises(Relayed) as refused:
                await other.complete(old)
            assert (refused.value.problem.status, refused.value.problem.token_held) == (409, new.token)

    run_virtual(main())


def test_work_that_becomes_ready_elsewhere_reaches_a_waiting_executor_within_100_ms() -> None:
    async def main() -> None:
        async with pair(new_cluster(), ModelPeers()) as (owner, other):
            loop = asyncio.get_running_loop()
            for _ in range(20):
                waiting = asyncio.create_task(other.claim(wait_ms=30_000))
                await asyncio.sleep(1)
                started_s = loop.time()
                await owner.start("one")
                (step,) = await waiting
                assert loop.time() - started_s < 0.1
                await other.complete(step)

    run_virtual(main())


def test_a_claim_that_was_served_here_leaves_no_lease_behind_elsewhere() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1) as first, member(cluster, peers, "b", 2) as second:
            await asyncio.sleep(10)
            assert first.replica.owns_lanes()
            assert second.replica.owns_lanes()
            await first.define(ONE_STEP)
            waiting = asyncio.create_task(first.claim(wait_ms=30_000))
            await asyncio.sleep(0.1)
            await asyncio.gather(first.start("one"), second.start("one"))
            (step,) = await waiting
            await asyncio.sleep(0.1)
            (other,) = await first.claim(wait_ms=1_000)
            assert other.workflow_id != step.workflow_id
            assert other.attempt == 1

    run_virtual(main())


def test_a_claim_whose_asker_left_no_longer_waits_at_the_peers() -> None:
    async def main() -> None:
        async with pair(new_cluster(), ModelPeers()) as (owner, other):
            gone = asyncio.create_task(other.claim(wait_ms=30_000))
            await asyncio.sleep(1)
            gone.cancel()
            await asyncio.sleep(0.1)
            await owner.start("one")
            step = await owner.claim_one(wait_ms=100)
            assert (step.attempt, step.token) == (1, 1)

    run_virtual(main())


def test_while_the_owner_does_not_answer_the_caller_is_told_to_come_back() -> None:
    async def main() -> None:
        peers = ModelPeers()
        async with pair(new_cluster(), peers) as (owner, other):
            await owner.start("one")
            step = await owner.claim_one()
            peers.cut_off = {"http://127.0.0.1:1", "http://127.0.0.1:2"}
            with pytest.raises(Unavailable):
                await other.complete(step)
            with pytest.raises(Unavailable):
                await other.replica.start(ANYBODY, "one", StartBody(), idempotency_key=None, traceparent=None)
            assert await other.claim(wait_ms=500) == []
            peers.cut_off = set()
            assert await other.complete(step) == "succeeded"

    run_virtual(main())
