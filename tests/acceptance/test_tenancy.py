"""The page on tenancy does what it says: every command in a hurry, a raw edit, the fields and their defaults."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from leasehold.claim.wire.tenants import TenantView
from leasehold.core.app.commands.tenancy.fields import assignment
from leasehold.core.principal import Principal
from leasehold.definitions.source.documents import read_documents
from leasehold.tenancy.documents import json_schema, tenant_document, tenant_rules

from tests.acceptance.test_command_line import CommandLine
from tests.kit.answering import Answering, answering_replica
from tests.kit.curl import request_of
from tests.kit.markdown import ROOT, blocks, table

PAGE = (ROOT / "docs/tenancy.md").read_text()
HURRY = PAGE.partition("## In a hurry")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^ {4}leasehold (tenants .*)$", HURRY, re.MULTILINE)
OPERATOR = Principal("operator", "default", roles=("operator",))
EXAMPLE = next(block.text for block in blocks(PAGE) if block.language == "yaml")


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        yield answering


def example() -> Any:
    return read_documents(EXAMPLE)[1][0].root.value


def value_at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = (document or {}).get(key)
    return document


def elasticsearch(url: str, prefix: str, method: str, path: str, body: Any = None) -> Any:
    """What Elasticsearch answers to anybody."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/{prefix}-{path}", raw, headers, method=method)
    ) as answer:
        return json.load(answer)


async def until_obeyed(served: Answering, tenant: str, **fields: Any) -> TenantView:
    """What is in force, once it has these fields; fails after two seconds."""
    async with asyncio.timeout(2):
        while True:
            view = await served.replica.tenant(OPERATOR, tenant)
            assert view.in_force is not None
            if fields.items() <= view.in_force.items():
                return view
            await asyncio.sleep(0.01)


def test_the_example_on_the_page_is_valid() -> None:
    assert tenant_document(tenant_rules("acme", example()))["weight"] == 3.0


def test_the_page_has_every_field_with_its_default() -> None:
    rows = {
        cells[0].strip("`"): cells[1].strip("`") for cells in table(PAGE.partition("## The deployment's")[0], "field")
    }
    properties = json_schema()["properties"]
    defaults = {name: one.get("default", "none") for name, one in properties.items()}
    assert {name: json.dumps(one).strip('"').removesuffix(".0") for name, one in defaults.items()} == rows
    rows = {
        cells[0].strip("`"): cells[1].strip("`")
        for cells in table(PAGE.partition("## The deployment's")[2].partition("\n## ")[0], "field")
    }
    assert set(rows) == set(json_schema(deployment=True)["properties"])


async def test_every_command_in_a_hurry_does_what_it_says(
    served: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elasticsearch_url: str, index_prefix: str
) -> None:
    leasehold = CommandLine(served.url)
    (tmp_path / "acme.yaml").write_text(EXAMPLE)
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'priority_ceiling: 4' >> \"$1\"\n")
    editor.chmod(0o755)
    leasehold.environment["EDITOR"] = str(editor)
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        _, verb, *rest = words = shlex.split(command)
        output = await leasehold(*(str(tmp_path / word) if word == "acme.yaml" else word for word in words))
        if verb == "set" and "--file" in rest:
            assert (await served.replica.tenant(OPERATOR, "acme")).document == example()
        elif verb == "set":
            view = await served.replica.tenant(OPERATOR, rest[0])
            for field in rest[1:]:
                path, value = assignment(field)
                assert value_at(view.document, path) == value, command
            assert view.error is None
            if rest[0] != "*":
                await until_obeyed(
                    served, rest[0], **{key: one for key, one in (view.document or {}).items() if type(one) is int}
                )
        elif verb == "edit":
            assert (await served.replica.tenant(OPERATOR, "acme")).document == {**example(), "priority_ceiling": 4}
        elif verb in ("list", "show"):
            assert "max_running_steps" in output
    assert COMMANDS[-1] == "tenants delete acme"
    assert (await served.replica.tenant(OPERATOR, "acme")).document is None
    await until_obeyed(served, "acme", weight=0.5, max_running_steps=10)
    changes = await audited(
        elasticsearch_url, index_prefix, sum(" set " in one or " edit" in one or " delete" in one for one in COMMANDS)
    )
    assert {row["user"]["name"] for row in changes} == {"anonymous"}


async def audited(url: str, prefix: str, count: int) -> list[Any]:
    """The rows of changes, once there are so many. They are exactly so many."""
    query = {"query": {"terms": {"event.action": ["change_tenant", "remove_tenant"]}}, "size": 1_000}
    async with asyncio.timeout(30):
        while True:
            elasticsearch(url, prefix, "POST", "audit/_refresh")
            hits = elasticsearch(url, prefix, "POST", "audit/_search", query)["hits"]["hits"]
            if len(hits) >= count:
                assert len(hits) == count
                return [hit["_source"] for hit in hits]
            await asyncio.sleep(0.1)


