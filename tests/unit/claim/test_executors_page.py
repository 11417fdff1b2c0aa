"""docs/executors.md: its examples run, and its tables agree with the code."""

import asyncio
import json
import re
import shutil
from typing import Any

import pytest
from leasehold.claim.executors import BUILT_IN
from leasehold.claim.running.context import StepContext

from tests.kit.markdown import ROOT, blocks, table

from .scripted import Heard, Script, problem, said, served
from .test_client import STEP, VIEW

PAGE = (ROOT / "docs/executors.md").read_text()
PYTHON = [block.text for block in blocks(PAGE) if block.language == "python"]
(SHELL,) = [block.text for block in blocks(PAGE) if block.language == "sh"]


def executed(*texts: str) -> dict[str, Any]:
    """The names that these examples define, one after the other."""
    names: dict[str, Any] = {"__name__": "example"}
    for text in texts:
        exec(compile(text, "docs/executors.md", "exec"), names)
    return names


@pytest.mark.parametrize("name", re.findall(r"def (test_\w+)", PYTHON[1]))
def test_the_examples_own_tests_pass(name: str) -> None:
    executed(PYTHON[0], PYTHON[1])[name]()


def test_the_plain_function_of_the_example_adds_up() -> None:
    names = executed(PYTHON[0], PYTHON[1])
    assert names["run_step"](names["worker"], "sum", [1, 2, 3]).result == 6


async def test_the_script_starts_and_waits() -> None:
    started = said({"instance_id": "00-abc", "version": 1, "status": "running"}, 201)
    script = Script(started, said({**VIEW, "status": "succeeded", "outputs": {"text": "Hello, Ada"}}))
    greet_somebody = executed(PYTHON[2])["greet_somebody"]
    async with served(script) as url:
        assert await asyncio.to_thread(greet_somebody, url) == "succeeded: {'text': 'Hello, Ada'}"
    assert script.heard[0].headers["Idempotency-Key"] == "greet-ada"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example needs curl")
@pytest.mark.parametrize(
    ("payload", "action", "body"),
    [
        ({"name": "Ada"}, "_complete", {"result": {"text": "Hello, Ada"}}),
        (
            {"name": ""},
            "_fail",
            {"error": {"type": "greet.nobody", "message": "the payload has no name"}, "retryable": False},
        ),
    ],
)
async def test_the_shell_script_is_an_executor(payload: Any, action: str, body: Any) -> None:
    heard = await run_script({**STEP, "payload": payload})
    assert [request.path.rpartition("/")[2] for request in heard] == ["_claim", "_heartbeat", action]
    assert heard[0].query["capability"] == "greet"
    assert heard[1].body == {"progress": 50, "message": "looking for words"}
    assert (heard[2].path, heard[2].body) == (f"/_workflows/_steps/{STEP['step_id']}/{action}", body)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example needs curl")
async def test_the_shell_script_ends_when_nothing_came() -> None:
    assert len(await run_script(None)) == 1


async def run_script(step: dict[str, Any] | None) -> list[Heard]:
    def answer(heard: Heard) -> Any:
        if not heard.path.endswith("_claim"):
            return said({"step_id": STEP["step_id"], "status": "succeeded"})
        return said(json.loads(json.dumps(step))) if step else problem(204, "none")

    script = Script(answer)
    async with served(script) as url:
        environment = {"SERVER": url, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        child = await asyncio.create_subprocess_exec("sh", "-eu", "-c", SHELL, env=environment, stdout=-3)
        assert await child.wait() == 0
    return script.heard


def test_the_page_lists_the_built_in_executors() -> None:
    assert [cells[0].strip("`") for cells in table(PAGE, "capability")] == [
        "es-query",
        "es-index",
        "http",
        "render",
        "python",
    ]
    assert set(BUILT_IN) == {"es-query", "es-index", "http", "render", "python"}


def test_the_page_names_what_a_context_offers() -> None:
    offered = {name for name in vars(StepContext) if not name.startswith("_")} | {"step", "cancel_reason"}
    for_the_worker = {"news", "delivered", "not_taken", "used", "calls_made", "cancel"}
    named = {name for cells in table(PAGE, "name") for name in re.findall(r"`(\w+)", cells[0])} | {"payload"}
    assert named == offered - for_the_worker
