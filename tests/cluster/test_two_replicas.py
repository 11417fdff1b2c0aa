"""Two replica processes beside one real Elasticsearch: either address serves every lane."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.kit.served import Caller, Served, calling

DEFINITION = """
name: one-step
steps:
  - {name: only, executor: work, input: {n: "{{ inputs.n }}"}}
"""
FAST = {
    "LEASEHOLD_LANES_LEASE_MS": "1500",
    "LEASEHOLD_LANES_RENEW_EVERY_MS": "300",
    "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
}
STARTS = 40


async def shares(caller: Caller) -> dict[str, int]:
    _, answer = await caller.send("GET", "/_workflows/_lanes")
    owners = [lane.get("owner") for lane in answer["lanes"]]
    return {owner: owners.count(owner) for owner in owners if owner}


async def until_shared(caller: Caller, replicas: int) -> None:
    async with asyncio.timeout(30):
        while sorted((await shares(caller)).values()) != [4 // replicas] * replicas:
            await asyncio.sleep(0.05)


async def start(caller: Caller, n: int) -> str:
    status, answer = await caller.send("POST", "/_workflows/one-step/_start", {"params": {"n": n}})
    assert status == 201, answer
    instance_id: str = answer["instance_id"]
    return instance_id


async def work(caller: Caller, wanted: int) -> list[dict[str, Any]]:
    """Claim and complete until `wanted` steps are done."""
    done: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(done) < wanted:
            status, answer = await caller.send("POST", "/_workflows/_steps/_claim?capability=work&wait=2s&max=7")
            for step in answer["steps"] if status == 200 else ():
                status, told = await caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", {})
                assert status == 200, told
                done.append(step)
    return done


async def test_either_address_serves_every_lane_and_a_stopped_replica_hands_its_lanes_over(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    first = Served(elasticsearch_url, index_prefix, tmp_path / "first.log", **FAST)
    second = Served(elasticsearch_url, index_prefix, tmp_path / "second.log", **FAST)
    async with first, calling(first.url) as at_first, calling(second.url) as at_second:
        await at_first.put_definition("one-step", DEFINITION)
        async with second:
            await until_shared(at_first, 2)
            started = [await start(caller, n) for n in range(STARTS // 2) for caller in (at_first, at_second)]
            done = await work(at_second, STARTS)
            assert sorted(step["workflow_id"] for step in done) == sorted(started)
            assert {step["attempt"] for step in done} == {1}

            waiting = asyncio.create_task(work(at_second, 8))
            late = [await start(at_first, n) for n in range(8)]
            assert sorted(step["workflow_id"] for step in await waiting) == sorted(late)
            assert await second.stop() == 0
        await until_shared(at_first, 1)
        for instance_id in (*started, *late):
            status, view = await at_first.send("GET", f"/_workflows/_instances/{instance_id}")
            assert (status, view["status"]) == (200, "succeeded")
