"""Canaries: which starts get them, and how they are removed when they fail too often (`core.catalog.canaries`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from leasehold.claim.wire import CompleteBody, StartBody, StartItem
from leasehold.claim.wire.versions import ActivateBody, CanaryBody, CanaryRollback, VersionsView
from leasehold.core.errors import InvalidRequest, VersionConflict
from leasehold.core.metrics import Metrics
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, NAMES, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual
from tests.sim.test_forwarding import member

EVERYBODY = Principal("provider", "*")
TWO_OF = CanaryRollback(margin=0.25, min_instances=2)


def source(version: int) -> bytes:
    return f"name: flow\nversion: {version}\nsteps: [{{name: only, executor: work}}]\n".encode()


async def with_canary(s: Scheduler, body: CanaryBody, who: Principal = ANYBODY) -> VersionsView:
    """Version 1 is active, version 2 the canary."""
    await s.replica.put_definition(who, "flow", source(1))
    await s.replica.put_definition(who, "flow", source(2), activate=False)
    return await s.replica.begin_canary(who, "flow", body)


async def version_of(s: Scheduler, *, key: str | None = None, **labels: str) -> int:
    answer, _ = await s.replica.start(ANYBODY, "flow", StartBody(labels=labels), idempotency_key=key, traceparent=None)
    return answer.version


async def end(s: Scheduler, version: int, how: str) -> None:
    """Start one instance of a version and let it end."""
    answer, _ = await s.replica.start(
        ANYBODY, "flow", StartBody(version=version), idempotency_key=None, traceparent=None
    )
    if how == "cancelled":
        await s.replica.cancel(ANYBODY, answer.instance_id, None)
        return
    step = await s.claim_one()
    if how == "failed":
        await s.fail(step, "broken")
    else:
        await s.complete(step)


async def end_all(s: Scheduler, version: int, *hows: str) -> None:
    for how in hows:
        await end(s, version, how)


async def canary_of(s: Scheduler) -> int | None:
    canary = (await s.replica.versions(ANYBODY, "flow")).canary
    return None if canary is None else canary.version


def test_a_share_of_the_starts_gets_the_canary_and_shows_it() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            view = await with_canary(s, CanaryBody(2, percent=20))
            assert [(one.version, one.active, one.canary) for one in view.versions] == [
                (2, False, True),
                (1, True, False),
            ]
            results = await s.replica.start_many(
                ANYBODY, [StartItem(workflow="flow") for _ in range(500)], traceparent=None
            )
            canaries = [result for result in results if result.version == 2]
            assert 60 <= len(canaries) <= 140
            assert canaries[0].instance_id is not None
            assert (await s.replica.instance(ANYBODY, canaries[0].instance_id)).version == 2
            singles = [await version_of(s) for _ in range(60)]
            assert set(singles) == {1, 2}

    run_virtual(main())


def test_starts_with_the_labels_get_the_canary_and_others_do_not() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, labels={"team": "soc", "site": "a"}))
            assert await version_of(s, team="soc", site="a", more="x") == 2
            assert [await version_of(s, team="soc"), await version_of(s, team="soc", site="b")] == [1, 1]

    run_virtual(main())


def test_a_start_that_names_its_version_gets_that_one() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=100))
            assert await version_of(s) == 2
            answer, _ = await s.replica.start(
                ANYBODY, "flow", StartBody(version=1), idempotency_key=None, traceparent=None
            )
            assert answer.version == 1

    run_virtual(main())


def test_a_key_gets_the_same_version_again() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50))
            first = [await version_of(s, key=f"key-{number}") for number in range(20)]
            assert set(first) == {1, 2}
            assert [await version_of(s, key=f"key-{number}") for number in range(20)] == first

    run_virtual(main())


def test_a_canary_needs_somebody_who_gets_it_and_a_version_beside_the_active_one() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            with pytest.raises(InvalidRequest, match="give percent, labels or both"):
                await with_canary(s, CanaryBody(2))
            with pytest.raises(VersionConflict, match="version 1 is active"):
                await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(1, percent=5))

    run_virtual(main())


def test_a_canary_ends_by_hand_by_its_activation_and_by_the_end_of_the_name() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=100))
            ended = await s.replica.end_canary(ANYBODY, "flow")
            assert (ended.canary, ended.activations[0].action, ended.activations[0].by) == (
                None,
                "canary_ended",
                "tester",
            )
            assert await s.replica.end_canary(ANYBODY, "flow") == ended
            assert await version_of(s) == 1
            await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(2, percent=100))
            assert (await s.replica.activate_version(ANYBODY, "flow", ActivateBody(2))).canary is None
            await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(1, percent=100))
            await s.replica.delete_definition(ANYBODY, "flow")
            assert await canary_of(s) is None

    run_virtual(main())


def test_the_same_canary_again_goes_on_and_another_one_begins_anew() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            first = await with_canary(s, CanaryBody(2, percent=10))
            await asyncio.sleep(1)
            assert await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(2, percent=10)) == first
            wider = await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(2, percent=50))
            assert wider.canary is not None
            assert first.canary is not None
            assert wider.canary.began_at_ms > first.canary.began_at_ms
            assert wider.activations[0].reason == "50 % of the starts"

    run_virtual(main())


def test_a_canary_that_fails_more_often_is_removed_and_it_is_said_why() -> None:
    async def main() -> None:
        metrics = Metrics()
        async with scheduler(new_cluster(), metrics=metrics) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=TWO_OF))
            await end_all(s, 1, "succeeded", "succeeded", "failed", "succeeded")
            await end_all(s, 2, "failed", "succeeded", "failed")
            await asyncio.sleep(10)
            view = await s.replica.versions(ANYBODY, "flow")
            assert (view.canary, view.active_version) == (None, 1)
            assert view.activations[0].action == "canary_rolled_back"
            assert view.activations[0].by is None
            assert view.activations[0].reason == (
                "canary version 2: 2 of 3 instances failed (66.7%); active version 1: 1 of 4 instances failed (25.0%);"
                " allowed above it: 25.0%"
            )
            assert {await version_of(s) for _ in range(20)} == {1}
            assert b"leasehold_canary_rollbacks_total 1.0" in metrics.exposition()

    run_virtual(main())


@pytest.mark.parametrize(
    ("active", "canary", "why"),
    [
        (["succeeded"], ["failed"], "too few have ended"),
        (
            ["succeeded"] * 3,
            ["failed", "succeeded", "succeeded", "succeeded"],
            "the difference is the margin, not more",
        ),
        (["failed"] * 2, ["failed"] * 2, "the active version fails as often"),
        (["succeeded"], ["failed", "cancelled", "cancelled"], "who was cancelled does not count"),
    ],
)
def test_a_canary_stays(active: list[str], canary: list[str], why: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=TWO_OF))
            await end_all(s, 1, *active)
            await end_all(s, 2, *canary)
            await asyncio.sleep(30)
            assert await canary_of(s) == 2, why

    run_virtual(main())


def test_only_what_was_started_since_the_canary_began_counts() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=TWO_OF))
            await s.replica.end_canary(ANYBODY, "flow")
            await end_all(s, 2, "failed", "failed", "failed")
            await asyncio.sleep(1)
            await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(2, percent=50, rollback=TWO_OF))
            await end_all(s, 2, "succeeded", "succeeded", "succeeded")
            await asyncio.sleep(30)
            assert await canary_of(s) == 2

    run_virtual(main())


def test_without_a_limit_a_canary_is_nobodys_to_remove_but_peoples() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=None))
            await end_all(s, 2, *["failed"] * 5)
            await asyncio.sleep(30)
            assert await canary_of(s) == 2

    run_virtual(main())


def test_everybodys_canary_is_judged_by_the_instances_of_every_tenant_that_ran_it() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=TWO_OF), who=EVERYBODY)
            # What tenant globex calls `flow` is its own, whatever the numbers of its versions.
            own = Principal("g", "globex")
            await s.replica.put_definition(own, "flow", source(2))
            for _ in range(4):
                await s.replica.start(own, "flow", StartBody(), idempotency_key=None, traceparent=None)
                (step,) = await s.replica.claim(
                    own, ("work",), max_steps=1, lease_ms=30_000, wait_ms=60_000, worker="w", request_id=None
                )
                await s.replica.complete(own, step.step_id, CompleteBody())
            await end_all(s, 2, "failed", "failed")
            await asyncio.sleep(10)
            view = await s.replica.versions(EVERYBODY, "flow")
            assert view.canary is None
            assert "2 of 2 instances failed" in (view.activations[0].reason or "")

    run_virtual(main())


async def searches_of(s: Scheduler, seconds: int) -> int:
    before = s.store.requests.get("search", 0)
    await asyncio.sleep(seconds)
    return s.store.requests.get("search", 0) - before


def test_a_canary_costs_an_idle_replica_no_search() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=TWO_OF))
            await end_all(s, 2, "failed", "succeeded", "succeeded", "succeeded", "succeeded")
            await asyncio.sleep(20)
            assert await searches_of(s, 60) == 0

    run_virtual(main())


def test_counting_keeps_to_its_pace_however_many_instances_end() -> None:
    async def main() -> None:
        metrics = Metrics()
        async with scheduler(new_cluster(), metrics=metrics) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=CanaryRollback(1.0, 1)))
            began = asyncio.get_running_loop().time()
            for _ in range(100):
                await end(s, 2, "succeeded")
                await asyncio.sleep(0.1)
            passes = metrics.registry.get_sample_value("leasehold_loop_passes_total", {"loop": "canaries"})
            lasted_s = asyncio.get_running_loop().time() - began
            assert passes is not None
            assert 3 <= passes <= lasted_s / 2 + 1

    run_virtual(main())


@asynccontextmanager
async def two(cluster: ModelElasticsearch) -> AsyncIterator[tuple[Scheduler, Scheduler]]:
    """Two replicas, each with one of the two lanes."""
    peers = ModelPeers()
    async with member(cluster, peers, "a", 1) as a, member(cluster, peers, "b", 2) as b:
        async with asyncio.timeout(120):
            while not (a.replica.owns_lanes() and b.replica.owns_lanes()):
                await asyncio.sleep(0.1)
        yield a, b


def test_failures_that_two_replicas_see_are_counted_together_and_one_of_them_removes_the_canary() -> None:
    async def main() -> None:
        async with two(new_cluster(lanes=2)) as (a, b):
            await with_canary(a, CanaryBody(2, percent=50, rollback=CanaryRollback(0.1, 4)))
            for s in (a, b):
                await end_all(s, 1, "succeeded", "succeeded")
            await end_all(a, 2, "failed", "failed")
            await asyncio.sleep(10)
            assert await canary_of(b) == 2
            await asyncio.gather(end_all(a, 2, "failed"), end_all(b, 2, "failed"))
            await asyncio.sleep(10)
            view = await b.replica.versions(ANYBODY, "flow")
            assert [one.action for one in view.activations].count("canary_rolled_back") == 1
            assert "4 of 4 instances failed" in (view.activations[0].reason or "")
            assert [await version_of(s) for s in (a, b) for _ in range(10)] == [1] * 20

    run_virtual(main())


def test_an_automatic_rollback_that_loses_to_a_person_changes_nothing_of_what_stands() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=CanaryRollback(0.1, 2)))
            await end_all(s, 2, "failed", "failed")
            held = s.faults.hold("after", on="search", index=NAMES.instances)
            await held.reached()
            await s.replica.activate_version(ANYBODY, "flow", ActivateBody(2))
            held.release()
            await asyncio.sleep(10)
            view = await s.replica.versions(ANYBODY, "flow")
            assert (view.active_version, view.activations[0].action) == (2, "activated")

    run_virtual(main())


@pytest.mark.parametrize("operation", ["search", "bulk"])
def test_what_elasticsearch_refuses_is_asked_again(operation: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await with_canary(s, CanaryBody(2, percent=50, rollback=CanaryRollback(0.1, 2)))
            index = NAMES.instances if operation == "search" else NAMES.definitions
            s.faults.refuse(503, on=operation, index=index, times=3)
            await end_all(s, 2, "failed", "failed")
            await asyncio.sleep(20)
            assert await canary_of(s) is None

    run_virtual(main())
