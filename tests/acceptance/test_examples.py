"""The examples are valid, say what they are, and the one that every release must run as it stands does run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from leasehold.definitions import load

from tests.kit.markdown import ROOT, relative_links
from tests.kit.served import Caller, Served, calling

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
INVESTIGATION = ROOT / "examples/ai-security-investigation.yaml"
AS_IT_STANDS = ROOT / "tests/data/ai-security-investigation.yaml"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_valid_definition_named_as_its_file(path: Path) -> None:
    (definition,) = load(path.read_bytes(), origin=path.name)
    assert definition.name == path.stem
    assert definition.compile().steps


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_begins_with_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_the_gallery_names_every_example() -> None:
    listed = set(relative_links((ROOT / "examples/README.md").read_text()))
    files = {str(path.relative_to(ROOT / "examples")) for path in (ROOT / "examples").glob("**/*.yaml")}
    assert files - listed == set()


def test_the_investigation_is_the_definition_that_every_release_must_run() -> None:
    assert INVESTIGATION.read_text().endswith(AS_IT_STANDS.read_text())


class Executor:
    """A stand-in for one capability over plain HTTP: takes the next step, checks it, answers with a result."""

    def __init__(self, caller: Caller, capability: str) -> None:
        self._caller = caller
        self._capability = capability

    async def run(self, result: Any, **usage: int) -> dict[str, Any]:
        """Claim one step and complete it; what the claim said."""
        status, step = await self._caller.send(
            "POST", f"/_workflows/_steps/_claim?capability={self._capability}&lease=30s&wait=20s&worker=stand-in"
        )
        assert status == 200, step
        body = {"result": result, **({"usage": usage} if usage else {})}
        status, told = await self._caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", body)
        assert (status, told["status"]) == (200, "succeeded")
        claimed: dict[str, Any] = step
        return claimed


@pytest.mark.elasticsearch
async def test_the_investigation_runs_as_it_stands_to_its_end_and_into_history(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    hits = {"hits": [{"host": "web-1", "message": "login failed"}], "total": 1}
    async with (
        Served(elasticsearch_url, index_prefix, tmp_path / "serve.log") as served,
        calling(served.url) as caller,
        asyncio.timeout(90),
    ):
        await caller.put_definition("ai-security-investigation", INVESTIGATION.read_text())
        status, started = await caller.send("POST", "/_workflows/ai-security-investigation/_start", {})
        assert (status, started["version"]) == (201, 2)

        gathered = await Executor(caller, "es-query").run(hits)
        assert gathered["permissions"] == ["read:logs-*", "read:metrics-*"]
        assert gathered["timeout_ms"] == 30_000
        analyzed = await Executor(caller, "ai-reasoning").run({"verdict": "malicious"}, llm_calls=2)
        assert (analyzed["step_name"], analyzed["payload"], analyzed["with"]) == ("analyze", hits, {"model": "default"})
        proposed = await Executor(caller, "ai-reasoning").run({"action": "block web-1"}, llm_calls=1)
        assert (proposed["step_name"], proposed["payload"]) == ("propose-remediation", {"verdict": "malicious"})

        address = f"/_workflows/_instances/{started['instance_id']}"
        _, view = await caller.send("GET", address)
        assert (view["status"], view["steps"][3]["approval"]["decision"]) == ("waiting", "pending")
        status, view = await caller.send("POST", f"{address}/_approve", {"comment": "go"})
        assert (status, view["status"]) == (200, "running")
        applied = await Executor(caller, "action").run({"case": 17})
        assert applied["permissions"] == ["write:cases-*"]

        _, view = await caller.send("GET", address)
        assert view["status"] == "succeeded"
        assert view["usage"]["llm_calls"] == 3
        assert [step["status"] for step in view["steps"]] == ["succeeded"] * 4
        rows = await attempts(elasticsearch_url, index_prefix, started["instance_id"], 4)
    assert [(row["step"]["name"], row["step"]["attempt"], row["event"]["outcome"]) for row in rows] == [
        ("gather-context", 1, "success"),
        ("analyze", 1, "success"),
        ("propose-remediation", 1, "success"),
        ("apply-remediation", 1, "success"),
    ]


QUIET = ['{"@timestamp": "2026-01-01T00:00:00Z", "log.level": "INFO", "log.logger": "node", "message": "started"}']
LOUD = ['{"@timestamp": "2026-01-01T00:00:07Z", "log.level": "WARN", "log.logger": "disk", "message": "nearly full"}']


@asynccontextmanager
async def triaging(elasticsearch_url: str, index_prefix: str, folder: Path) -> AsyncIterator[Caller]:
    """A replica that knows log-triage, and a worker process with the built-in executors."""
    async with Served(elasticsearch_url, index_prefix, folder / "serve.log") as served, calling(served.url) as caller:
        await caller.put_definition("log-triage", (ROOT / "examples/log-triage.yaml").read_text())
        arguments = ["worker", "--capability", "es-index,es-query,render", "--server", served.url]
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from leasehold.core.app.script import main; main()", *arguments,
            env={**os.environ, "LEASEHOLD_ES_URL": elasticsearch_url}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(90):
                yield caller
        finally:
            worker.terminate()
            await worker.wait()


async def triaged(caller: Caller, index: str, lines: list[str]) -> dict[str, Any]:
    """The instance once it waits or has ended."""
    body = {"params": {"index": index, "lines": lines}}
    _, view = await caller.send("POST", "/_workflows/log-triage/_start", body)
    return await settled(caller, view["instance_id"])


async def settled(caller: Caller, instance_id: str) -> dict[str, Any]:
    view: dict[str, Any] = {"status": "running"}
    while view["status"] == "running":
        await asyncio.sleep(0.05)
        _, view = await caller.send("GET", f"/_workflows/_instances/{instance_id}")
    return view


@pytest.mark.elasticsearch
async def test_a_log_with_warnings_opens_a_case_once_approved_and_one_without_asks_nobody(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    async with triaging(elasticsearch_url, index_prefix, tmp_path) as caller:
        quiet = await triaged(caller, f"{index_prefix}-quiet", QUIET)
        assert (quiet["status"], quiet["steps"][-1]["status"]) == ("succeeded", "skipped")
        assert (quiet["outputs"]["warnings"], quiet["outputs"]["case_opened"]) == (0, False)
        assert "Lines: 1. Warnings or worse: 0." in quiet["outputs"]["report"]

        loud = await triaged(caller, f"{index_prefix}-loud", QUIET + LOUD)
        assert (loud["status"], loud["steps"][-1]["status"]) == ("waiting", "waiting")
        await caller.send("POST", f"/_workflows/_instances/{loud['instance_id']}/_approve", {})
        loud = await settled(caller, loud["instance_id"])
        assert (loud["status"], loud["outputs"]["warnings"], loud["outputs"]["case_opened"]) == ("succeeded", 1, True)
        assert "- 00:00:07 `disk`: nearly full" in loud["outputs"]["report"]
    async with (
        aiohttp.ClientSession(elasticsearch_url) as session,
        session.get(f"/{index_prefix}-loud-cases/_search") as answer,
    ):
        (case,) = (await answer.json())["hits"]["hits"]
    assert case["_source"]["instance"] == loud["instance_id"]


async def attempts(url: str, prefix: str, instance_id: str, count: int) -> list[dict[str, Any]]:
    """The rows of an instance in `steps`, oldest first, once there are so many: they follow the answers by a moment."""
    body = {"query": {"term": {"workflow.id": instance_id}}, "sort": ["step.started_at"], "size": 100}
    rows: list[dict[str, Any]] = []
    async with aiohttp.ClientSession(url) as session:
        while len(rows) < count:
            await (await session.post(f"/{prefix}-steps/_refresh")).read()
            async with session.post(f"/{prefix}-steps/_search", json=body) as answer:
                rows = [hit["_source"] for hit in (await answer.json())["hits"]["hits"]]
    return rows
