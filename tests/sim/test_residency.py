"""What an owner holds in memory, and what it leaves to the index (`core.lanes.memory.residency`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
from leasehold.claim.wire import ClaimedStep, DecisionBody, StartBody
from leasehold.core.errors import LeaseLost
from leasehold.core.metrics import Metrics
from leasehold.core.orders import Pause
from leasehold.core.principal import Principal
from leasehold.core.settings import LaneSettings, Settings, WindowSettings

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import (
    ANYBODY,
    LANE,
    ONE_STEP,
    ROUND_TRIP_S,
    Scheduler,
    documents,
    live,
    new_cluster,
    scheduler,
)
from tests.kit.virtual_time import run_virtual

SMALL = Settings(
    lanes=LaneSettings(lanes=1),
    windows=WindowSettings(max_steps=10, line_max_steps=10, page_steps=4, timers_max_instances=8),
)
EVERYBODY = Principal("tester", "*", roles=("operator",))

SLOW_TO_RETRY = """
name: patient
steps:
  - name: only
    executor: work
    retry: {max: 50, backoff: constant, initial: 1h, max_delay: 1h, jitter: none}
"""

SOON_TO_RETRY = SLOW_TO_RETRY.replace("patient", "hasty").replace("1h", "20s")

APPROVED = """
name: approved
steps:
  - name: only
    executor: work
    requires_approval: true
"""

WORK_THEN_APPROVAL = """
name: checked
steps:
  - {name: first, executor: work}
  - {name: second, executor: work, requires_approval: true, input: {got: "{{ steps.first.result }}"}}
