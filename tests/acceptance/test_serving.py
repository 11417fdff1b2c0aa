"""A replica's process from outside: how it comes up, how it refuses to, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.kit.served import Served, free_port

pytestmark = pytest.mark.elasticsearch

DEFINITION = "{name: one-step, version: 1, steps: [{name: only, executor: served-work}]}"


async def serve_once(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a `leasehold serve` that is to fail at once."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leasehold.core.app.script", "serve", *arguments, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, errors.decode()


async def test_a_stop_answers_waiting_claims_with_204_and_ends_with_code_0(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    served = Served(elasticsearch_url, index_prefix, tmp_path / "serve.log")
    await served.start()
    async with aiohttp.ClientSession(served.url) as session:
        claim = asyncio.create_task(session.post("/_workflows/_steps/_claim?capability=nobody&wait=60s"))
        while "leasehold_http_claims_waiting 1.0" not in await (await session.get("/metrics")).text():
            pass
        assert await served.stop() == 0
        async with await claim as answer:
            assert answer.status == 204


async def test_what_was_acknowledged_is_there_after_a_stop_and_a_start(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    served = Served(elasticsearch_url, index_prefix, tmp_path / "serve.log")
    async with aiohttp.ClientSession(served.url) as session:
        async with served:
            yaml = {"Content-Type": "application/yaml"}
            async with session.put("/_workflows/one-step", data=DEFINITION, headers=yaml) as answer:
                assert answer.status == 201, await answer.text()
            async with session.post("/_workflows/one-step/_start") as answer:
                assert answer.status == 201, await answer.text()
                instance = (await answer.json())["instance_id"]
        async with served:
            async with session.get(f"/_workflows/_instances/{instance}") as answer:
                assert (await answer.json())["status"] == "running"
            async with session.post("/_workflows/_steps/_claim?capability=served-work&wait=10s") as answer:
                assert (await answer.json())["workflow_id"] == instance


async def test_no_elasticsearch_is_one_sentence_with_the_way_out() -> None:
    code, errors = await serve_once("--elasticsearch", f"http://127.0.0.1:{free_port()}", "--port", "0")
    assert code == 1
    assert errors.startswith("leasehold: Elasticsearch at http://127.0.0.1:")
    assert "LEASEHOLD_ES_URL" in errors
    assert errors.count("\n") == 1


async def test_an_elasticsearch_that_is_none_is_one_sentence() -> None:
    async def answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        writer.close()

    async with await asyncio.start_server(answer_nonsense, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        code, errors = await serve_once("--elasticsearch", f"http://127.0.0.1:{port}", "--port", "0")
    assert code == 1
    assert errors.startswith("leasehold: ")
    assert "Traceback" not in errors


async def test_a_port_in_use_is_one_sentence_and_touches_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, errors = await serve_once("--port", str(taken.getsockname()[1]), "--elasticsearch", "http://127.0.0.1:1")
    assert code == 1
    assert "is in use" in errors
    assert errors.count("\n") == 1
