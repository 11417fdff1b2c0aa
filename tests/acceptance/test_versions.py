"""Versions from the command line, on a real server: stored, tried on some starts, removed, rolled back, migrated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from leasehold.claim.wire import CompleteBody, ErrorInfo, FailBody, StartBody
from leasehold.core.principal import Principal

from tests.acceptance.test_command_line import CommandLine
from tests.kit.answering import Answering, answering_replica
from tests.kit.served import calling

pytestmark = pytest.mark.elasticsearch

# As the command line is seen without a tenant of its own.
CALLER = Principal("somebody", "default")


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        yield answering


def definition(path: Path, version: int, last: str = "last") -> str:
    path.write_text(
        f"name: flow\nversion: {version}\nsteps:\n  - {{name: first, executor: work}}\n"
        f"  - {{name: {last}, executor: work}}\n",
        encoding="utf-8",
    )
    return str(path)


async def start(served: Answering, version: int | None = None) -> str:
    answer, _ = await served.replica.start(
        CALLER, "flow", StartBody(version=version), idempotency_key=None, traceparent=None
    )
    return answer.instance_id


async def fail_one(served: Answering, version: int) -> None:
    await start(served, version)
    (step,) = await served.replica.claim(
        CALLER, ("work",), max_steps=1, lease_ms=30_000, wait_ms=10_000, worker="w", request_id=None
    )
    await served.replica.fail(CALLER, step.step_id, FailBody(ErrorInfo("broken")))


async def test_a_version_is_tried_removed_by_itself_activated_and_rolled_back(
    served: Answering, tmp_path: Path
) -> None:
    leasehold = CommandLine(served.url)
    path = tmp_path / "flow.yaml"
    assert await leasehold("workflows", "put", definition(path, 1)) == "flow version 1 stored; active\n"
    assert await leasehold("workflows", "put", "--no-activate", definition(path, 2)) == "flow version 2 stored\n"

    trial = await leasehold("workflows", "canary", "flow", "2", "--percent", "50", "--min-instances", "2")
    assert "version 2 is tried on 50 % of the starts" in trial
    for _ in range(2):
        await fail_one(served, 2)
    async with asyncio.timeout(60):
        while "canary" in (view := json.loads(await leasehold("workflows", "versions", "flow", "--json"))):
            await asyncio.sleep(0.2)
    assert view["activations"][0]["action"] == "canary_rolled_back"
    assert "2 of 2 instances failed (100.0%)" in view["activations"][0]["reason"]

    assert "activated" in await leasehold("workflows", "activate", "flow", "2")
    assert "but version 2 is active" in await leasehold(
        "workflows", "activate", "flow", "1", "--if-active", "1", code=1
    )
    back = json.loads(await leasehold("workflows", "rollback", "flow", "--if-active", "2", "--json"))
    assert json.loads(await leasehold("workflows", "rollback", "flow", "--if-active", "2", "--json")) == back
    assert back["active_version"] == 1


async def test_live_instances_are_moved_and_those_with_another_past_are_told(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    path = tmp_path / "flow.yaml"
    await leasehold("workflows", "put", definition(path, 1))
    await leasehold("workflows", "put", "--no-activate", definition(path, 2, last="end"))
    done, *fresh = [await start(served) for _ in range(3)]
    steps = await served.replica.claim(
        CALLER, ("work",), max_steps=3, lease_ms=30_000, wait_ms=10_000, worker="w", request_id=None
    )
    (first,) = (step for step in steps if step.workflow_id == done)
    await served.replica.complete(CALLER, first.step_id, CompleteBody({"n": 1}))

    migrate = ("workflows", "migrate", "flow", "--from", "1", "--to", "2")
    assert await leasehold(*migrate, "--instance", fresh[0], "--dry-run") == "1 would migrate\n"
    assert await leasehold(*migrate, "--instance", fresh[0]) == "1 migrated\n"
    await leasehold(*migrate, code=1)
    versions = [(await served.replica.instance(CALLER, id)).version for id in (done, *fresh)]
    assert versions == [1, 2, 2]
    other_way = ("workflows", "migrate", "flow", "--from", "2", "--to", "1")
    assert "1 ended" in await leasehold(*other_way, "--instance", "x")
    for id in (done, *fresh):
        await served.replica.terminate(CALLER, id, None)
    assert await leasehold(*other_way) == "none is live\n"


async def test_a_lost_race_names_the_version_that_is_active(served: Answering, tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    async with calling(served.url) as caller:
        for version in (1, 2, 3):
            await caller.put_definition("flow", Path(definition(path, version)).read_text())
        status, problem = await caller.send("POST", "/_workflows/flow/_activate", {"version": 1, "if_active": 2})
        assert (status, problem["active_version"]) == (409, 3)
        status, view = await caller.send("POST", "/_workflows/flow/_rollback")
        assert (status, view["active_version"], view["rollback_to"]) == (200, 2, 1)
        status, problem = await caller.send("POST", "/_workflows/flow/_canary", {"version": 3})
        assert (status, "labels or both" in problem["detail"]) == (422, True)
        status, _ = await caller.send("POST", "/_workflows/flow/_canary", {"version": 3, "percent": 0})
        assert status == 400
        status, view = await caller.send("POST", "/_workflows/flow/_canary", {"version": 3, "labels": {"a": "b"}})
        assert (status, view["canary"]["rollback"]) == (200, {"margin": 0.1, "min_instances": 20})
        status, view = await caller.send("DELETE", "/_workflows/flow/_canary")
        assert (status, "canary" in view) == (200, False)
