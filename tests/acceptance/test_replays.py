"""Replays from the command line, on a real server: of one instance, and of all that ended under another definition."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from leasehold.claim.wire import CompleteBody, StartBody
from leasehold.core.principal import Principal

from tests.kit.answering import Answering, answering_replica

pytestmark = pytest.mark.elasticsearch

# As the command line is seen without a tenant of its own.
CALLER = Principal("somebody", "default")

FLOW = """
name: flow
version: 1
inputs: {hosts: {type: array}}
steps:
  - {name: first, executor: work}
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    steps:
      - {name: scan, executor: work, input: "{{ item }}"}
outputs: {n: "{{ steps.first.result.n }}"}
"""


class CommandLine:
    """`leasehold`, run in a process of its own; what it prints, with the exit code that it is to have."""

    def __init__(self, url: str) -> None:
        self._environment = {"LEASEHOLD_SERVER": url, "COLUMNS": "200"}

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "leasehold.core.app.script", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        async with asyncio.timeout(60):
            output, errors = await child.communicate()
        assert child.returncode == code, errors.decode()
        return (output or errors).decode()


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        yield answering


async def run(served: Answering, n: int) -> str:
    """An instance that has ended; its first step delivers `n`."""
    body = StartBody(params={"hosts": ["a", "b"]})
    answer, _ = await served.replica.start(CALLER, "flow", body, idempotency_key=None, traceparent=None)
    for _ in range(3):
        (step,) = await served.replica.claim(
            CALLER, ("work",), max_steps=1, lease_ms=30_000, wait_ms=10_000, worker="w", request_id=None
        )
        await served.replica.complete(CALLER, step.step_id, CompleteBody({"n": n}))
    async with asyncio.timeout(30):
        while (await served.replica.instance(CALLER, answer.instance_id)).status != "succeeded":
            await asyncio.sleep(0.05)
    return answer.instance_id


async def test_one_instance_and_all_that_ended_are_replayed(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    stored, other = tmp_path / "flow.yaml", tmp_path / "new.yaml"
    stored.write_text(FLOW, encoding="utf-8")
    await leasehold("workflows", "put", str(stored))
    ids = [await run(served, n) for n in (1, 2, 3)]

    assert "the same past under version 1" in await leasehold("instances", "replay", ids[0])
    picky = 'foreach: "{{ inputs.hosts if steps.first.result.n < 3 else [] }}"'
    new = FLOW.replace("version: 1", "version: 2").replace('foreach: "{{ inputs.hosts }}"', picky)
    other.write_text(new, encoding="utf-8")
    assert "the same past under version 2" in await leasehold("instances", "replay", ids[0], "--definition", str(other))
    parted = json.loads(await leasehold("instances", "replay", ids[2], "--definition", str(other), "--json", code=1))
    assert (parted["same"], parted["difference"]["path"]) == (False, "each-host")

    async with asyncio.timeout(30):
        while True:
            said = await leasehold("workflows", "check", str(other), "--against", "last:1000", code=1)
            if said.startswith("flow: 3 instances"):
                break
            await asyncio.sleep(0.2)
    assert "2 have the same past, 1 differ" in said
    assert f"  {ids[2]} (version 1): event 3 (completed): " in said
    (checked,) = json.loads(await leasehold("workflows", "check", str(stored), "--json"))
    assert (checked["same"], checked["differ"], checked["incomplete"]) == (3, 0, 0)
    (checked,) = json.loads(await leasehold("workflows", "check", str(other), "--against", "last:2", "--json", code=1))
    assert checked["same"] + checked["differ"] == 2
    assert "write it as last:1000" in await leasehold("workflows", "check", str(other), "--against", "all", code=1)