"""


async def resident(s: Scheduler) -> int:
    """How many instances the replica holds in memory."""
    return sum(lane.resident for lane in await s.replica.lanes())


async def start_for(s: Scheduler, tenant: str) -> str:
    answer, _ = await s.replica.start(
        Principal("tester", tenant, roles=("operator",)), "one", StartBody(), idempotency_key=None, traceparent=None
    )
    return answer.instance_id


@asynccontextmanager
async def small(
    cluster: ModelElasticsearch, *, replica_id: str = "replica-a", seed: int = 1
) -> AsyncIterator[tuple[Scheduler, Metrics]]:
    """A replica with tiny windows, and what it counts."""
    metrics = Metrics()
    async with scheduler(cluster, settings=SMALL, replica_id=replica_id, seed=seed, metrics=metrics) as s:
        yield s, metrics


def conflicts(metrics: Metrics) -> float:
    """How many items of group writes were answered 409."""
    return metrics.registry.get_sample_value("leasehold_commit_conflicts_total", {"index": LANE}) or 0.0


async def completed(s: Scheduler, step: ClaimedStep) -> list[str]:
    """The instance whose step was completed; none when its lease had run out before."""
    try:
        await s.complete(step)
    except LeaseLost:
        return []
    return [step.workflow_id]


def searches(s: Scheduler) -> int:
    return s.store.requests.get("search", 0) + s.store.requests.get("search_many", 0)


def test_a_backlog_beyond_the_window_leaves_memory_and_is_claimed_once_in_order() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, counted):
            await s.define(ONE_STEP)
            started = [(await s.start("one", n=n)).instance_id for n in range(100)]
            await asyncio.sleep(3)
            assert await resident(s) <= 20
            claimed = [await s.claim_one() for _ in range(100)]
            assert [step.workflow_id for step in claimed] == started
            assert [step.payload["n"] for step in claimed] == list(range(100))
            assert await s.claim() == []
            assert conflicts(counted) == 0

    run_virtual(main())


def test_a_window_is_refilled_ahead_of_need() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, _):
            await s.define(ONE_STEP)
            for n in range(60):
                await s.start("one", n=n)
            await asyncio.sleep(3)
            for _ in range(60):
                assert len(await s.claim()) == 1
                await asyncio.sleep(2 * ROUND_TRIP_S)

    run_virtual(main())


def test_nothing_leaves_memory_before_a_refresh_that_began_after_its_last_write() -> None:
    """With a refresh under way that began too early, what was written since must not leave: no search would find it."""

    async def main() -> None:
        cluster = new_cluster()
        cluster.one_index(LANE).refresh_interval_ms = None
        async with small(cluster) as (s, counted):
            await s.define(ONE_STEP)
            for n in range(30):
                await s.start("one", n=n)
            # The refresh has happened, its answer is on its way, and more is written meanwhile.
            held = s.faults.hold("after", on="refresh", index=LANE)
            await held.reached()
            for n in range(30, 60):
                await s.start("one", n=n)
            held.release()
            await asyncio.sleep(0.5)
            claimed = [await s.claim_one(wait_ms=3_000) for _ in range(60)]
            assert sorted(step.payload["n"] for step in claimed) == list(range(60))
            assert conflicts(counted) == 0

    run_virtual(main())


def test_what_is_written_while_a_refresh_is_under_way_does_not_leave_with_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        cluster.one_index(LANE).refresh_interval_ms = None
        async with small(cluster) as (s, _):
            await s.define(ONE_STEP, APPROVED)
            for n in range(30):
                await s.start("one", n=n)
            await asyncio.sleep(3)
            waits = (await s.start("approved")).instance_id
            held = s.faults.hold("after", on="refresh", index=LANE)
            await held.reached()
            await s.replica.decide(ANYBODY, waits, approved=True, step=None, body=DecisionBody())
            held.release()
            await asyncio.sleep(0.1)
            claimed = [await s.claim_one(wait_ms=3_000) for _ in range(31)]
            assert waits in {step.workflow_id for step in claimed}

    run_virtual(main())


@pytest.mark.parametrize("refreshing", [False, True])
def test_a_spilled_instance_that_was_ended_does_not_come_back_with_a_refill(refreshing: bool) -> None:
    """Searches see it until the next refresh has come back."""

    async def main() -> None:
        cluster = new_cluster()
        cluster.one_index(LANE).refresh_interval_ms = None
        async with small(cluster) as (s, counted):
            await s.define(ONE_STEP, APPROVED)
            started = [(await s.start("one", n=n)).instance_id for n in range(40)]
            await asyncio.sleep(3)
            for id in started[30:33]:
                await s.replica.terminate(ANYBODY, id, "not wanted")
            await asyncio.sleep(2)
            assert not set(started[30:33]) & set(live(cluster))
            if refreshing:
                await s.start("approved")
                await s.faults.hold("before", on="refresh", index=LANE).reached()
            claimed = [await s.claim_one(wait_ms=3_000) for _ in range(37)]
            assert {step.workflow_id for step in claimed} == set(started) - set(started[30:33])
            assert await s.claim() == []
            assert conflicts(counted) == 0

    run_virtual(main())


def test_an_instance_rests_when_its_document_says_that_history_has_all_of_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with small(cluster) as (s, _):
            await s.define(WORK_THEN_APPROVAL)
            started = await s.start("checked")
            await s.complete(await s.claim_one(), {"found": 1})
            await asyncio.sleep(5)
            assert await resident(s) == 0
            document = live(cluster)[started.instance_id]
            assert "held" not in document
            assert "outbox" not in document
            await s.replica.decide(ANYBODY, started.instance_id, approved=True, step=None, body=DecisionBody())
            assert (await s.claim_one()).payload == {"got": {"found": 1}}

    run_virtual(main())


def test_what_has_ended_since_the_last_refresh_does_not_come_back() -> None:
    async def main() -> None:
        cluster = new_cluster()
        cluster.one_index(LANE).refresh_interval_ms = None
        async with small(cluster) as (s, counted):
            await s.define(ONE_STEP)
            for n in range(40):
                await s.start("one", n=n)
            await asyncio.sleep(3)
            steps = await s.run_all(3)
            # Their documents go after a refresh of history; the lane has not been refreshed since.
            await asyncio.sleep(2)
            assert not {step.workflow_id for step in steps} & set(live(cluster))
            rest = [await s.claim_one(wait_ms=3_000) for _ in range(37)]
            assert sorted(step.payload["n"] for step in [*steps, *rest]) == list(range(40))
            assert conflicts(counted) == 0

    run_virtual(main())


def test_what_rests_leaves_although_a_refresh_failed_and_nothing_else_happens() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, _):
            await s.define(APPROVED)
            s.faults.refuse(503, on="refresh", index=LANE)
            await s.start("approved")
            await asyncio.sleep(10)
            assert await resident(s) == 0

    run_virtual(main())


def test_sleepers_hold_no_memory_and_cost_no_search() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with small(cluster) as (s, _):
            await s.define(APPROVED)
            started = [(await s.start("approved")).instance_id for _ in range(50)]
            await asyncio.sleep(30)
            assert await resident(s) == 0
            before = searches(s)
            await asyncio.sleep(600)
            assert searches(s) == before
            views = await asyncio.gather(
                *(
                    s.replica.decide(ANYBODY, id, approved=True, step=None, body=DecisionBody(comment="fine"))
                    for id in started
                )
            )
            assert {view.status for view in views} == {"running"}
            assert {step.workflow_id for step in await s.run_all(50)} == set(started)

    run_virtual(main())


def test_what_was_released_holds_no_memory_once_it_is_paused() -> None:
    """A lease that was given back is no lease any more: it does not keep its instance in memory until it would end."""

    async def main() -> None:
        async with scheduler(new_cluster(), settings=SMALL) as s:
            await s.define(ONE_STEP)
            started = await s.start("one")
            step = await s.claim_one(lease_ms=3_600_000)
            await s.replica.release(ANYBODY, step.step_id)
            await s.replica.steer(ANYBODY, started.instance_id, Pause())
            await asyncio.sleep(10)
            assert await resident(s) == 0

    run_virtual(main())


def test_instances_asked_for_at_once_are_read_together() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, _):
            await s.define(APPROVED)
            started = [(await s.start("approved")).instance_id for _ in range(50)]
            await asyncio.sleep(5)
            before = s.store.requests.get("mget", 0)
            await asyncio.gather(
                *(s.replica.decide(ANYBODY, id, approved=True, step=None, body=DecisionBody()) for id in started)
            )
            # Control looks at leases by multi-get as well.
            assert s.store.requests["mget"] - before <= 4

    run_virtual(main())


def test_a_failed_read_is_told_to_its_asker_and_not_taken_for_an_absence() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, _):
            await s.define(APPROVED)
            started = [(await s.start("approved")).instance_id for _ in range(3)]
            await asyncio.sleep(5)
            s.faults.cut_off(on="mget", index=LANE)
            answers = await asyncio.gather(
                *(s.replica.decide(ANYBODY, id, approved=True, step=None, body=DecisionBody()) for id in started),
                return_exceptions=True,
            )
            assert [type(answer).__name__ for answer in answers].count("StoreUnavailable") == 1
            assert [getattr(answer, "status", None) for answer in answers].count("running") == 2

    run_virtual(main())


def test_far_timers_are_loaded_shortly_before_they_are_due_and_go_off_in_time() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, counted):
            await s.define(SLOW_TO_RETRY)
            for _ in range(30):
                await s.start("patient")
            for _ in range(30):
                await s.fail(await s.claim_one(), "flaky")
            await asyncio.sleep(30)
            assert await resident(s) == 0
            before = searches(s)
            await asyncio.sleep(3_500)
            assert searches(s) == before
            assert await s.claim() == []
            await asyncio.sleep(92)
            claimed = [await s.claim_one(wait_ms=5_000) for _ in range(30)]
            assert {step.attempt for step in claimed} == {2}
            assert conflicts(counted) == 0

    run_virtual(main())


def test_a_timer_goes_off_within_milliseconds_of_its_time() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, _):
            await s.define(SLOW_TO_RETRY)
            await s.start("patient")
            await s.fail(await s.claim_one(), "flaky")
            failed_s = asyncio.get_running_loop().time()
            await asyncio.sleep(30)
            assert await resident(s) == 0
            while not (claimed := await s.claim(wait_ms=60_000)):
                pass
            assert claimed[0].attempt == 2
            assert 0 <= asyncio.get_running_loop().time() - failed_s - 3_600 < 0.05

    run_virtual(main())


def test_a_successor_finds_the_backlog_the_leases_and_the_sleepers() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with small(cluster) as (first, _):
            await first.define(ONE_STEP, APPROVED, SLOW_TO_RETRY)
            for n in range(50):
                await first.start("one", n=n)
            held = [await first.claim_one() for _ in range(5)]
            asleep = [(await first.start("approved")).instance_id for _ in range(10)]
            first.faults.cut_off(times=1_000_000_000)
        async with small(cluster, replica_id="replica-b") as (second, counted):
            assert await resident(second) <= 25
            for step in held:
                assert await second.complete(step) == "succeeded"
            claimed = [await second.claim_one() for _ in range(45)]
            assert sorted(step.payload["n"] for step in [*held, *claimed]) == list(range(50))
            await second.replica.decide(ANYBODY, asleep[0], approved=True, step=None, body=DecisionBody())
            assert (await second.claim_one()).workflow_id == asleep[0]
            assert conflicts(counted) == 0

    run_virtual(main())


def test_every_tenant_is_served_when_there_are_more_than_steps_in_memory() -> None:
    async def main() -> None:
        async with small(new_cluster()) as (s, _):
            await s.replica.put_definition(Principal("tester", "*", roles=("operator",)), "one", ONE_STEP.encode())
            tenants = [f"tenant-{n:02}" for n in range(40)]
            for tenant in tenants:
                for _ in range(5):
                    await start_for(s, tenant)
            await asyncio.sleep(3)
            order: list[str] = []
            while len(order) < 200:
                steps = await s.replica.claim(
                    EVERYBODY, ("work",), max_steps=1, lease_ms=30_000, wait_ms=3_000, worker="w", request_id=None
                )
                order += [step.tenant for step in steps]
            assert {tenant: order.count(tenant) for tenant in tenants} == dict.fromkeys(tenants, 5)

    run_virtual(main())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_everything_runs_exactly_once(seed: int) -> None:
    """Starts, claims, completions, failures, approvals and pauses at random, with tiny windows and no own refreshes."""

    async def main() -> None:
        random = Random(seed)
        cluster = new_cluster()
        cluster.one_index(LANE).refresh_interval_ms = None
        async with small(cluster, seed=seed) as (s, counted):
            await s.define(ONE_STEP, APPROVED, SOON_TO_RETRY)
            started: set[str] = set()
            undecided: list[str] = []
            leased: list[ClaimedStep] = []
            done: list[str] = []
            for _ in range(200):
                action = random.choice(("start", "start", "claim", "complete", "fail", "approve", "wait"))
                if action == "start":
                    name = random.choice(("one", "approved", "hasty"))
                    id = (await s.start(name)).instance_id
                    started.add(id)
                    undecided += [id] if name == "approved" else []
                elif action == "claim":
                    leased += await s.claim(max_steps=random.randint(1, 4), lease_ms=3_600_000)
                elif action == "complete" and leased:
                    done += await completed(s, leased.pop(random.randrange(len(leased))))
                elif action == "fail" and leased:
                    step = leased.pop(random.randrange(len(leased)))
                    with suppress(LeaseLost):
                        ended = await s.fail(step, "flaky") == "failed"
                        done += [step.workflow_id] if ended else []
                elif action == "approve" and undecided:
                    id = undecided.pop(random.randrange(len(undecided)))
                    await s.replica.decide(ANYBODY, id, approved=True, step=None, body=DecisionBody())
                elif action == "wait":
                    await asyncio.sleep(random.choice((0.01, 0.5, 3, 25)))
            for id in undecided:
                await s.replica.decide(ANYBODY, id, approved=True, step=None, body=DecisionBody())
            for step in leased:
                done += await completed(s, step)
            await asyncio.sleep(30)
            while steps := await s.claim(max_steps=10, wait_ms=5_000):
                for step in steps:
                    done += await completed(s, step)
            await asyncio.sleep(10)
            assert sorted(done) == sorted(started)
            assert conflicts(counted) == 0
            assert live(cluster) == {}
            assert set(documents(cluster, "workflow-instances")) == started
            assert await resident(s) == 0

    run_virtual(main())


def test_a_late_write_of_a_paused_owner_to_a_resting_instance_is_found_and_its_lease_revoked() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with small(cluster) as (first, _):
            await first.define(ONE_STEP)
            for n in range(30):
                await first.start("one", n=n)
            await asyncio.sleep(3)
            # The claim's bulk lands when the successor has long been at work.
            first.faults.land_late(60_000, on="bulk", index=LANE)
            claim = asyncio.create_task(first.claim(max_steps=10))
            await asyncio.sleep(0.1)
            first.faults.cut_off(times=1_000_000_000)
            async with small(cluster, replica_id="replica-b") as (second, _):
                await asyncio.sleep(80)
                claimed = [await second.claim_one(wait_ms=5_000) for _ in range(30)]
                assert sorted(step.payload["n"] for step in claimed) == list(range(30))
            claim.cancel()

    run_virtual(main())
