"""What a list shows of instances as they are now, and how soon."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from leasehold.claim.wire import StartBody
from leasehold.core.principal import Principal
from leasehold.core.settings import LaneSettings, Settings

from tests.kit.schedulers import ANYBODY, NAMES, ONE_STEP, TWO_STEPS, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, run_virtual

from .ground import WAITING, listed, page, said

TWO_LANES = Settings(lanes=LaneSettings(lanes=2))
CHILD = "name: parent\nsteps:\n  - {name: sub, workflow: one}\n"
EACH = """
name: each
steps:
  - name: all
    foreach: "{{ range(40) | list }}"
    steps: [{name: item, executor: work}]
"""


async def start(s: Scheduler, name: str = "one", by: Principal = ANYBODY, **body: Any) -> str:
    answer, _ = await s.replica.start(by, name, StartBody(**body), idempotency_key=None, traceparent=None)
    await asyncio.sleep(0.01)
    return answer.instance_id


async def settled(s: Scheduler) -> None:
    """Long enough for history to have what has ended, and for the next list to look anew."""
    await asyncio.sleep(10)


def test_live_and_finished_instances_are_one_list_newest_first() -> None:
    async def main() -> None:
        async with scheduler(new_cluster(lanes=2), settings=TWO_LANES) as s:
            await s.define(ONE_STEP, WAITING)
            done, broken = await start(s), await start(s)
            await s.complete(await s.claim_one())
            await s.fail(await s.claim_one(), "boom", "it broke")
            await settled(s)
            waiting = await start(s, "waiting")
            running = [await start(s) for _ in range(3)]
            await asyncio.sleep(1)
            newest_first = [f"{id}:running" for id in running[::-1]]
            newest_first += [f"{waiting}:waiting", f"{broken}:failed", f"{done}:succeeded"]
            assert await listed(s) == newest_first
            assert await listed(s, order="asc") == newest_first[::-1]
            assert await listed(s, size=1) == newest_first
            assert await listed(s, status="failed,waiting") == [f"{waiting}:waiting", f"{broken}:failed"]
            assert await listed(s, status="running", size=2) == newest_first[:3]
            assert await listed(s, sort="finished") == [f"{broken}:failed", f"{done}:succeeded"]
            one = (await page(s, status="failed"))["instances"][0]
            assert one["error"] == {"type": "boom", "message": "step 'only' failed: it broke"}
            assert one["duration_ms"] == one["finished_at_ms"] - one["created_at_ms"] > 0
            assert one["started_by"] == ANYBODY.name

    run_virtual(main())


def test_a_list_lags_by_at_most_one_refresh_and_shares_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            first = await start(s)
            assert await listed(s) == [f"{first}:running"]
            second = await start(s)
            before = s.store.requests["refresh"]
            shown = await asyncio.gather(*(listed(s) for _ in range(10)))
            assert all(one == [f"{first}:running"] for one in shown)
            assert s.store.requests["refresh"] == before
            await asyncio.sleep(1)
            shown = await asyncio.gather(*(listed(s) for _ in range(10)))
            assert all(len(one) == 2 for one in shown), second
            s.faults.refuse(503, on="refresh", index=NAMES.lane("*"))
            await asyncio.sleep(1)
            assert {(await said(s)).status, (await said(s)).status} == {503, 200}

    run_virtual(main())


def test_filters_hold_for_live_and_finished_instances_alike() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP, TWO_STEPS)
            ann = Principal("ann", "acme")
            pairs: list[str] = []
            for ended in (True, False):
                labels, params = {"team": "soc", "x": "a,b"}, {"host": "web-01"}
                mine = await start(s, by=ann, labels=labels, params=params, correlation_id="c-1")
                other = await start(s, "two", labels={"team": "it"}, params={"host": "db-7"})
                if ended:
                    for step in await s.claim(max_steps=2):
                        await s.fail(step, "boom", f"no disk on {step.payload}")
                    await settled(s)
                    between_ms = EPOCH_MS + int(asyncio.get_running_loop().time() * 1_000)
                    await asyncio.sleep(1)
                pairs += [mine, other]
            await asyncio.sleep(1)
            done, other_done, live, other_live = pairs
            mine_too = [f"{live}:running", f"{done}:failed"]
            assert await listed(s, more=[("label", "team=soc"), ("label", "x=a,b")]) == mine_too
            assert await listed(s, correlation_id="c-1") == await listed(s, started_by="ann") == mine_too
            assert await listed(s, workflow="one") == await listed(s, version=1, workflow="one") == mine_too
            assert await listed(s, text="WEB 01 host") == mine_too
            assert await listed(s, text="db-7") == [f"{other_live}:running", f"{other_done}:failed"]
            assert await listed(s, text="disk") == [f"{other_done}:failed", f"{done}:failed"]
            assert await listed(s, error_type="boom") == [f"{other_done}:failed", f"{done}:failed"]
            assert await listed(s, error_type="timeout") == await listed(s, label="team=sre") == []
            assert await listed(s, since="5s", workflow="one") == [f"{live}:running"]
            moment = f"{msgspec.to_builtins(_time(between_ms))}"
            assert await listed(s, since=moment, workflow="one") == [f"{live}:running"]
            assert await listed(s, until=moment, workflow="one") == [f"{done}:failed"]
            assert await listed(s, finished_since="1h", workflow="one") == [f"{done}:failed"]
            assert await listed(s, finished_since="5s", workflow="one") == []
            assert await listed(s, changed_since="5s") == [f"{other_live}:running", f"{live}:running"]
            assert await listed(s, changed_since=moment, status="failed") == []

    run_virtual(main())


def _time(at_ms: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def test_an_end_is_found_by_its_error_before_history_has_it() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            s.faults.refuse(429, on="bulk", index="workflow-instances-*", times=50)
            id = await start(s, params={"host": "web"})
            await s.fail(await s.claim_one(), "boom", "disk full")
            await asyncio.sleep(1)
            for query in (
                {"status": "failed"},
                {"error_type": "boom"},
                {"finished_since": "1m"},
                {"text": "full disk"},
            ):
                assert await listed(s, **query) == [f"{id}:failed"], query
            assert (await page(s))["instances"][0]["finished_at_ms"] > EPOCH_MS
            assert await listed(s, error_type="other") == []

    run_virtual(main())


def test_text_is_found_in_finished_attempts_of_live_instances() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(TWO_STEPS)
            ids = [await start(s, "two") for _ in range(2)]
            (step, _) = await s.claim(max_steps=2)
            await s.complete(step, {"report": "Disk full"})
            await settled(s)
            assert await listed(s, text="full disk") == [f"{step.workflow_id}:running"]
            assert step.workflow_id in ids

    run_virtual(main())


def test_children_are_left_out_unless_asked_for_and_shares_of_a_foreach_always() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP, CHILD, EACH)
            parent = await start(s, "parent")
            await start(s, "each")
            await asyncio.sleep(2)
            assert len(await listed(s)) == 2
            with_children = await page(s, children="true")
            children = [one for one in with_children["instances"] if "parent_id" in one]
            assert [(one["parent_id"], one["workflow"]) for one in children] == [(parent, "one")]
            assert len(with_children["instances"]) == 3
            assert await listed(s, parent=parent) == [f"{children[0]['instance_id']}:running"]

    run_virtual(main())


def test_nobody_lists_what_is_anothers_whatever_they_ask_for() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(Principal("p", "*"), "one", ONE_STEP.encode())
            for ended in (True, False):
                for tenant, space in (("acme", "soc"), ("acme", "lab"), ("globex", "soc"), ("acme", "*")):
                    by = Principal("x", tenant, spaces=(space,))
                    await start(s, by=by, labels={"team": "soc"}, params={"word": "secret"})
                if ended:
                    everybody = Principal("p", "*")
                    for step in await s.replica.claim(
                        everybody, ("work",), max_steps=9, lease_ms=60_000, wait_ms=0, worker="w", request_id=None
                    ):
                        await s.replica.release(everybody, step.step_id)
                    for id in [one.partition(":")[0] for one in await listed(s, as_tenant="*", as_space="*")]:
                        await s.replica.terminate(Principal("p", "*", spaces=("*",)), id, None)
                    await settled(s)
            await asyncio.sleep(1)
            assert len(await listed(s, as_tenant="*", as_space="*")) == 8
            for query in ({}, {"tenant": "globex"}, {"space": "lab"}, {"text": "secret"}, {"label": "team=soc"}):
                found = await page(s, as_tenant="acme", as_space="soc", **query)
                seen = {(one["tenant"], one["space"]) for one in found["instances"]}
                assert seen <= {("acme", "soc"), ("acme", "*")}, query
                expected = 0 if query.keys() & {"tenant", "space"} else 4
                assert len(found["instances"]) == found["total"]["value"] == expected, query
            assert len(await listed(s, as_tenant="*", as_space="*", tenant="globex")) == 2

    run_virtual(main())


def test_a_wrong_parameter_is_answered_with_one_sentence() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            for query, status, words in (
                ({"status": "faild"}, 400, "did you mean failed?"),
                ({"state": "failed"}, 400, "there is no query parameter"),
                ({"sort": "end"}, 400, "allowed: created or duration or finished"),
                ({"size": 1001}, 400, "an integer from 1 to 1000"),
                ({"since": "yesterday"}, 400, "how long ago"),
                ({"since": "2026-02-30"}, 422, "there is no time '2026-02-30'"),
                ({"label": "team"}, 422, "a label as key=value"),
                ({"text": "--"}, 422, "holds no word"),
                ({"sort": "finished", "status": "running"}, 422, "sort by created"),
                ({"next": "abc"}, 422, "none that a page gave"),
            ):
                answer = await said(s, **query)
                assert answer.status == status, (query, answer.body)
                assert words in answer.json["detail"], answer.json["detail"]
            assert s.store.cluster.open_pits == 0

    run_virtual(main())
