"""`leasehold audit` on a real server: what people see, what is exported, and that tampering shows."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_command_line import CommandLine
from tests.kit.answering import Answering, answering_replica

DEFINITION = "name: one\nversion: 1\nsteps:\n  - {name: only, executor: work}\n"


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        yield answering


def elasticsearch(url: str, method: str, path: str, body: Any = None) -> Any:
    """What Elasticsearch answers to anybody."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/{path}", raw, headers, method=method)) as answer:
        return json.load(answer)


async def run(leasehold: CommandLine, *arguments: str) -> tuple[int | None, str]:
    """A command's exit code, and its standard output."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leasehold.core.app.script", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=leasehold.environment,
    )  # fmt: skip
    output, _ = await child.communicate()
    return child.returncode, output.decode()


async def until_listed(leasehold: CommandLine, *actions: str) -> list[dict[str, Any]]:
    """The rows, once there are rows of all these actions; they are to be seen within a minute."""
    async with asyncio.timeout(60):
        while True:
            rows: list[dict[str, Any]] = json.loads(await leasehold("audit", "list", "--json"))["rows"]
            if set(actions) <= {row["action"] for row in rows}:
                return rows
            await asyncio.sleep(0.5)


async def test_who_did_what_is_listed_exported_and_verified_and_a_row_that_is_removed_shows(
    served: Answering, elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    leasehold = CommandLine(served.url)
    path = tmp_path / "one.yaml"
    path.write_text(DEFINITION, encoding="utf-8")
    await leasehold("workflows", "put", str(path))
    instance = (await leasehold("instances", "start", "one")).strip()
    await leasehold("instances", "cancel", instance, "--reason", "no more")

    rows = await until_listed(leasehold, "store_version", "activate", "start", "cancel")
    (cancelled,) = [row for row in rows if row["action"] == "cancel"]
    assert (cancelled["user"], cancelled["address"], cancelled["reason"]) == ("anonymous", "127.0.0.1", "no more")
    assert cancelled["instances"] == [instance]
    assert cancelled["details"]["before"] == {"status": "running"}
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert "cancel" in await leasehold("audit", "list", "--instance", instance)
    assert json.loads(await leasehold("audit", "list", "--user", "nobody", "--json")) == {"rows": []}
    assert json.loads(await leasehold("audit", "list", "--tenant", "globex", "--json")) == {"rows": []}

    told = await leasehold("audit", "verify")
    assert "rows of 1 chains were checked, up to " in told
    assert "nothing is missing, changed or added" in told
    for name in ("trail.ndjson", "trail.ndjson.gz"):
        assert f"rows are in {tmp_path / name}" in await leasehold("audit", "export", str(tmp_path / name))
        assert "nothing is missing" in await leasehold("audit", "verify", str(tmp_path / name))

    index = f"{index_prefix}-audit-000001"
    await asyncio.to_thread(elasticsearch, elasticsearch_url, "DELETE", f"{index}/_doc/{cancelled['id']}?refresh=true")
    code, output = await run(leasehold, "audit", "verify", "--json")
    assert code == 1
    (finding,) = json.loads(output)["findings"]
    assert "is missing" in finding["text"]
    assert finding["index"] == index
    assert "nothing is missing" in await leasehold("audit", "verify", str(tmp_path / "trail.ndjson"))


async def test_an_export_is_for_operators_of_all_tenants(served: Answering) -> None:
    leasehold = CommandLine(served.url)
    assert "needs the role operator" in await leasehold("audit", "export", "--roles", "", code=1)
    assert "needs tenant *" in await leasehold("audit", "export", "--tenant", "acme", code=1)
    assert "no token" in await leasehold_error(served, "next=bm9uZQ")


async def leasehold_error(served: Answering, query: str) -> str:
    def ask() -> str:
        headers = {"X-Leasehold-Tenant": "*", "X-Leasehold-Space": "*", "X-Leasehold-Roles": "operator"}
        request = urllib.request.Request(f"{served.url}/_workflows/_audit/_export?{query}", headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()

    return await asyncio.to_thread(ask)


async def test_broken_files_are_told_apart_from_a_broken_trail(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    path = tmp_path / "trail.ndjson"
    path.write_text("{}\n")
    assert "is no export" in await leasehold("audit", "verify", str(path), code=1)
