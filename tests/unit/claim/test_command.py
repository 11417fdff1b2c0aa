"""`leasehold worker`: how it begins, what it says, how it ends."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from leasehold.claim.command import app
from leasehold.claim.logs import ConsoleLines, JsonLines
from typer.testing import CliRunner

from .scripted import Script, said, served
from .test_client import STEP

COMMAND = [sys.executable, "-m", "leasehold.claim.command"]


def clean(**variables: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}, **variables}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no capability is given; write --capability with some of es-query, es-index, http, render, python"),
        (["--capability", "es-quary"], "there is no built-in executor for 'es-quary'; built in: es-query"),
        (["--capability", "python"], "needs the functions that it may call: --python module:function"),
        (["--capability", "python", "--python", "math:nothing"], "has no attribute 'nothing'"),
        (["--capability", "http", "--server", "nowhere"], "write http://host:port"),
        (["--capability", "http", "--lease", "soon"], "write a whole number and a unit"),
        (["--capability", "es-query", "--elasticsearch", "nowhere"], "write http(s)://host:port"),
    ],
)
def test_what_can_not_work_is_one_sentence_and_exit_code_1(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("LEASEHOLD_")]:
        monkeypatch.delenv(name)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.startswith("leasehold: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--concurrency", "0"], ["--log-format", "xml"], ["--bogus"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["--capability", "http", *arguments]).exit_code == 2


def test_a_missing_typer_is_a_sentence_that_names_the_extra() -> None:
    code = "import sys; sys.modules['typer'] = None; import leasehold.claim.command"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert "the command line needs typer; run pip install 'leasehold[executors]'" in answer.stderr


def test_a_missing_jinja2_is_a_sentence_that_names_the_extra() -> None:
    code = """
import sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "jinja2" else find(name, *rest)
from leasehold.claim.command import app
sys.argv = ["worker", "--capability", "render"]
app()
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert answer.stderr == "leasehold: the executor render needs jinja2; run pip install 'leasehold[executors]'\n"


async def test_a_worker_process_executes_steps_and_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    reported = asyncio.Event()
    process: list[asyncio.subprocess.Process] = []

    async def claims_wait(heard: Any) -> Any:
        await reported.wait()
        return said({"steps": []})

    def acknowledge(heard: Any) -> Any:
        (report,) = heard.body["reports"]
        results.append(report)
        process[0].send_signal(signal.SIGTERM)
        reported.set()
        return said({"results": [{"step_id": report["step_id"], "code": 200, "status": "succeeded"}]})

    results: list[Any] = []
    payload = {"template": "Hello {{ n }}", "values": {"n": 7}}
    step = {**STEP, "capability": "render", "payload": payload}
    script = Script(said({"steps": [step]}), claims_wait)

    class Routed(Script):
        async def answer(self, heard: Any) -> Any:
            self.heard.append(heard)
            return acknowledge(heard) if heard.path.endswith("_bulk") else await script.answer(heard)

    routed = Routed(said({}))
    async with served(routed) as url:
        variables = clean(LEASEHOLD_SERVER=url, LEASEHOLD_LOG_FORMAT="json", LEASEHOLD_WORKER_TOKEN="secret")
        arguments = [
            "--log-level",
            "debug",
            "--capability",
            "render,http",
            "--capability",
            "render",
            "--name",
            "worker-7",
        ]
        child = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, env=variables, stderr=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        process.append(child)
        _, stderr = await child.communicate()
    assert child.returncode == 0, stderr
    assert results[0]["complete"] == {"result": {"text": "Hello 7"}}
    claim = script.heard[0]
    assert (claim.query["capability"], claim.query["worker"]) == ("render,http", "worker-7")
    assert claim.headers["Authorization"] == "Bearer secret"
    lines = [json.loads(line) for line in stderr.decode().splitlines()]
    assert (lines[0]["event"], lines[0]["worker"]) == ("claiming", "worker-7")
    assert (lines[-1]["event"], lines[-1]["step_id"]) == ("step completed", STEP["step_id"])
    assert "secret" not in stderr.decode()


def logged(formatter: logging.Formatter) -> str:
    output = StringIO()
    logger = logging.Logger("test")
    to_output = logging.StreamHandler(output)
    to_output.setFormatter(formatter)
    logger.addHandler(to_output)
    try:
        raise ValueError("no such host")
    except ValueError:
        logger.exception("step %s", "failed", extra={"step_id": "a~1", "odd": object})
    return output.getvalue()


def test_a_log_line_in_json_holds_its_fields_and_the_traceback() -> None:
    line = json.loads(logged(JsonLines()))
    assert (line["event"], line["level"], line["step_id"]) == ("step failed", "error", "a~1")
    assert line["timestamp"].endswith("Z")
    assert "ValueError: no such host" in line["exception"]


def test_a_log_line_for_the_console_is_text() -> None:
    first, *rest = logged(ConsoleLines()).splitlines()
    assert "[error  ] step failed step_id=a~1" in first
    assert rest[-1] == "ValueError: no such host"
