"""Recordings of what the real replica stored, and their replays (`core.operations.looking.recordings`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from leasehold.claim.wire import ErrorInfo, FailBody
from leasehold.core.errors import InvalidRequest, NotFound
from leasehold.core.orders import Cancel, Retry
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import ANYBODY, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .children.plans import CALLED, CALLS, CALLS_EACH, FAN, LARGE, LOOPED, NESTED, UNDONE, until_empty, work

TWO = """
name: two
version: 1
inputs: {n: {type: integer, default: 1}}
steps:
  - {name: first, executor: work, input: {n: "{{ inputs.n }}"}}
  - {name: second, executor: work, input: "{{ steps.first.result }}"}
outputs: {both: "{{ steps.second.result }}"}
"""

Test = Callable[[Scheduler, ModelElasticsearch], Awaitable[None]]


def on_a_replica(test: Test, **settings: Any) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, **settings) as s:
            await test(s, cluster)

    run_virtual(main())


async def same(s: Scheduler, id: str) -> int:
    """How many events of the instance were replayed, its past being the same."""
    view = await s.replica.replay(ANYBODY, id)
    assert view.missing == []
    assert view.difference is None, view.difference.message
    assert view.same
    return view.events


@pytest.mark.parametrize(
    ("source", "params"),
    [
        (FAN, {"hosts": [f"host-{n}" for n in range(20)]}),
        (NESTED, {"groups": [{"name": "a", "hosts": ["x", "y"]}, {"name": "b", "hosts": ["z"]}]}),
        (LARGE, {"hosts": [{"id": n, "text": "x" * 2_000} for n in range(3)]}),
    ],
)
def test_a_foreach_is_replayed_with_its_items(source: str, params: dict[str, Any]) -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(source)
        name = source.split()[1]
        id = (await s.start(name, **params)).instance_id
        await work(s, result=lambda step: {"prefix": "x" * 9_000}, at_most=2)
        await same(s, id)
        await work(s, result=lambda step: {"prefix": "x" * 9_000})
        await until_empty(cluster)
        view = await s.replica.instance(ANYBODY, id)
        assert (view.status, view.error) == ("succeeded", None)
        recording = await s.replica._recordings.recording(ANYBODY, id, "replay")
        assert recording.shares
        assert await same(s, id) >= 4

    on_a_replica(test)


def test_results_of_iterations_that_are_over_come_from_history() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(LOOPED)
        id = (await s.start("looped", hosts=["a", "b"])).instance_id
        rounds = iter([True, True, False])
        await work(s, result=lambda step: {"more": next(rounds)} if step.step_name == "probe" else step.payload)
        assert await s.status(id) == "succeeded"
        await same(s, id)
        await until_empty(cluster)
        await same(s, id)

    on_a_replica(test)


def test_a_long_log_is_put_together_from_its_parts() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        source = TWO.replace(
            "executor: work, input: {", "executor: work, retry: {max: 90, initial: 1ms, backoff: constant}, input: {"
        )
        await s.define(source)
        id = (await s.start("two")).instance_id
        for _ in range(90):
            step = await s.claim_one()
            await s.replica.fail(ANYBODY, step.step_id, FailBody(ErrorInfo("boom", "x" * 500)))
        await work(s)
        await until_empty(cluster)
        assert await same(s, id) > 200

    on_a_replica(test)


def test_sub_workflows_are_replayed_each_by_itself() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        for source in (CALLED, CALLS, CALLS_EACH):
            await s.define(source)
        ids = [(await s.start("calls", host="a")).instance_id]
        ids.append((await s.start("calls-each", hosts=["a", "b"])).instance_id)
        await work(s)
        await until_empty(cluster)
        page = await s.replica.recordings(ANYBODY, "called", size=10, after=None)
        assert len(page.recordings) == 3
        for id in [*ids, *(view.instance_id for view in page.recordings)]:
            await same(s, id)

    on_a_replica(test)


def test_a_cancelled_instance_is_replayed_with_what_was_undone() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(UNDONE)
        id = (await s.start("undone", hosts=["a", "b"])).instance_id
        await work(s, at_most=2)
        await s.claim_one()
        await s.replica.steer(ANYBODY, id, Cancel())
        await same(s, id)
        await work(s)
        await until_empty(cluster)
        assert await s.status(id) == "cancelled"
        await same(s, id)

    on_a_replica(test)


def test_a_retry_with_other_params_is_replayed_from_the_first_ones() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(TWO)
        id = (await s.start("two", n=3)).instance_id
        step = await s.claim_one()
        await s.replica.fail(ANYBODY, step.step_id, FailBody(ErrorInfo("boom")))
        await until_empty(cluster)
        await same(s, id)
        await s.replica.steer(ANYBODY, id, Retry(from_start=True, params={"n": 7}))
        await work(s)
        await until_empty(cluster)
        recording = await s.replica._recordings.recording(ANYBODY, id, "replay")
        assert recording.instance.outputs == {"both": {"n": 7}}
        assert recording.first(await s.replica._recordings._plan(recording.instance, 1)).inputs == {"n": 3}
        await same(s, id)

    on_a_replica(test)


def test_another_definition_shows_where_the_past_would_have_been_another() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(TWO)
        id = (await s.start("two")).instance_id
        await s.complete(await s.claim_one(), {"n": 1})
        other = TWO.replace("version: 1", "version: 2").replace("steps.first.result", "steps.first.result.n")
        view = await s.replica.replay(ANYBODY, id, source=other.encode())
        assert (view.same, view.version, view.replayed_version, view.events) == (False, 1, 2, 2)
        assert view.difference is not None
        assert (view.difference.path, view.difference.field) == ("second", "input")
        assert (view.difference.recorded, view.difference.replayed) == ({"n": 1}, 1)

        await s.define(TWO.replace("version: 1", "version: 3").replace("outputs: {both", "outputs: {two"))
        view = await s.replica.replay(ANYBODY, id, version=3)
        assert (view.same, view.replayed_version) == (True, 3)
        with pytest.raises(InvalidRequest, match="the body defines other; the instance is one of two"):
            await s.replica.replay(ANYBODY, id, source=TWO.replace("name: two", "name: other", 1).encode())
        with pytest.raises(InvalidRequest):
            await s.replica.replay(ANYBODY, id, source=b"name: two\n")
        with pytest.raises(NotFound):
            await s.replica.replay(ANYBODY, id, version=17)

    on_a_replica(test)


def test_the_last_of_a_workflow_come_in_pages_newest_first_one_an_instance() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(TWO)
        started = []
        for _ in range(5):
            started.append((await s.start("two")).instance_id)
            await work(s)
        await until_empty(cluster)
        found: list[str] = []
        after: str | None = None
        while True:
            page = await s.replica.recordings(ANYBODY, "two", size=2, after=after)
            found += [view.instance_id for view in page.recordings]
            after = page.next
            if after is None:
                break
        assert found == started[::-1]
        with pytest.raises(InvalidRequest):
            await s.replica.recordings(ANYBODY, "two", size=2, after="nonsense")

    on_a_replica(test)


def test_another_tenant_sees_none_of_it() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.define(TWO)
        id = (await s.start("two")).instance_id
        await work(s)
        await until_empty(cluster)
        stranger = Principal("eve", "other")
        for ask in (s.replica.replay(stranger, id), s.replica.recording(stranger, id)):
            with pytest.raises(NotFound):
                await ask
        assert (await s.replica.recordings(stranger, "two", size=5, after=None)).recordings == []

    on_a_replica(test)
