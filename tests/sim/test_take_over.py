"""Taking lanes over from owners that died, paused or came late (`core.lanes.memory.takeover`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from leasehold.claim.wire import HeartbeatBody
from leasehold.core.errors import LeaseLost, Unavailable

from tests.kit.faults import Held
from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import (
    ANYBODY,
    LANE,
    ONE_STEP,
    ROUND_TRIP_S,
    TWO_STEPS,
    Scheduler,
    documents,
    live,
    new_cluster,
    scheduler,
)
from tests.kit.virtual_time import VirtualClock, run_virtual

LEASE_S = 10.0
FOREVER = 1_000_000_000

SIDE_BY_SIDE = """
name: pair
steps:
  - {name: left, executor: work, depends_on: []}
  - {name: right, executor: work, depends_on: []}
"""


@asynccontextmanager
async def dying(cluster: ModelElasticsearch, **options: str) -> AsyncIterator[Scheduler]:
    """A replica that ends as by SIGKILL: nothing that it sends from then on arrives."""
    async with scheduler(cluster, **options) as s:  # type: ignore[arg-type]
        yield s
        s.faults.cut_off(times=FOREVER)


def test_a_successor_goes_on_where_a_killed_replica_was() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(TWO_STEPS)
            started = [await first.start("two") for _ in range(5)]
            step = await first.claim_one()
            await first.complete(step, "kept")
        async with scheduler(cluster, replica_id="replica-b") as second:
            steps = await second.run_all(9)
            assert [s.payload for s in steps if s.workflow_id == step.workflow_id] == [{"got": "kept"}]
            for answer in started:
                assert await second.status(answer.instance_id) == "succeeded"

    run_virtual(main())


def test_a_lease_is_dead_only_after_it_has_not_changed_for_the_lease_time() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster):
            pass
        before_s = asyncio.get_running_loop().time()
        async with scheduler(cluster, replica_id="replica-b", clock=VirtualClock(skew_ms=-3_600_000)):
            taken_after_s = asyncio.get_running_loop().time() - before_s
            assert LEASE_S <= taken_after_s <= LEASE_S + 2.5 + 0.5

    run_virtual(main())


def test_an_orderly_end_hands_the_lane_over_at_once() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(ONE_STEP)
            await first.start("one")
        before_s = asyncio.get_running_loop().time()
        async with scheduler(cluster, replica_id="replica-b") as second:
            assert asyncio.get_running_loop().time() - before_s < 1
            await second.run_all(1)

    run_virtual(main())


def test_a_live_lease_gets_its_full_time_anew_and_its_holder_goes_on() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(ONE_STEP)
            await first.start("one")
            step = await first.claim_one(lease_ms=15_000)
        async with scheduler(cluster, replica_id="replica-b") as second:
            await asyncio.sleep(14)
            answer = await second.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())
            assert answer.lease_ttl_ms == 15_000
            await asyncio.sleep(14)
            assert await second.claim() == []
            assert await second.complete(step) == "succeeded"

    run_virtual(main())


def test_a_lease_that_nobody_renews_after_a_take_over_leads_to_a_new_attempt_with_a_higher_token() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(ONE_STEP)
            await first.start("one")
            step = await first.claim_one(lease_ms=15_000)
        async with scheduler(cluster, replica_id="replica-b") as second:
            again = await second.claim_one()
            assert (again.attempt, again.token) == (2, 2)
            with pytest.raises(LeaseLost) as lost:
                await second.complete(step)
            assert lost.value.token_held == 2

    run_virtual(main())


async def paused_while_claiming(first: Scheduler) -> tuple[asyncio.Task[object], Held]:
    """The owner stands still with a claim's bulk on its way, as a stopped process does."""
    held = first.faults.hold("before", on="bulk", index=LANE)
    claim: asyncio.Task[object] = asyncio.create_task(first.claim())
    await held.reached()
    first.faults.cut_off(index="workflow-control", times=FOREVER)
    return claim, held


def test_a_paused_owner_that_wakes_answers_nobody_and_its_lease_is_revoked() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(ONE_STEP)
            started = await first.start("one")
            claim, held = await paused_while_claiming(first)
            async with scheduler(cluster, replica_id="replica-b") as second:
                held.release()
                assert await claim == []
                assert not first.replica.owns_lanes()
                ghost = live(cluster)[started.instance_id]["steps"]["only"]
                assert ghost["status"] == "claimed", "both conditional writes succeed: only the fence tells"
                step = await second.claim_one()
                assert step.token > ghost["token"]
                assert await second.complete(step) == "succeeded"

    run_virtual(main())


def test_a_paused_owners_completion_is_refused_and_can_be_repeated_at_the_new_owner() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(TWO_STEPS)
            started = await first.start("two")
            step = await first.claim_one()
            held = first.faults.hold("before", on="bulk", index=LANE)
            completion = asyncio.create_task(first.complete(step, "late"))
            await held.reached()
            first.faults.cut_off(index="workflow-control", times=FOREVER)
            async with scheduler(cluster, replica_id="replica-b") as second:
                held.release()
                with pytest.raises(Unavailable):
                    await completion
                with pytest.raises(Unavailable, match="ask again"):
                    await second.complete(step, "late")
                await asyncio.sleep(0.1)
                assert await second.complete(step, "late") == "succeeded"
                assert (await second.claim_one()).payload == {"got": "late"}
                assert await second.status(started.instance_id) == "running"

    run_virtual(main())


