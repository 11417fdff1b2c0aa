"""The loop that has policies carried out: by whom, when, and what happens when something goes wrong."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.core.es.lines import put_line
from leasehold.core.lifecycle.keeper import LOOK_EVERY_MS
from leasehold.core.metrics import Metrics
from leasehold.core.settings import LaneSettings, LifecycleSettings, Settings
from leasehold.ilm.policies import default_policy, retention_ms

from tests.kit.model_store import ModelStore
from tests.kit.schedulers import NAMES, ONE_STEP, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import VirtualClock, run_virtual

from .ground import Mortal, Recording, indices, last_pass, policy, put

OBEYED_S = LOOK_EVERY_MS / 1_000 + 1
EVERY_S = LifecycleSettings().every_ms / 1_000
REFRESHED_S = 6
TAKEN_OVER_S = LaneSettings().lease_ms / 1_000 + 2 * OBEYED_S


async def run_some(s: Scheduler, count: int = 2) -> None:
    """Instances of one step, and their rows where a roll-over counts them."""
    for _ in range(count):
        await s.start("one")
        await s.complete(await s.claim_one())
    await asyncio.sleep(REFRESHED_S)


def test_a_changed_policy_is_obeyed_by_the_owner_of_the_first_lane_within_seconds_whoever_was_asked() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster) as a, scheduler(cluster, replica_id="replica-b", seed=2, owning=False) as b:
            await a.define(ONE_STEP)
            await run_some(a)
            assert indices(cluster, NAMES.steps) == ["000001"]
            (first,) = [one for one in (a, b) if one.replica._engine._owns_first_lane()]
            other = b if first is a else a
            await put(other, "steps", policy(max_docs=1))
            await asyncio.sleep(OBEYED_S)
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]
            told = await last_pass(other)
            assert told.replica == first.replica._engine.replica_id
            assert told.error is None
            assert any("rolled over" in sentence for sentence in told.done)

    run_virtual(main())


def test_where_it_is_asked_itself_it_obeys_at_once() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            await run_some(s)
            await put(s, "steps", policy(max_docs=1))
            await asyncio.sleep(0.2)
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]

    run_virtual(main())


def test_what_becomes_due_is_done_with_the_next_pass() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            await put(s, "steps", policy(max_docs=3))
            await asyncio.sleep(OBEYED_S)
            await run_some(s, 3)
            await asyncio.sleep(EVERY_S)
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]
            await run_some(s, 1)
            await run_some(s, 1)
            assert documents(cluster, "workflow-steps-000002"), "by now it is known to the writers"

    run_virtual(main())


def test_a_replica_whose_clock_is_ahead_deletes_nothing_early() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, clock=VirtualClock(skew_ms=7_200_000)) as s:
            await s.define(ONE_STEP)
            await run_some(s)
            await put(s, "steps", policy("1h", max_docs=2))
            await asyncio.sleep(OBEYED_S + 2 * EVERY_S)
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]

    run_virtual(main())


@pytest.mark.slow
def test_an_index_that_is_old_enough_goes_while_replicas_run() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            await run_some(s)
            await put(s, "steps", policy("1h", max_docs=2))
            await asyncio.sleep(OBEYED_S)
            await asyncio.sleep(3_600 - 2 * OBEYED_S)
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]
            await asyncio.sleep(EVERY_S + 2 * OBEYED_S)
            assert indices(cluster, NAMES.steps) == ["000002"]

    run_virtual(main())


def test_who_takes_the_first_lane_over_tells_the_cluster_anew_and_goes_on() -> None:
    async def main() -> None:
        cluster = new_cluster()
        mortal = Mortal(cluster)
        async with scheduler(cluster, store=mortal) as a:
            async with scheduler(cluster, replica_id="replica-b", seed=2, owning=False) as b:
                told_a, told_b = Recording.of(a), Recording.of(b)
                await put(b, "steps", policy("40d"))
                await asyncio.sleep(OBEYED_S)
                assert retention_ms(told_a.applied[-1]["steps"]) == 40 * 86_400_000
                assert (await last_pass(b)).replica == "replica-a"
                assert told_b.applied == []
                applied = len(told_a.applied)
                mortal.dies_at = 0
                await asyncio.sleep(TAKEN_OVER_S)
                assert told_b.applied == told_a.applied[-1:]
                before = await last_pass(b)
                assert before.replica == "replica-b"
                await asyncio.sleep(EVERY_S + OBEYED_S)
                assert (await last_pass(b)).at_ms > before.at_ms
                assert len(told_b.applied) == 1, "nothing has changed since"
                assert told_b.passes == 2
                mortal.dies_at = None
                await asyncio.sleep(1)
                assert len(told_a.applied) == applied
            await asyncio.sleep(TAKEN_OVER_S)
            assert len(told_a.applied) == applied + 1, "somebody else may have told the cluster other things"

    run_virtual(main())


def test_a_pass_that_fails_is_told_counted_and_tried_again_soon() -> None:
    async def main() -> None:
        cluster = new_cluster()
        metrics = Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            await s.define(ONE_STEP)
            await run_some(s)
            await put(s, "steps", policy(max_docs=1))
            s.faults.cut_off(on="request")
            await asyncio.sleep(0.2)
            told = await last_pass(s)
            assert "cannot connect" in (told.error or "")
            assert metrics.registry.get_sample_value("leasehold_loop_failures_total", {"loop": "lifecycle"}) == 1
            await asyncio.sleep(15 + OBEYED_S)
            assert (await last_pass(s)).error is None
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]

    run_virtual(main())


def test_a_defect_of_a_backend_does_not_end_the_loop() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            backend = Recording.of(s)
            backend.defect = ZeroDivisionError()
            await asyncio.sleep(40)
            assert backend.passes >= 2
            assert "ZeroDivisionError" in str((await last_pass(s)).error)

    run_virtual(main())


def test_what_can_not_be_read_ages_nothing_and_the_rest_ages_on() -> None:
    async def main() -> None:
        cluster = new_cluster()
        metrics = Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            await s.define(ONE_STEP)
            await put(s, "instances", policy(max_docs=1))
            await put(s, "steps", policy(max_docs=1))
            broken = b'{"kind":"policy","family":"steps","since_ms":1,"policy":"{}"}'
            await ModelStore(cluster).bulk([put_line("policy:steps"), broken], index=NAMES.control)
            await asyncio.sleep(OBEYED_S)
            await run_some(s)
            await asyncio.sleep(EVERY_S + OBEYED_S)
            assert indices(cluster, NAMES.steps) == ["000001"]
            assert indices(cluster, NAMES.instances) == ["000001", "000002"]
            assert metrics.registry.get_sample_value("leasehold_lifecycle_policies_invalid") == 1
            await put(s, "steps", policy(max_docs=1))
            await asyncio.sleep(OBEYED_S)
            assert indices(cluster, NAMES.steps) == ["000001", "000002"]
            assert metrics.registry.get_sample_value("leasehold_lifecycle_policies_invalid") == 0

    run_virtual(main())


def test_nothing_that_waits_costs_requests_where_it_is_not_due() -> None:
    async def main() -> None:
        cluster = new_cluster()
        settings = Settings(lanes=LaneSettings(lanes=1), lifecycle=LifecycleSettings(every_ms=3_600_000))
        async with (
            scheduler(cluster, settings=settings) as a,
            scheduler(cluster, replica_id="replica-b", seed=2, owning=False, settings=settings) as b,
        ):
            await asyncio.sleep(2 * OBEYED_S)
            owner, other = (a, b) if a.replica._engine._owns_first_lane() else (b, a)
            asked = owner.store.requests.get("request", 0)
            assert asked > 0
            await asyncio.sleep(600)
            assert owner.store.requests.get("request", 0) == asked
            assert other.store.requests.get("request", 0) == 0

    run_virtual(main())


def test_the_status_says_how_far_each_index_is_and_what_is_next() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            await run_some(s)
            await put(s, "steps", policy("40d", max_docs=1))
            await asyncio.sleep(OBEYED_S)
            view = await s.replica.lifecycle()
            assert (view.backend, view.run_on_a_server, view.findings) == ("ager", True, [])
            assert [one.family for one in view.policies] == ["steps", "instances", "events", "audit"]
            assert [one.source for one in view.policies] == ["document", "default", "default", "default"]
            assert view.policies[1].policy == default_policy("instances").document()
            old, new = (one for one in view.indices if one.family == "steps")
            assert (old.index, old.writes, old.rolled, old.docs) == ("workflow-steps-000001", False, True, 2)
            assert (old.phase, old.next) == ("hot", "delete")
            assert old.next_at_ms is not None
            assert 39 * 86_400_000 < old.next_at_ms - view.now_ms < 40 * 86_400_000
            assert (new.writes, new.rolled, new.next_at_ms) == (True, False, None)

    run_virtual(main())
