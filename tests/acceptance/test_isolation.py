"""Tenants, spaces and roles on a running server and a real Elasticsearch, from the command line and over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.served import Served

from .test_command_line import CommandLine

pytestmark = pytest.mark.elasticsearch

DEFINITION = "name: asked\nversion: 1\nsteps:\n  - {name: act, executor: work, requires_approval: true}\n"
HIDDEN = [
    ("GET", ""), ("GET", "/_explain"), ("GET", "/_calls"), ("GET", "/_recording"), ("GET", "/_replay"),
    ("POST", "/_approve"), ("POST", "/_pause"), ("POST", "/_cancel"), ("POST", "/_retry"), ("POST", "/_signal/x"),
]  # fmt: skip


async def test_others_find_nothing_and_the_owner_finds_who_asked(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "asked.yaml"
    path.write_text(DEFINITION, encoding="utf-8")
    served = Served(elasticsearch_url, index_prefix, tmp_path / "log", LEASEHOLD_LANES_LANES="1")
    async with served:
        leasehold = CommandLine(served.url)
        mine = ("--tenant", "acme", "--space", "soc")
        await leasehold("workflows", "put", str(path), *mine)
        id = (await leasehold("instances", "start", "asked", *mine)).strip()
        for stranger in (("--tenant", "globex"), ("--tenant", "acme"), ("--tenant", "acme", "--space", "SOC")):
            told = await leasehold("instances", "show", id, *stranger, code=1)
            assert told.endswith(f"no instance named '{id}'\n")
        absent = f"{id[:-4]}0000"
        for method, operation in HIDDEN:
            answers = [
                await _answer(served.url, method, f"/_workflows/_instances/{one}{operation}", "globex")
                for one in (id, absent)
            ]
            assert answers[0][0] == 404
            assert answers[0][1].replace(id, absent) == answers[1][1]
        assert id in await leasehold("instances", "show", id, *mine)
        assert "needs the role operator" in await leasehold("lanes", "add", "--roles", "", code=1)
        assert len(json.loads(await leasehold("lanes", "list", "--json"))["lanes"]) == 1
        assert await served.stop() == 0
    rows = await _rows(elasticsearch_url, f"{index_prefix}-audit")
    assert sum(row["details"]["count"] for row in rows) == 3 + len(HIDDEN) + 1
    assert {(row["tenant"], row["space"]) for row in rows} == {("acme", "soc"), ("default", "default")}
    assert {row["source"]["ip"] for row in rows} == {"127.0.0.1"}
    assert {row["event"]["action"] for row in rows if row["user"]["tenant"] == "globex"} == {
        "get_instance", "explain", "get_calls", "get_recording", "replay", "approve", "pause", "cancel", "retry",
        "signal",
    }  # fmt: skip
    found = await _rows(elasticsearch_url, f"{index_prefix}-audit", {"user.tenant": "globex", "workflow.id": id})
    assert len(found) == len(HIDDEN)


async def _answer(url: str, method: str, path: str, tenant: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(url, headers={"X-Leasehold-Tenant": tenant}) as session,
        session.request(method, path) as answer,
    ):
        return answer.status, await answer.text()


async def _rows(url: str, index: str, terms: dict[str, str] | None = None) -> list[dict[str, Any]]:
    filters = [{"term": {field: value}} for field, value in ({"event.outcome": "failure"} | (terms or {})).items()]
    async with aiohttp.ClientSession(url) as session:
        async with session.post(f"/{index}/_refresh") as refreshed:
            assert refreshed.status == 200
        body = {"query": {"bool": {"filter": filters}}, "size": 100}
        async with session.post(f"/{index}/_search", json=body) as answer:
            return [hit["_source"] for hit in (await answer.json())["hits"]["hits"]]
