"""Concurrency groups on a real server: one limit for two replicas, through the end of one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.kit.served import Caller, Served, calling

from .test_two_replicas import FAST, until_shared

DEFINITION = """
name: one-a-host
concurrency: {key: "{{ inputs.host }}"}
memory: {key: "{{ inputs.host }}"}
steps:
  - {name: only, executor: work, input: {host: "{{ inputs.host }}", runs: "{{ memory.runs | default(0) }}"}}
  - {name: count, remember: {runs: "{{ memory.runs | default(0) + 1 }}"}}
"""
HOSTS = ("web-1", "web-2", "web-3")


async def start(caller: Caller, host: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            status, answer = await caller.send("POST", "/_workflows/one-a-host/_start", {"params": {"host": host}})
            if status != 503:
                assert status == 201, answer
                return dict(answer)
            await asyncio.sleep(0.1)


async def claim(caller: Caller) -> list[dict[str, Any]]:
    status, answer = await caller.send("POST", "/_workflows/_steps/_claim?capability=work&wait=1s&max=10&lease=10s")
    return list(answer["steps"]) if status == 200 else []


async def test_one_limit_holds_for_all_replicas_and_through_the_end_of_one(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    first = Served(elasticsearch_url, index_prefix, tmp_path / "first.log", **FAST)
    second = Served(elasticsearch_url, index_prefix, tmp_path / "second.log", **FAST)
    async with first, calling(first.url) as at_first, calling(second.url) as at_second:
        await at_first.put_definition("one-a-host", DEFINITION)
        async with second:
            await until_shared(at_first, 2)
            started = [await start(caller, host) for host in HOSTS for caller in (at_first, at_second, at_first)]
            assert sorted(answer["status"] for answer in started) == ["running"] * 3 + ["waiting"] * 6
            steps = await claim(at_second)
            while len(steps) < 3:
                steps += await claim(at_second)
            assert {step["payload"]["host"] for step in steps} == set(HOSTS)
            assert await claim(at_first) == []
            assert await second.stop() == 0
        await until_shared(at_first, 1)
        seen = [(step["payload"]["host"], step["payload"]["runs"]) for step in steps]
        async with asyncio.timeout(30):
            while steps or len(seen) < len(started):
                for step in steps:
                    status, told = await at_first.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", {})
                    assert status == 200, told
                steps = await claim(at_first)
                hosts = [step["payload"]["host"] for step in steps]
                assert len(hosts) == len(set(hosts))
                seen += [(step["payload"]["host"], step["payload"]["runs"]) for step in steps]
        assert sorted(seen) == [(host, runs) for host in HOSTS for runs in range(3)]
