"""Calls that heartbeats bring go into history lot by lot, and are read back call by call."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import Call, CompleteBody, HeartbeatBody
from leasehold.core.errors import NotFound, PayloadTooLarge, Unavailable
from leasehold.core.principal import Principal

from tests.kit.schedulers import ANYBODY, LANE, ONE_STEP, Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .kit import dying, in_history

EVENTS = "workflow-events"


def calls(*numbers: int) -> list[Call]:
    return [Call(f"tool-{n}", {"n": n}, n, number=n) for n in numbers]


async def made(s: Scheduler, id: str, step: str | None = None) -> list[tuple[str, int, list[str]]]:
    view = await s.replica.calls(ANYBODY, id, step)
    return [(one.run_path, one.attempt, [call.name for call in one.calls]) for one in view.attempts]


def test_each_lot_is_one_row_and_the_end_brings_the_rest() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            step = await s.claim_one()
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=calls(1, 2)))
            assert await made(s, id) == [("only", 1, ["tool-1", "tool-2"])]
            await asyncio.sleep(2)
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=calls(3)))
            assert "tool-1" not in str(live(cluster)[id]["outbox"])
            await s.replica.complete(ANYBODY, step.step_id, CompleteBody("done", calls=calls(4)))
            assert await made(s, id) == [("only", 1, ["tool-1", "tool-2", "tool-3", "tool-4"])]
            await in_history(s)
            rows = {row: [call["name"] for call in found["calls"]] for row, found in documents(cluster, EVENTS).items()}
            assert rows == {f"{id}:only:1:calls:1": ["tool-1", "tool-2"], f"{id}:only:1:calls:2": ["tool-3"]}
            assert await made(s, id, "only") == [("only", 1, ["tool-1", "tool-2", "tool-3", "tool-4"])]
            assert await made(s, id, "other") == []
            with pytest.raises(NotFound):
                await s.replica.calls(Principal("stranger", "other"), id, None)

    run_virtual(main())


def test_a_lot_survives_the_owner_and_is_not_written_again_with_later_heartbeats() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            step = await s.claim_one()
            delivery = s.faults.hold("before", on="bulk", index=f"{EVENTS}-000001")
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=calls(1)))
            await delivery.reached()
        async with scheduler(cluster, replica_id="replica-b") as s:
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(checkpoint=1))
            await asyncio.sleep(2)
            assert list(documents(cluster, EVENTS)) == [f"{id}:only:1:calls:1"]
            await s.complete(step)
            assert await made(s, id) == [("only", 1, ["tool-1"])]

    run_virtual(main())


def test_a_call_that_was_reported_twice_is_shown_once() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            step = await s.claim_one()
            for _ in range(2):
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=calls(1)))
            await s.replica.complete(ANYBODY, step.step_id, CompleteBody(calls=calls(1, 2)))
            assert await made(s, id) == [("only", 1, ["tool-1", "tool-2"])]

    run_virtual(main())


def test_calls_that_find_no_room_are_refused_and_the_lease_is_renewed() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            step = await s.claim_one(lease_ms=10_000)
            with pytest.raises(PayloadTooLarge):
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=[Call("x", "y" * 300_000)]))
            s.faults.refuse(429, on="bulk", index=f"{EVENTS}-000001", times=4)
            large = [Call("x", "y" * 150_000)]
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=large))
            await asyncio.sleep(0.01)
            with pytest.raises(Unavailable, match="not taken"):
                await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=large))
            await asyncio.sleep(9)
            await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(calls=large))
            assert await s.complete(step) == "succeeded"
            await in_history(s)
            assert len(documents(cluster, EVENTS)) == 2
            assert list(cluster.indices[LANE].documents) == ["fence"]

    run_virtual(main())
