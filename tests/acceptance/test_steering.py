"""Steering through the command line and HTTP, on a real Elasticsearch: what docs/steering.md says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.answering import Answering, answering_replica
from tests.kit.markdown import ROOT, table

from .test_command_line import CommandLine

DEFINITIONS = """\
name: steered
version: 1
inputs:
  n: {type: integer, default: 1}
steps:
  - {name: first, executor: steered-work, input: {n: "{{ inputs.n }}"}}
  - {name: ticket, wait_for_signal: closed}
---
name: asked
version: 1
steps:
  - name: act
    executor: steered-work
    requires_approval: true
    approval: {form: {amount: {type: integer, required: true}}}
"""

PAGE = (ROOT / "docs/steering.md").read_text(encoding="utf-8")


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str, tmp_path: Path) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        path = tmp_path / "steered.yaml"
        path.write_text(DEFINITIONS, encoding="utf-8")
        await CommandLine(answering.url)("workflows", "put", str(path))
        yield answering


class Executor:
    """Claims and reports over plain HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def claim(self) -> dict[str, Any]:
        target = "/_workflows/_steps/_claim?capability=steered-work&wait=20s&worker=steerer"
        async with self._session.post(target) as answer:
            assert answer.status == 200
            step: dict[str, Any] = await answer.json()
            return step

    async def report(self, step: dict[str, Any], action: str, body: Any) -> dict[str, Any]:
        async with self._session.post(f"/_workflows/_steps/{step['step_id']}/_{action}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told


async def test_an_instance_is_steered_explained_failed_and_brought_back(served: Answering) -> None:
    leasehold = CommandLine(served.url)
    async with aiohttp.ClientSession(served.url) as session:
        executor = Executor(session)
        instance = (await leasehold("instances", "start", "steered")).strip()
        assert "no executor with the capability 'steered-work'" in await leasehold("instances", "explain", instance)
        assert "paused" in await leasehold("instances", "pause", instance, "--reason", "look first")
        explained = json.loads(await leasehold("instances", "explain", instance, "--json"))
        assert [cause["cause"] for cause in explained["causes"]] == ["paused"]
        await leasehold("instances", "resume", instance)

        step = await executor.claim()
        calls = [{"name": "model", "input": {"q": 1}, "number": 1}]
        await executor.report(step, "heartbeat", {"progress": 40, "message": "halfway", "calls": calls})
        assert "steerer works on it" in await leasehold("instances", "explain", instance)
        await executor.report(step, "fail", {"error": {"type": "boom", "message": "it broke"}})

        async with asyncio.timeout(30):
            while instance not in (listed := await leasehold("instances", "failed", "--since", "1h", "--json")):
                assert json.loads(listed)["instances"] == []
        assert "boom: step 'first' failed" in await leasehold("instances", "failed", "--workflow", "steered")
        refused = await leasehold("instances", "retry", instance, "--from-start", "--param", "n=many", code=1)
        assert "an integer" in refused
        retried = await leasehold("instances", "retry", "--failed", "--workflow", "steered", "--param", "n=2")
        assert retried == f"{instance}  running\n"
        assert json.loads(await leasehold("instances", "failed", "--json"))["instances"] == []

        step = await executor.claim()
        assert (step["workflow_id"], step["payload"], step["attempt"]) == (instance, {"n": 2}, 2)
        await executor.report(step, "complete", {"result": 1, "calls": [{"name": "tool", "number": 1}]})
        assert "signal 'closed'" in await leasehold("instances", "explain", instance)
        ended = json.loads(
            await leasehold("instances", "signal", instance, "closed", "--payload", '{"by": 1}', "--json")
        )
        assert (ended["status"], ended["redrives"]) == ("succeeded", 1)
        async with session.get(f"/_workflows/_instances/{instance}/_calls?step=first") as answer:
            attempts = (await answer.json())["attempts"]
        assert [(one["attempt"], [call["name"] for call in one["calls"]]) for one in attempts] == [
            (1, ["model"]),
            (2, ["tool"]),
        ]
    await _audited(served, instance, ["start", "pause", "resume", "retry", "signal"])


async def test_a_decision_has_to_fit_its_form(served: Answering) -> None:
    leasehold = CommandLine(served.url)
    instance = (await leasehold("instances", "start", "asked")).strip()
    assert "form.amount" in await leasehold("instances", "approve", instance, code=1)
    approved = json.loads(await leasehold("instances", "approve", instance, "--form", "amount=3", "--json"))
    assert approved["steps"][0]["approval"]["form"] == {"amount": 3}
    skipped = json.loads(await leasehold("instances", "skip", instance, "--step", "act", "--json"))
    assert skipped["status"] == "succeeded"


async def test_what_can_not_be_retried_is_one_sentence(served: Answering) -> None:
    leasehold = CommandLine(served.url)
    assert "--failed with --workflow" in await leasehold("instances", "retry", code=1)
    assert "--failed with --workflow" in await leasehold("instances", "retry", "x", "--failed", code=1)
    instance = (await leasehold("instances", "start", "steered")).strip()
    assert "no step has failed" in await leasehold("instances", "retry", instance, code=1)


def test_the_page_names_every_cause() -> None:
    named = {cells[0].strip("`") for cells in table(PAGE, "cause")}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "core/explaining").glob("*.py")]
    assert {word for word in named if not any(f'"{word}"' in source for source in sources)} == set()
    assert len(named) == 14


async def _audited(served: Answering, instance: str, actions: list[str]) -> None:
    """Wait until the trail has the rows, which follow the answers by a moment."""
    engine = served.replica._engine
    async with asyncio.timeout(30):
        while True:
            await engine.store.refresh(engine.names.audit)
            body = {"query": {"term": {"workflow.id": instance}}, "sort": [{"@timestamp": "asc"}]}
            hits = (await engine.store.search(engine.names.audit, body)).hits
            found = [json.loads(hit.source)["event"]["action"] for hit in hits]
            if len(found) >= len(actions):
                assert found == actions
                return
            await asyncio.sleep(0.05)
