"""Items of a foreach run in child instances (`core.lanes.children`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from leasehold.claim.wire import ClaimedStep, HeartbeatBody, PartsView

from tests.kit.schedulers import ANYBODY, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .plans import FAN, LARGE, LOOPED, NESTED, children, rows, sides, until_empty, work


def test_items_run_in_children_and_their_results_come_back_in_order() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            hosts = [f"host-{n}" for n in range(40)]
            id = (await s.start("fan", hosts=hosts)).instance_id
            done = await work(s, result=lambda step: step.payload)
            assert len(done) == 41
            assert {step.workflow_id for step in done} == {id}
            assert done[-1].payload == {"got": [{"host": host, "n": n} for n, host in enumerate(hosts)]}
            await until_empty(cluster)
            assert await s.status(id) == "succeeded"
            assert set(rows(cluster, "instances")) == {id}
            assert len(rows(cluster, "events")) == 3

    run_virtual(main())


def test_an_instance_shows_the_steps_of_its_running_items() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(NESTED)
            groups = [{"name": "a", "hosts": ["x", "y"]}]
            id = (await s.start("nested", groups=groups)).instance_id
            await work(s, at_most=2)
            step = await s.claim_one()
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(progress=40, message="on it"))
            view = await s.replica.instance(ANYBODY, id)
            shown = {each.run_path: each for each in view.steps}
            assert list(shown) == [
                "before",
                "each-group",
                "each-group[0].open",
                "each-group[0].each-host",
                "each-group[0].each-host[0].scan",
                "each-group[0].each-host[1].scan",
            ]
            assert step.run_path == "each-group[0].each-host[0].scan"
            assert (shown[step.run_path].status, shown[step.run_path].progress) == ("claimed", 40)
            assert shown["each-group"].parts is not None
            assert shown["each-group"].parts.total == 1
            assert shown["each-group"].children != shown["each-group[0].each-host"].children

    run_virtual(main())


def test_a_finished_foreach_shows_its_results_whether_live_or_in_history() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            id = (await s.start("fan", hosts=["a", "b"])).instance_id
            await work(s, at_most=2)
            after = await s.claim_one()
            expected = [{"host": "a", "n": 0}, {"host": "b", "n": 1}]
            live_view = await s.replica.instance(ANYBODY, id)
            assert live_view.steps[0].result == expected
            await s.complete(after)
            await until_empty(cluster)
            view = await s.replica.instance(ANYBODY, id)
            assert (view.steps[0].result, view.outputs) == (expected, {"all": expected})

    run_virtual(main())


def test_a_completion_is_acknowledged_again_after_its_share_is_gone() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            await s.start("fan", hosts=["a"])
            step = await s.claim_one()
            await s.complete(step, "done")
            while children(cluster):
                await asyncio.sleep(0.1)
            assert await s.complete(step, "done") == "succeeded"

    run_virtual(main())


def test_an_unheard_lease_of_an_item_is_given_back() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(FAN)
            await s.start("fan", hosts=["a"])
            claiming = asyncio.create_task(s.claim_one())
            await asyncio.sleep(0)
            claiming.cancel()
            with suppress(asyncio.CancelledError):
                await claiming
            step = await s.claim_one()
            assert step.attempt == 1

    run_virtual(main())


def test_rows_of_items_carry_the_instance_and_the_full_run_path() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            id = (await s.start("fan", hosts=["a", "b"])).instance_id
            await work(s)
            await until_empty(cluster)
            found = sorted((row["workflow"]["id"], row["step"]["path"]) for row in rows(cluster, "steps").values())
            assert found == [(id, "after"), (id, "each-host[0].scan"), (id, "each-host[1].scan")]
            (share,) = rows(cluster, "events").values()
            assert share["workflow"]["id"] == share["parent_id"] == id
            assert share["instance"]["items"]["values"] == ["a", "b"]
            assert "inputs" not in share["instance"]

    run_virtual(main())


def test_side_documents_go_with_what_they_belong_to() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(LARGE)
            wide = [{"id": f"h{n}", "more": "x" * 1_000} for n in range(20)]
            id = (await s.start("large", hosts=wide)).instance_id
            await work(s, at_most=1, result=lambda _: "y" * 2_000)
            await work(s, at_most=15, result=lambda step: step.payload * 200)
            shared = [ref for ref in sides(cluster) if ref.endswith(":outer")]
            assert shared == [f"{id}:each-host:1:outer"]
            assert {source["outer_ref"] for source in children(cluster).values()} == set(shared)
            assert {source.get("outer") for source in children(cluster).values()} == {None}
            await work(s, result=lambda step: step.payload * 200)
            await until_empty(cluster)
            assert await s.status(id) == "succeeded"

    run_virtual(main())


def test_a_loop_leaves_no_side_documents_of_its_earlier_iterations() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(LOOPED)
            id = (await s.start("looped", hosts=["a", "b"])).instance_id
            for n in range(6):
                await work(s, at_most=2, result=lambda _: "x" * 9_000)
                await work(s, at_most=1, result=_more_than(5 - n))
                await asyncio.sleep(1)
                # Two results of the share, the part that it left, and those of the iteration before.
                assert len([ref for ref in sides(cluster) if ref.startswith(id)]) <= 2
            await until_empty(cluster)
            assert await s.status(id) == "succeeded"

    run_virtual(main())


def _more_than(left: int) -> Callable[[ClaimedStep], Any]:
    return lambda _: {"more": left > 0}


def test_items_that_fail_leave_null_and_say_why() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN.replace("max_parallel: 40", "on_item_failure: continue"))
            id = (await s.start("fan", hosts=["a", "b", "c"])).instance_id
            await asyncio.sleep(0.1)
            for step in await s.claim(max_steps=3):
                if step.payload["n"] == 1:
                    await s.fail(step, "http.500", "no")
                else:
                    await s.complete(step, step.payload["n"])
            after = await s.claim_one()
            assert after.payload == {"got": [0, None, 2]}
            view = await s.replica.instance(ANYBODY, id)
            assert view.steps[0].parts == PartsView(3, 3, 1)

    run_virtual(main())


def test_an_item_that_fails_ends_the_others_of_all_shares() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            id = (await s.start("fan", hosts=list(range(40)))).instance_id
            await asyncio.sleep(0.1)
            steps = await s.claim(max_steps=40)
            await s.fail(steps[-1], "boom", "it broke")
            await until_empty(cluster)
            view = await s.replica.instance(ANYBODY, id)
            assert view.status == "failed"
            assert view.error is not None
            assert view.error.type == "boom"
            outcomes = [row["step"]["outcome"] for row in rows(cluster, "steps").values()]
            assert sorted(set(outcomes)) == ["cancelled", "failed"]
            assert len(outcomes) == len(steps)

    run_virtual(main())