async def test_a_raw_edit_is_obeyed_within_two_seconds_and_recorded(
    served: Answering, elasticsearch_url: str, index_prefix: str
) -> None:
    shown = next(block.text for block in blocks(PAGE) if block.language == "sh")
    (line,) = shown.strip().splitlines()
    line = line.replace("http://localhost:9200/workflow-", f"{elasticsearch_url}/{index_prefix}-")
    await asyncio.to_thread(lambda: urllib.request.urlopen(request_of(shlex.split(line)[1:])).close())
    await until_obeyed(served, "acme", weight=2.0, max_running_steps=20)
    await audited(elasticsearch_url, index_prefix, 1)
    elasticsearch(elasticsearch_url, index_prefix, "POST", "tenants/_update/acme", {"doc": {"weight": 4}})
    await until_obeyed(served, "acme", weight=4.0, max_running_steps=20)
    await audited(elasticsearch_url, index_prefix, 2)
    elasticsearch(elasticsearch_url, index_prefix, "POST", "tenants/_update/acme", {"doc": {"weight": 0}})
    view = await until_obeyed(served, "acme", weight=4.0)
    assert view.error == "weight: found 0; allowed: more than 0"
    await audited(elasticsearch_url, index_prefix, 3)
    elasticsearch(elasticsearch_url, index_prefix, "DELETE", "tenants/_doc/acme")
    await until_obeyed(served, "acme", weight=1.0)

    rows = sorted(await audited(elasticsearch_url, index_prefix, 4), key=lambda row: row["@timestamp"])
    assert [row["details"]["new"] for row in rows] == [
        {"weight": 2, "max_running_steps": 20},
        {"weight": 4, "max_running_steps": 20},
        {"weight": 0, "max_running_steps": 20},
        None,
    ]
    assert [row["details"]["old"] for row in rows[1:]] == [row["details"]["new"] for row in rows[:-1]]
    assert {row["user"]["name"] for row in rows} == {"(outside the API)"}
    assert [row["event"]["outcome"] for row in rows] == ["success", "success", "failure", "success"]


async def test_the_command_line_says_what_is_wrong_and_who_was_faster(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    refused = await leasehold("tenants", "set", "acme", "max_runing_steps=3", code=1)
    assert "did you mean `max_running_steps`?" in refused
    assert "write path=value" in await leasehold("tenants", "set", "acme", "weight", code=1)
    await leasehold("tenants", "set", "acme", "weight=3", "--revision", "none")
    refused = await leasehold("tenants", "set", "acme", "weight=4", "--revision", "none", code=1)
    assert "stands at revision" in refused
    refused = await leasehold("tenants", "set", "acme", "weight=4", "--roles", "", "--tenant", "acme", code=1)
    assert "needs the role operator" in refused
    assert "no tenant named" in await leasehold("tenants", "show", "acme", "--roles", "", "--tenant", "beta", code=1)
    assert "weight: 3" in await leasehold("tenants", "show", "acme", "--roles", "", "--tenant", "acme")
    assert "no tenant named" in await leasehold("tenants", "usage", "--roles", "", "--tenant", "beta", code=1)
    leasehold.environment["EDITOR"] = "sed -i s/3/0/"
    refused = await leasehold("tenants", "edit", "acme", code=1)
    assert "allowed: more than 0" in refused
    kept = Path(refused.rsplit("what you wrote is in ", 1)[1].strip())
    assert kept.read_text() == "weight: 0\n"
    kept.unlink()


async def test_who_gets_a_document_of_its_own_is_said_to_lose_the_defaults(served: Answering) -> None:
    leasehold = CommandLine(served.url)
    assert "no longer hold" not in await leasehold("tenants", "set", "*", "defaults.max_running_steps=7")
    await until_obeyed(served, "acme", max_running_steps=7)
    told = await leasehold("tenants", "set", "acme", "paused=true")
    assert "defaults (weight=1.0 priority_ceiling=0 paused=false max_running_steps=7) no longer hold for it" in told
    assert "no longer hold" not in await leasehold("tenants", "set", "acme", "paused=")
    await leasehold("tenants", "set", "*", "unknown_tenants=refuse", "defaults=")
    await until_obeyed(served, "beta", refused=True, weight=1.0)
    assert "no longer hold" not in await leasehold("tenants", "set", "beta", "weight=1")
