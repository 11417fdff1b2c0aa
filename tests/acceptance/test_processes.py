"""`leasehold serve --processes N`: several replicas on one port, one of which dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.served import Caller, Served, calling, free_port

DEFINITION = "{name: one-step, version: 1, steps: [{name: only, executor: work}]}"
FAST = {
    "LEASEHOLD_PROCESSES": "2",
    "LEASEHOLD_LANES_LEASE_MS": "1500",
    "LEASEHOLD_LANES_RENEW_EVERY_MS": "300",
    "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not share a port's connections out"),
]


def logged(log_file: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log_file.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


async def replicas(url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_workflows/_replicas") as answer:
        found: list[dict[str, Any]] = (await answer.json())["replicas"]
        return found


async def until_shared(url: str) -> list[dict[str, Any]]:
    """The two replicas, by whichever answers; one that has just come up counts a dead one in for a lease time."""
    async with asyncio.timeout(60):
        while True:
            found = await replicas(url)
            if sorted(len(one["lanes"]) for one in found) == [2, 2]:
                return found
            await asyncio.sleep(0.1)


async def start(url: str, count: int) -> list[str]:
    """Each on a connection of its own, so that the kernel spreads them over the processes."""
    started: list[str] = []
    while len(started) < count:
        async with calling(url) as caller:
            status, answer = await caller.send("POST", "/_workflows/one-step/_start")
            assert status == 201, answer
            started.append(answer["instance_id"])
    return started


async def work(url: str, done: set[str], wanted: int) -> None:
    async with asyncio.timeout(90):
        while len(done) < wanted:
            async with calling(url) as caller:
                await work_once(caller, done)


async def work_once(caller: Caller, done: set[str]) -> None:
    status, answer = await caller.send("POST", "/_workflows/_steps/_claim?capability=work&wait=300ms&max=4&lease=2s")
    for step in answer["steps"] if status == 200 else ():
        status, told = await caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", {})
        assert status in (200, 409), told
        if status == 200:
            done.add(step["workflow_id"])


async def test_two_processes_share_a_port_and_work_goes_on_when_one_is_killed(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    log_file = tmp_path / "serve.log"
    served = Served(elasticsearch_url, index_prefix, log_file, **FAST)
    done: set[str] = set()
    async with served:
        async with calling(served.url) as caller:
            await caller.put_definition("one-step", DEFINITION)
        shared = await until_shared(served.url)
        started = await start(served.url, 20)
        workers = [asyncio.create_task(work(served.url, done, 40)) for _ in range(3)]

        victim = logged(log_file, "sibling.up")[0]
        assert victim["address"] in {one["address"] for one in shared}
        os.kill(victim["pid"], signal.SIGKILL)
        started += await start(served.url, 20)
        await asyncio.gather(*workers)
        assert done == set(started)

        fresh = {one["address"] for one in await until_shared(served.url)}
        assert len(fresh) == 2
        assert victim["address"] not in fresh
        for address in fresh:
            async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
                assert "leasehold_commit_bulks_total" in await answer.text()
        assert await served.stop() == 0
    assert len(logged(log_file, "sibling.died")) == 1
    for line in logged(log_file, "sibling.up"):
        with pytest.raises(ProcessLookupError):
            os.kill(line["pid"], 0)


async def test_a_first_start_that_fails_ends_all_with_one_sentence() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leasehold.core.app.script", "serve", "--processes", "3", "--port", "0",
        "--elasticsearch", f"http://127.0.0.1:{free_port()}", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, errors = await child.communicate()
    assert child.returncode == 1
    assert errors.decode().startswith("leasehold: Elasticsearch at http://127.0.0.1:")
    assert errors.count(b"\n") == 1


async def test_children_end_when_their_parent_is_killed(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    log_file = tmp_path / "serve.log"
    served = Served(elasticsearch_url, index_prefix, log_file, **FAST)
    await served.start()
    await until_shared(served.url)
    await served.kill()
    async with asyncio.timeout(30):
        while len(logged(log_file, "stopped")) < 2:
            await asyncio.sleep(0.1)
