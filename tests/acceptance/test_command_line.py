"""The command `leasehold` as a process, and against a running server."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.answering import Answering, answering_replica
from tests.kit.markdown import ROOT
from tests.kit.served import calling

DEFINITION = """\
name: ask-first
version: 1
description: Asks before it acts
steps:
  - {name: act, executor: nobody, requires_approval: true, input: "{{ inputs }}"}
"""

WITHOUT_SERVER = """\
import sys

class Absent:
    @staticmethod
    def find_spec(name, *_):
        if name.split(".")[0] in ("elasticsearch", "ruamel", "structlog", "prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from leasehold.core.app.script import main
main()
"""

WITHOUT_TYPER = """\
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ("typer", "rich") else found(name, package)
from leasehold.core.app.script import main
main()
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_executors_extra_alone_runs_workers_and_names_the_extra_of_the_rest() -> None:
    assert run(WITHOUT_SERVER, "worker", "--help").returncode == 0
    serving = run(WITHOUT_SERVER, "serve")
    assert serving.returncode == 1
    assert "pip install 'leasehold[server]'" in serving.stderr
    assert serving.stderr.count("\n") == 1


def test_the_claim_client_alone_says_what_the_command_line_needs() -> None:
    refused = run(WITHOUT_TYPER, "serve")
    assert refused.returncode == 1
    assert "pip install 'leasehold[server]' for a scheduler" in refused.stderr
    assert refused.stderr.count("\n") == 1


class CommandLine:
    """`leasehold`, run in a process of its own with a server's address in its environment."""

    def __init__(self, url: str) -> None:
        self.environment = {"LEASEHOLD_SERVER": url, "COLUMNS": "200"}

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        """Standard output, or standard error where the exit code is to be another than 0."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "leasehold.core.app.script", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self.environment,
        )  # fmt: skip
        async with asyncio.timeout(60):
            output, errors = await child.communicate()
        assert child.returncode == code, errors.decode()
        return (errors if code else output).decode()


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        yield answering


async def test_a_workflow_from_its_file_to_a_decision(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    path = tmp_path / "ask-first.yaml"
    path.write_text(DEFINITION, encoding="utf-8")
    assert await leasehold("workflows", "put", str(path)) == "ask-first version 1 stored; active\n"
    assert await leasehold("workflows", "put", str(path)) == "ask-first version 1 was stored before; active\n"
    assert "Asks before it acts" in await leasehold("workflows", "list")
    assert await leasehold("workflows", "show", "ask-first") == DEFINITION

    instance = (
        await leasehold("instances", "start", "ask-first", "--param", "n=1", "--param", "host=a", "--key", "k")
    ).strip()
    assert (
        await leasehold("instances", "start", "ask-first", "--param", "n=1", "--param", "host=a", "--key", "k")
    ).strip() == instance
    shown = json.loads(await leasehold("instances", "show", instance, "--json"))
    assert (shown["status"], shown["inputs"]) == ("waiting", {"n": 1, "host": "a"})
    assert "waits for approval" in await leasehold("instances", "show", instance)

    approved = json.loads(await leasehold("instances", "approve", instance, "--comment", "go", "--json"))
    assert approved["steps"][0]["approval"]["comment"] == "go"
    assert (await leasehold("instances", "reject", instance, code=1)).startswith("leasehold: ")
    cancelled = json.loads(await leasehold("instances", "cancel", instance, "--reason", "enough", "--json"))
    assert cancelled["status"] in ("cancelling", "cancelled")


async def test_a_blueprint_is_stored_written_out(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    folder = ROOT / "examples/blueprints"
    report = [str(folder / "nightly-report.yaml"), "--values", str(folder / "web.values.yaml")]
    report += ["--blocks", str(folder / "blocks.yaml")]
    rendered = await leasehold("workflows", "render", *report, "--set", "days=7")
    assert await leasehold("workflows", "put", *report, "--set", "days=7") == (
        "nightly-report-web version 1 stored; active\n"
    )
    assert await leasehold("workflows", "show", "nightly-report-web") == rendered
    again = await leasehold("workflows", "put", *report, "--set", "days=8", code=1)
    assert "version 1" in again


async def test_a_definition_that_is_put_over_http_has_its_blocks_written_out(served: Answering) -> None:
    text = "name: twice\nblocks: {one: {steps: [{name: act, executor: nobody}]}}\nsteps: [{use: one}]\n"
    async with calling(served.url) as caller:
        await caller.put_definition("twice", text)
        status, view = await caller.send("GET", "/_workflows/twice")
    assert (status, "blocks" in view["source"], "executor: nobody" in view["source"]) == (200, False, True)


async def test_what_a_server_refuses_is_told_in_its_words(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    assert "'no-such'" in await leasehold("workflows", "show", "no-such", code=1)
    assert "'no-such'" in await leasehold("instances", "start", "no-such", code=1)
    assert await leasehold("instances", "show", "..", code=1)
    path = tmp_path / "ask-first.yaml"
    path.write_text(DEFINITION, encoding="utf-8")
    await leasehold("workflows", "put", str(path))
    path.write_text(DEFINITION.replace("acts", "asks"), encoding="utf-8")
    assert "version 1" in await leasehold("workflows", "put", str(path), code=1)


async def test_no_server_is_one_sentence_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    sentence = await CommandLine(url)("instances", "show", "03-x", code=1)
    assert f"no connection to {url}" in sentence
    assert "start a server with `leasehold serve`" in sentence
    assert sentence.count("\n") == 1


async def test_lanes_are_listed_added_drained_and_removed(served: Answering) -> None:
    leasehold = CommandLine(served.url)
    assert [view["state"] for view in json.loads(await leasehold("lanes", "list", "--json"))["lanes"]] == ["active"] * 2
    assert [view["lane"] for view in json.loads(await leasehold("lanes", "add", "2", "--json"))["lanes"]] == [
        "02",
        "03",
    ]
    assert "draining" in await leasehold("lanes", "drain", "03")
    assert "drain it first" in await leasehold("lanes", "remove", "02", code=1)
    async with asyncio.timeout(30):
        while "drained" not in (listed := await leasehold("lanes", "list")):
            assert "draining" in listed
    assert "kept until" in await leasehold("lanes", "remove", "03", code=1)
    assert await leasehold("lanes", "remove", "03", "--yes") == "lane 03 removed\n"
    assert "│ 03 " not in await leasehold("lanes", "list")
    assert "no lane named" in await leasehold("lanes", "drain", "03", code=1)