def test_what_a_paused_owner_wrote_before_the_new_owner_read_is_seen_and_its_unanswered_lease_revoked() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(ONE_STEP)
            await first.start("one")
            claim, held = await paused_while_claiming(first)
            cluster_store = ModelStore(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
            fenced = cluster_store.faults.hold("before", on="checkpoint", index=LANE)

            async def write_between_fence_and_reading() -> None:
                await fenced.reached()
                held.release()
                await claim
                fenced.release()

            racing = asyncio.create_task(write_between_fence_and_reading())
            async with scheduler(cluster, replica_id="replica-b", store=cluster_store) as second:
                await racing
                assert await claim == []
                step = await second.claim_one(wait_ms=100)
                assert step.attempt == 1, "the revoked lease used no attempt"
                assert step.token == 2

    run_virtual(main())


def test_revoking_spares_an_older_lease_of_the_same_instance_that_was_answered() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(SIDE_BY_SIDE)
            await first.start("pair")
            answered = await first.claim_one(lease_ms=60_000)
            claim, held = await paused_while_claiming(first)
            async with scheduler(cluster, replica_id="replica-b") as second:
                held.release()
                assert await claim == []
                other = await second.claim_one(lease_ms=60_000)
                assert other.run_path != answered.run_path
                assert await second.complete(answered) == "succeeded"
                assert await second.complete(other) == "succeeded"

    run_virtual(main())


def test_a_create_that_lands_after_its_instance_has_finished_elsewhere_is_deleted_not_run() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.define(ONE_STEP)
            first.faults.land_late(60_000, on="bulk", index=LANE)
            first.faults.cut_off(index="workflow-control", times=FOREVER)
            lost = asyncio.create_task(first.start("one", key="k"))
            await asyncio.sleep(0.004)
            first.faults.cut_off(times=FOREVER)
            async with dying(cluster, replica_id="replica-b") as second:
                again = await second.start("one", key="k")
                await second.run_all(1)
                await asyncio.sleep(5)
                assert live(cluster) == {}
            await asyncio.sleep(60)
            assert list(live(cluster)) == [again.instance_id], "the late create has landed"
            async with scheduler(cluster, replica_id="replica-c") as third:
                assert await third.claim(wait_ms=5_000) == []
                assert live(cluster) == {}
                assert await third.status(again.instance_id) == "succeeded"
            lost.cancel()

    run_virtual(main())


def test_what_ended_before_anything_was_leased_goes_only_with_all_its_rows() -> None:
    """Its own row stands and the one of the order that ended it does not: its document looks like a late create."""

    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(ONE_STEP)
            first.faults.refuse(429, on="bulk", index="workflow-audit-000001", times=FOREVER)
            answer = await first.start("one")
            await first.replica.cancel(ANYBODY, answer.instance_id, "enough")
            await asyncio.sleep(5)
            assert answer.instance_id in documents(cluster, "workflow-instances-000001")
            assert live(cluster)[answer.instance_id]["outbox"]
        async with scheduler(cluster, replica_id="replica-b"):
            await asyncio.sleep(30)
            actions = [row["event"]["action"] for row in documents(cluster, "workflow-audit-000001").values()]
            assert actions.count("cancel") == 1
            assert live(cluster) == {}

    run_virtual(main())


def test_a_heartbeat_is_not_answered_when_the_lane_may_have_another_owner() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            step = await s.claim_one(lease_ms=60_000)
            s.faults.cut_off(index="workflow-control", times=FOREVER)
            await asyncio.sleep(LEASE_S)
            with pytest.raises(Unavailable):
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())
            s.faults.clear()
            await asyncio.sleep(3)
            assert (await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody())).lease_ttl_ms == 60_000

    run_virtual(main())


def test_a_repeated_keyed_start_creates_the_instance_that_the_first_never_did() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(ONE_STEP)
            first.faults.cut_off(on="bulk", index=LANE, times=FOREVER)
            lost = asyncio.create_task(first.start("one", key="k"))
            await asyncio.sleep(0.1)
            lost.cancel()
        keys = documents(cluster, "workflow-keys")
        async with scheduler(cluster, replica_id="replica-b") as second:
            answer = await second.start("one", key="k")
            assert [key["instance_id"] for key in keys.values()] == [answer.instance_id]
            assert list(live(cluster)) == [answer.instance_id]
            assert (await second.start("one", key="k")).instance_id == answer.instance_id

    run_virtual(main())


@pytest.mark.parametrize(
    "source", [b'{"kind":"instance"}', b'{"kind":"instance","id":7,"steps":[]}', b'{"kind":"instance","status":"?"}']
)
def test_a_malformed_document_is_left_alone_and_the_lane_goes_on(source: bytes) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as first:
            await first.define(ONE_STEP)
            started = await first.start("one")
        assert cluster.apply(Operation("create", LANE, "malformed", source)).status == 201
        async with scheduler(cluster, replica_id="replica-b") as second:
            await second.run_all(1)
            assert await second.status(started.instance_id) == "succeeded"
            assert "malformed" in documents(cluster, LANE)

    run_virtual(main())
