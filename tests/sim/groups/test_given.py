"""What a definition says of its starts: `idempotency`, and `memory` from run to run."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import StartBody, StartItem
from leasehold.core.errors import InvalidRequest

from tests.kit.schedulers import ANYBODY, NAMES, Scheduler, documents, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import dying, watched

ONCE = """
name: once
idempotency: "{{ inputs.alert_id }}"
steps:
  - {name: only, executor: work}
"""

COUNTING = """
name: counting
concurrency: {key: "{{ inputs.k }}"}
memory: {key: "{{ inputs.k }}"}
steps:
  - {name: look, executor: work, input: {seen: "{{ memory }}"}}
  - {name: keep, remember: {runs: "{{ memory.runs | default(0) + 1 }}", last: "{{ steps.look.result }}"}}
outputs: {runs: "{{ memory.runs | default(0) }}"}
"""


async def start(s: Scheduler, name: str, key: str | None = None, **params: object) -> tuple[str, bool]:
    body = StartBody(params=params, trigger={"at": str(asyncio.get_running_loop().time())})
    answer, created = await s.replica.start(ANYBODY, name, body, idempotency_key=key, traceparent=None)
    return answer.instance_id, created


def test_the_definition_s_key_makes_repeats_one_instance_whatever_else_they_say() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(ONCE, ONCE.replace("once", "twice"))
            first, created = await start(s, "once", alert_id="A")
            await asyncio.sleep(1)
            assert created
            assert await start(s, "once", alert_id="A", more=1) == (first, False)
            assert (await start(s, "once", alert_id="B"))[0] != first
            assert (await start(s, "twice", alert_id="A"))[0] != first

    run_virtual(main())


def test_a_key_of_the_request_wins_over_the_definition_s() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(ONCE)
            rendered, _ = await start(s, "once", alert_id="A")
            body = StartBody(params={"alert_id": "A"})

            async def given(key: str) -> str:
                answer, _ = await s.replica.start(ANYBODY, "once", body, idempotency_key=key, traceparent=None)
                return answer.instance_id

            ids = [await given("A"), await given("once\0A"[:4]), await given("A")]
            assert ids[0] == ids[2]
            assert len({rendered, *ids}) == 3

    run_virtual(main())


def test_a_bulk_of_starts_has_its_keys_made_too() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(ONCE)
            items = [StartItem(workflow="once", params={"alert_id": alert}) for alert in "ABAAB"] + [
                StartItem(workflow="once", params={})
            ]
            results = await s.replica.start_many(ANYBODY, items, traceparent=None)
            assert sorted(result.code for result in results) == [200, 200, 200, 201, 201, 422]
            assert len({result.instance_id for result in results[:5]}) == 2

    run_virtual(main())


def test_a_key_that_speaks_of_what_was_not_given_is_refused() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(ONCE)
            with pytest.raises(InvalidRequest, match=r"`idempotency` of workflow once \(version 1\) can't be made"):
                await start(s, "once")
            with pytest.raises(InvalidRequest, match="gives NoneType null; a text or a number is allowed"):
                await start(s, "once", alert_id=None)

    run_virtual(main())


def test_each_run_is_given_what_the_one_before_it_left() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(COUNTING)
            ids = [(await start(s, "counting", k="x"))[0] for _ in range(3)] + [(await start(s, "counting", k="y"))[0]]
            seen = {}
            for n in range(4):
                step = await s.claim_one(wait_ms=5_000)
                seen[step.workflow_id] = step.payload["seen"]
                await s.complete(step, n)
            assert [seen[instance_id].get("runs") for instance_id in ids] == [None, 1, 2, None]
            await asyncio.sleep(3)
            found = {
                one["key"]: one["value"]["runs"] for one in documents(s.store.cluster, NAMES.keys, "memory").values()
            }
            assert found == {"x": 3, "y": 1}
            view = await s.replica.instance(ANYBODY, ids[2])
            assert view.outputs == {"runs": 2}

    run_virtual(main())


def test_a_run_that_fails_leaves_what_was_remembered_before_it() -> None:
    async def main() -> None:
        source = COUNTING.replace("outputs:", "  - {name: end, executor: work}\noutputs:")
        async with scheduler(watched()) as s:
            await s.define(source)
            await start(s, "counting", k="x")
            await s.run_all(2)
            await start(s, "counting", k="x")
            await s.run_all(1)
            await s.fail(await s.claim_one(), "broken")
            await start(s, "counting", k="x")
            assert (await s.claim_one()).payload["seen"]["runs"] == 1

    run_virtual(main())


def test_a_large_memory_goes_along_through_take_overs() -> None:
    async def main() -> None:
        cluster, large = watched(), "x" * 20_000
        async with dying(cluster) as first:
            await first.define(COUNTING)
            await start(first, "counting", k="x")
            await first.complete(await first.claim_one(), large)
            await asyncio.sleep(0.01)
            await start(first, "counting", k="x")
            await asyncio.sleep(0.5)
        async with scheduler(cluster, replica_id="replica-b") as second:
            step = await second.claim_one(wait_ms=5_000)
            assert step.payload["seen"] == {"runs": 1, "last": large}
            await second.complete(step, "small")
            await asyncio.sleep(5)
            (left,) = documents(cluster, NAMES.keys, "memory").values()
            assert left["value"] == {"runs": 2, "last": "small"}
            assert documents(cluster, NAMES.lane("00"), "side") == {}

    run_virtual(main())


def test_too_much_to_remember_fails_the_step() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(COUNTING)
            instance_id, _ = await start(s, "counting", k="x")
            await s.complete(await s.claim_one(), "x" * 70_000)
            view = await s.replica.instance(ANYBODY, instance_id)
            assert view.error is not None
            assert (view.status, view.error.type) == ("failed", "memory_too_large")
            assert "at most 65536 are allowed" in view.error.message

    run_virtual(main())


def test_a_late_delivery_of_an_older_run_changes_nothing_newer() -> None:
    async def main() -> None:
        async with scheduler(watched()) as s:
            await s.define(COUNTING.replace('concurrency: {key: "{{ inputs.k }}"}\n', ""))
            await start(s, "counting", k="x")
            older = await s.claim_one()
            await start(s, "counting", k="x")
            newer = await s.claim_one()
            late = s.faults.hold("before", on="bulk", index=NAMES.keys)
            await s.complete(older, "older")
            await late.reached()
            await asyncio.sleep(1)
            late.release()
            await s.complete(newer, "newer")
            await asyncio.sleep(3)
            (left,) = documents(s.store.cluster, NAMES.keys, "memory").values()
            assert left["value"]["last"] == "newer"

    run_virtual(main())
