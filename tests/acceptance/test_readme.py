"""The README keeps what it says: every block in it is run, or is a diagram."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from leasehold.core.app.commands.root import app
from leasehold.definitions import load

from tests.kit.markdown import ROOT, Block, blocks
from tests.kit.served import Served, calling

README = blocks((ROOT / "README.md").read_text())
ADDRESS = "http://127.0.0.1:8080"
HELLO = (ROOT / "examples/hello.yaml").read_text()
ROLLOUT = (ROOT / "examples/rollout.yaml").read_text()

_ANYTHING = "..."


def is_walk(block: Block) -> bool:
    return block.language == "sh" and "curl " in block.text


def is_commands(block: Block) -> bool:
    return block.language == "sh" and not is_walk(block)


def test_no_block_is_of_a_kind_that_nothing_here_runs() -> None:
    assert {block.language for block in README} == {"sh", "yaml", "python", "mermaid"}


@pytest.mark.parametrize("line", [line for block in README if is_commands(block) for line in block.text.splitlines()])
def test_every_other_command_exists(line: str) -> None:
    words = line.split()
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        name, extra = re.fullmatch(r"'(\w+)\[(\w+)\]'", words[2]).groups()  # type: ignore[union-attr]
        assert (project["name"], extra in project["optional-dependencies"]) == (name, True)
    else:
        commands = {
            command.name or command.callback.__name__ for command in app.registered_commands if command.callback
        }
        assert words[0] == "leasehold"
        assert words[1] in commands


def test_the_workflows_shown_are_the_examples() -> None:
    assert [block.text for block in README if block.language == "yaml"] == [HELLO, ROLLOUT]
    assert [definition.name for definition in load(HELLO.encode(), origin="README.md")] == ["hello"]
    assert len(HELLO.splitlines()) <= 20
    assert len(ROLLOUT.splitlines()) <= 30


@pytest.mark.elasticsearch
@pytest.mark.parametrize("program", ["curl", "stand-in"])
async def test_the_walk_answers_what_the_readme_shows(
    program: str, elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    if program == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl here; the stand-in walks")
    walk = "".join(block.text for block in README if is_walk(block))
    async with Served(elasticsearch_url, index_prefix, tmp_path / "serve.log") as served:
        printed = await run_shell(walk.replace(ADDRESS, served.url), tmp_path, stand_in=program == "stand-in")
    shown = [line.removeprefix("# ") for line in walk.splitlines() if line.startswith("# {")]
    assert len(shown) >= 5
    answers = documents(printed)
    assert len(answers) == len(shown)
    for expected, answer in zip(shown, answers, strict=True):
        assert fits(expected, answer), f"shown {expected}, answered {json.dumps(answer)}"


@pytest.mark.elasticsearch
async def test_the_python_executor_greets(elasticsearch_url: str, index_prefix: str, tmp_path: Path) -> None:
    (block,) = (block for block in README if block.language == "python")
    async with (
        Served(elasticsearch_url, index_prefix, tmp_path / "serve.log") as served,
        calling(served.url) as caller,
        asyncio.timeout(60),
    ):
        await caller.put_definition("hello", HELLO)
        _, started = await caller.send("POST", "/_workflows/hello/_start", {"params": {"name": "Ada"}})
        program = tmp_path / "greeter.py"
        program.write_text(block.text.replace(ADDRESS, served.url))
        child = await asyncio.create_subprocess_exec(sys.executable, str(program))
        try:
            view: dict[str, Any] = {"status": ""}
            while view["status"] != "succeeded":
                assert child.returncode is None
                await asyncio.sleep(0.05)
                _, view = await caller.send("GET", f"/_workflows/_instances/{started['instance_id']}")
        finally:
            child.terminate()
            ended = await child.wait()
    assert view["outputs"] == {"text": "Hello, Ada"}
    assert ended == 0


def test_a_shown_answer_fits_only_what_it_says() -> None:
    assert fits('{"a": "...", "b": 1}', {"a": "x", "b": 1})
    assert fits('{"a": 1, ...}', {"a": 1, "b": 2})
    assert not fits('{"a": 1}', {"a": 1, "b": 2})
    assert not fits('{"a": 1, ...}', {"a": 2, "b": 2})
    assert not fits('{"a": "..."}', {})


async def run_shell(script: str, folder: Path, *, stand_in: bool) -> str:
    """Run a shell script at the repository's root; what it printed. Any failing command fails it."""
    prelude = "set -eu\n"
    if stand_in:
        curl = folder / "curl"
        curl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests/kit/curl.py"}" "$@"\n')
        curl.chmod(0o755)
        prelude += f'PATH="{folder}:$PATH"\n'
    child = await asyncio.create_subprocess_exec(
        "sh", "-c", prelude + script, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        printed, complaints = await child.communicate()
    assert child.returncode == 0, complaints.decode()
    return printed.decode()


def documents(printed: str) -> list[Any]:
    """The JSON documents that stand in a text one after the other."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    rest = printed.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


def fits(shown: str, answer: dict[str, Any]) -> bool:
    """Whether an answer is what the README shows: `"..."` stands for any value, `, ...}` for further fields."""
    shortened = shown.endswith(", ...}")
    expected = json.loads(shown.removesuffix(", ...}") + "}" if shortened else shown)
    if set(expected) - set(answer) or (not shortened and set(answer) - set(expected)):
        return False
    return all(value in (_ANYTHING, answer[name]) for name, value in expected.items())
