"""Lanes of two replica processes beside one real Elasticsearch: added under load, drained with live leases, removed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.served import Caller, Served, calling

DEFINITION = "{name: one-step, version: 1, steps: [{name: only, executor: work}]}"
FAST = {
    "LEASEHOLD_LANES_LANES": "2",
    "LEASEHOLD_LANES_LEASE_MS": "1500",
    "LEASEHOLD_LANES_RENEW_EVERY_MS": "300",
    "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
}


async def lanes(caller: Caller) -> dict[str, dict[str, Any]]:
    _, answer = await caller.send("GET", "/_workflows/_lanes")
    return {lane["lane"]: lane for lane in answer["lanes"]}


async def until_state(caller: Caller, lane: str, state: str) -> None:
    async with asyncio.timeout(30):
        while (await lanes(caller))[lane]["state"] != state:
            await asyncio.sleep(0.05)


async def start(caller: Caller, count: int) -> list[str]:
    started = []
    for _ in range(count):
        status, answer = await caller.send("POST", "/_workflows/one-step/_start")
        assert status == 201, answer
        started.append(answer["instance_id"])
    return started


async def claim(caller: Caller) -> list[dict[str, Any]]:
    path = "/_workflows/_steps/_claim?capability=work&max=50&lease=60s&wait=300ms"
    status, answer = await caller.send("POST", path)
    found: list[dict[str, Any]] = answer["steps"] if status == 200 else []
    return found


async def complete(caller: Caller, steps: list[dict[str, Any]]) -> None:
    for step in steps:
        status, told = await caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", {})
        assert status == 200, told


def held_in(lane: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [step for step in steps if step["workflow_id"].startswith(f"{lane}-")]


async def test_lanes_are_added_drained_and_removed_under_two_replicas(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    first = Served(elasticsearch_url, index_prefix, tmp_path / "first.log", **FAST)
    second = Served(elasticsearch_url, index_prefix, tmp_path / "second.log", **FAST)
    async with first, second, calling(first.url) as at_first, calling(second.url) as at_second:
        await at_first.put_definition("one-step", DEFINITION)
        loading = asyncio.create_task(start(at_second, 40))
        status, answer = await at_first.send("POST", "/_workflows/_lanes", {"count": 2})
        assert (status, [lane["lane"] for lane in answer["lanes"]]) == (201, ["02", "03"])
        async with asyncio.timeout(30):
            while sorted(lane.get("owner") or "" for lane in (await lanes(at_first)).values())[0] == "":
                await asyncio.sleep(0.05)
        started = await loading
        async with asyncio.timeout(30):
            while not [id for id in started if id.startswith("03-")]:
                started += await start(at_first, 5) + await start(at_second, 5)
        leased: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while len(leased) < len(started):
                leased += await claim(at_second)

        status, answer = await at_second.send("POST", "/_workflows/_lanes/03/_drain")
        assert (status, answer["state"]) == (200, "draining")
        more = await start(at_first, 10) + await start(at_second, 10)
        assert not [id for id in more if id.startswith("03-")]
        assert (await lanes(at_first))["03"]["state"] == "draining"
        status, told = await at_first.send("DELETE", "/_workflows/_lanes/03?early=true")
        assert (status, "draining" in told["detail"]) == (409, True)
        await complete(at_first, leased)
        await until_state(at_second, "03", "drained")

        status, told = await at_first.send("DELETE", "/_workflows/_lanes/03")
        assert (status, "kept until" in told["detail"]) == (409, True)
        assert (await at_first.send("DELETE", "/_workflows/_lanes/03?early=true"))[0] == 204
        assert list(await lanes(at_second)) == ["00", "01", "02"]
        ended = held_in("03", leased)[0]
        status, view = await at_second.send("GET", f"/_workflows/_instances/{ended['workflow_id']}")
        assert (status, view["status"]) == (200, "succeeded")
        assert (await at_first.send("POST", f"/_workflows/_steps/{ended['step_id']}/_complete", {}))[0] == 404
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{elasticsearch_url}/_cat/indices/{index_prefix}-lane-*?h=index&format=json") as found,
        ):
            assert sorted(row["index"][-2:] for row in await found.json()) == ["00", "01", "02"]
        rest: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while len(rest) < len(more):
                rest += await claim(at_first)
        await complete(at_second, rest)
