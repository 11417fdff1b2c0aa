"""The replica is killed at any moment and started again: nothing acknowledged is lost, nothing done is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.kit.served import Caller, Served, calling

DEFINITION = """
name: two-steps
version: 1
steps:
  - {name: first, executor: work, input: {n: "{{ inputs.n }}"}}
  - {name: second, executor: work, input: {from: "{{ steps.first.result.n }}"}}
"""

KILLS = 5
STARTS = 400
WORKERS = 6


class Ledger:
    """What clients were told: the evidence that the checks go by."""

    def __init__(self) -> None:
        self.started: dict[str, str] = {}
        self.completed: set[tuple[str, str]] = set()
        self.claimed_after_completion: list[str] = []
        self.tokens: dict[str, int] = {}
        self.token_regressions: list[str] = []

    def claim(self, step: dict[str, Any]) -> None:
        if (step["workflow_id"], step["run_path"]) in self.completed:
            self.claimed_after_completion.append(step["step_id"])
        if step["token"] <= self.tokens.get(step["workflow_id"], 0):
            self.token_regressions.append(step["step_id"])
        self.tokens[step["workflow_id"]] = step["token"]


async def start_all(caller: Caller, ledger: Ledger) -> None:
    for n in range(STARTS):
        status, answer = await caller.send(
            "POST", "/_workflows/two-steps/_start", {"params": {"n": n}}, {"Idempotency-Key": f"start-{n}"}
        )
        assert status in (200, 201), answer
        ledger.started[f"start-{n}"] = answer["instance_id"]


async def work(caller: Caller, ledger: Ledger, name: str) -> None:
    while len(ledger.completed) < 2 * STARTS:
        status, answer = await caller.send(
            "POST", f"/_workflows/_steps/_claim?capability=work&lease=2s&wait=500ms&max=4&worker={name}"
        )
        for step in answer["steps"] if status == 200 else ():
            ledger.claim(step)
            status, told = await caller.send(
                "POST", f"/_workflows/_steps/{step['step_id']}/_complete", {"result": {"n": step["attempt"]}}
            )
            assert status in (200, 409), told
            if status == 200:
                ledger.completed.add((step["workflow_id"], step["run_path"]))


async def kill_again_and_again(served: Served, random: Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.2, 1.2))
        await served.kill()
        await served.start()


async def rows(session: aiohttp.ClientSession, url: str, index: str) -> list[dict[str, Any]]:
    async with session.post(f"{url}/{index}/_refresh"):
        pass
    async with session.post(f"{url}/{index}/_search", json={"size": 10_000}) as answer:
        hits: list[dict[str, Any]] = (await answer.json())["hits"]["hits"]
        return hits


@pytest.mark.elasticsearch
async def test_a_killed_replica_loses_nothing_and_repeats_no_completed_attempt(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    settings = {
        "LEASEHOLD_LANES_LEASE_MS": "900",
        "LEASEHOLD_LANES_RENEW_EVERY_MS": "300",
        "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
    }
    served = Served(elasticsearch_url, index_prefix, tmp_path / "serve.log", **settings)
    ledger = Ledger()
    async with served, calling(served.url) as caller, aiohttp.ClientSession() as session:
        await caller.put_definition("two-steps", DEFINITION)
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(start_all(caller, ledger))
            group.create_task(kill_again_and_again(served, Random(20261121)))
            for n in range(WORKERS):
                group.create_task(work(caller, ledger, f"worker-{n}"))

        for instance_id in ledger.started.values():
            status, view = await caller.send("GET", f"/_workflows/_instances/{instance_id}")
            assert (status, view["status"]) == (200, "succeeded"), view
        assert len(set(ledger.started.values())) == STARTS
        assert ledger.claimed_after_completion == []
        assert ledger.token_regressions == []

        await _lanes_are_empty(session, elasticsearch_url, index_prefix)
        instances = await rows(session, elasticsearch_url, f"{index_prefix}-instances")
        assert sorted(hit["_id"] for hit in instances) == sorted(ledger.started.values())
        steps = await rows(session, elasticsearch_url, f"{index_prefix}-steps")
        succeeded = Counter(
            (hit["_source"]["workflow"]["id"], hit["_source"]["step"]["path"])
            for hit in steps
            if hit["_source"]["step"]["outcome"] == "succeeded"
        )
        assert set(succeeded) == {(id, path) for id in ledger.started.values() for path in ("first", "second")}
        assert set(succeeded.values()) == {1}


async def _lanes_are_empty(session: aiohttp.ClientSession, url: str, prefix: str) -> None:
    """Finished instances' documents go after the next refresh of history."""
    async with asyncio.timeout(20):
        while [hit for hit in await rows(session, url, f"{prefix}-lane-*") if hit["_source"]["kind"] != "fence"]:
            await asyncio.sleep(0.2)
