"""History ages on a real server: policies over HTTP and by command, a roll-over, a deletion, and what `status` says."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from leasehold.claim.wire import CompleteBody, StartBody
from leasehold.claim.wire.lifecycle import LifecycleView
from leasehold.core.es import ElasticsearchStore, connect
from leasehold.core.principal import Principal
from leasehold.core.settings import StoreSettings
from leasehold.definitions.source.documents import read_documents
from leasehold.ilm import IndexNames
from leasehold.ilm.lifecycle import Ager
from leasehold.ilm.policies import (
    ACTIONS,
    ALLOWED,
    FAMILIES,
    PHASES,
    default_policy,
    max_age_ms,
    min_age_ms,
    parse,
    rollover_conditions,
    time_text,
)

from tests.acceptance.test_command_line import CommandLine
from tests.kit.answering import Answering, answering_replica, json_request, request, send_raw
from tests.kit.markdown import ROOT, blocks, table
from tests.kit.schedulers import until_ready

PAGE = (ROOT / "docs/lifecycle.md").read_text()
HURRY = PAGE.partition("## In a hurry")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^ {4}leasehold (ilm .*)$", HURRY, re.MULTILINE)
DAY_MS = 86_400_000
SOMEBODY = Principal("somebody", "default")
DEFINITION = b"name: one\nversion: 1\nsteps:\n  - {name: only, executor: work}\n"
ROLLS_SOON = """\
# Rolls over after two rows.
phases:
  hot:
    actions:
      rollover: {max_docs: 2}
  delete:
    min_age: 30d
    actions: {delete: {}}
"""
AUDIT = "phases: {hot: {actions: {rollover: {max_age: 7d}}}, delete: {min_age: %s, actions: {delete: {}}}}\n"


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        await until_ready(answering.replica)
        yield answering


@pytest.fixture
async def store(elasticsearch_url: str) -> AsyncIterator[ElasticsearchStore]:
    async with connect(StoreSettings(urls=(elasticsearch_url,))) as connected:
        yield connected


async def run_instances(served: Answering, count: int) -> None:
    for _ in range(count):
        await served.replica.start(SOMEBODY, "one", StartBody(), idempotency_key=None, traceparent=None)
        (step,) = await served.replica.claim(
            SOMEBODY, ("work",), max_steps=1, lease_ms=30_000, wait_ms=20_000, worker="w", request_id=None
        )
        await served.replica.complete(SOMEBODY, step.step_id, CompleteBody(1))


async def ids_behind(store: ElasticsearchStore, alias: str, count: int) -> list[tuple[str, str]]:
    """Index and id of every row, once there are so many."""
    async with asyncio.timeout(30):
        while True:
            await store.refresh(alias)
            page = await store.search(alias, {"size": 100, "_source": False})
            if len(page.hits) >= count:
                return sorted((hit.index, hit.id) for hit in page.hits)
            await asyncio.sleep(0.1)


async def indices_behind(store: ElasticsearchStore, alias: str) -> list[str]:
    _, found = await store.request("GET", f"/_alias/{alias}")
    return sorted(found)


async def until_indices(store: ElasticsearchStore, alias: str, count: int) -> list[str]:
    async with asyncio.timeout(30):
        while len(found := await indices_behind(store, alias)) != count:
            await asyncio.sleep(0.1)
    return found


async def test_a_policy_from_its_file_to_an_index_that_is_gone(
    served: Answering, store: ElasticsearchStore, index_prefix: str, tmp_path: Path
) -> None:
    leasehold, names = CommandLine(served.url), IndexNames(index_prefix)
    first, second = names.first(names.steps), f"{names.steps}-000002"
    (tmp_path / "steps.yaml").write_text(ROLLS_SOON)
    await served.replica.put_definition(SOMEBODY, "one", DEFINITION)
    await run_instances(served, 2)
    await ids_behind(store, names.steps, 2)

    different = await output(leasehold, "ilm", "diff", "steps", str(tmp_path / "steps.yaml"), code=1)
    assert "phases.hot.actions.rollover.max_docs: absent -> 2" in different
    assert "records of steps stay deleted 30d after roll-over" in different
    applied = await leasehold("ilm", "apply", "steps", str(tmp_path / "steps.yaml"))
    assert applied.endswith("revision 1 of steps is in force; records are deleted 30d after roll-over\n")
    assert "phases.hot.actions.rollover.max_docs: absent -> 2" in applied
    assert await until_indices(store, names.steps, 2) == [first, second]
    same = await leasehold("ilm", "diff", "steps", str(tmp_path / "steps.yaml"))
    assert same.endswith("says the same as the policy of steps in force\n")
    assert (await leasehold("ilm", "apply", "steps", str(tmp_path / "steps.yaml"))).startswith("nothing changed")
    shown = await leasehold("ilm", "show", "steps")
    assert shown.startswith("# steps: revision 1, changed ")
    (tmp_path / "shown.yaml").write_text(shown)
    await leasehold("ilm", "diff", "steps", str(tmp_path / "shown.yaml"))

    rows: list[tuple[str, str]] = []
    async with asyncio.timeout(60):
        # A replica goes on writing to the rolled index for some seconds.
        while second not in {index for index, _ in rows}:
            await run_instances(served, 1)
            rows = await ids_behind(store, names.steps, len(rows) + 1 if rows else 3)
    assert len({id for _, id in rows}) == len(rows)

    status = await leasehold("ilm", "status")
    (line,) = (one for one in status.splitlines() if first in one)
    assert "hot" in line
    assert "delete in 29d 23h" in line
    (line,) = (one for one in status.splitlines() if second in one)
    assert "written to" in line
    assert "roll-over, then delete" in line
    assert "ager" in status
    assert "tested on real servers" in status
    assert "last pass" in status

    policies = {"steps": parse("steps", json.loads(await leasehold("ilm", "show", "steps", "--json"))["policy"])}
    done = await Ager(store.request, names).pass_once(policies, served.replica.now_ms() + 31 * DAY_MS)
    assert (first, "delete", None) in [(one.index, one.action, one.error) for one in done]
    assert first not in await leasehold("ilm", "status")
    assert {index for index, _ in await ids_behind(store, names.steps, 1)} <= {second, f"{names.steps}-000003"}
    assert served.unexpected_errors == 0


async def test_the_audit_is_never_kept_less_long_without_a_yes(
    served: Answering, store: ElasticsearchStore, index_prefix: str, tmp_path: Path
) -> None:
    leasehold = CommandLine(served.url)
    shorter, longer = tmp_path / "shorter.yaml", tmp_path / "longer.yaml"
    shorter.write_text(AUDIT % "90d")
    longer.write_text(AUDIT % "3000d")
    sentence = "records of audit would be deleted 90d after their index rolls, and not 400d after it as until now"
    assert sentence in await output(leasehold, "ilm", "diff", "audit", str(shorter), code=1)
    refused = await leasehold("ilm", "apply", "audit", str(shorter), code=1)
    assert refused.startswith(f"leasehold: {sentence}; say so with yes=true")
    assert refused.count("\n") == 1
    assert "(`--yes` on the command line)" in refused
    path = "/_workflows/_ilm/audit"
    answer = await send_raw(
        served.port, request("PUT", path, "Content-Type: application/yaml", body=shorter.read_bytes())
    )
    assert answer.problem.status == 409
    assert sentence in answer.problem.detail
    await leasehold("ilm", "apply", "audit", str(longer))
    assert "not 3000d after it" in await leasehold("ilm", "reset", "audit", code=1)
    await leasehold("ilm", "apply", "audit", str(shorter), "--yes", "--revision", "1")
    await leasehold("ilm", "reset", "audit")
    rows = await audited(store, index_prefix, 3)
    assert [deleted_after(row) for row in rows] == [("400d", "3000d"), ("3000d", "90d"), ("90d", "400d")]
    assert [row["event"]["action"] for row in rows] == ["change_policy", "change_policy", "reset_policy"]
    assert {(row["user"]["name"], row["source"]["ip"]) for row in rows} == {("anonymous", "127.0.0.1")}


async def test_http_says_what_is_wrong_and_where(served: Answering) -> None:
    path = "/_workflows/_ilm/steps"
    wrong = {"phases": {"hot": {"actions": {"rollover": {"max_docs": 0}}}, "warm": {"min_age": "soon"}}}
    answer = await send_raw(served.port, json_request("PUT", path, wrong))
    assert answer.problem.status == 422
    found = {one.path for one in answer.problem.violations}
    assert found >= {"phases.hot.actions.rollover.max_docs", "phases.warm.min_age"}
    assert all(one.message and one.line for one in answer.problem.violations)
    answer = await send_raw(served.port, json_request("PUT", path, {"policy": {"phases": {"hot": {"actions": {}}}}}))
    assert [one.path for one in answer.problem.violations] == ["policy.phases.hot.actions"]
    answer = await send_raw(served.port, request("PUT", path))
    assert answer.problem.status == 400
    answer = await send_raw(served.port, request("GET", "/_workflows/_ilm/lanes"))
    assert "allowed: steps or instances or events or audit" in answer.problem.detail
    for method in ("GET", "PUT", "DELETE"):
        body = ROLLS_SOON.encode() if method == "PUT" else b""
        headers = ["X-Leasehold-Roles: ", *(["Content-Type: application/yaml"] if body else [])]
        answer = await send_raw(served.port, request(method, path, *headers, body=body))
        assert answer.problem.status == 403
    answer = await send_raw(served.port, request("GET", path))
    view = json.loads(answer.body)
    assert view == {
        "family": "steps",
        "source": "default",
        "policy": default_policy("steps").document(),
        "revision": 0,
        "retention_ms": 30 * DAY_MS,
        "updated_by": None,
        "updated_at_ms": None,
        "error": None,
    }
    answer = await send_raw(served.port, json_request("PUT", f"{path}?revision=4", view["policy"]))
    assert answer.problem.status == 409
    assert "stands at revision 0, not 4" in answer.problem.detail


async def test_what_is_wrong_comes_first(served: Answering, store: ElasticsearchStore, index_prefix: str) -> None:
    leasehold, names = CommandLine(served.url), IndexNames(index_prefix)
    async with asyncio.timeout(30):
        while (await served.replica.lifecycle()).last_pass is None:
            await asyncio.sleep(0.1)
    assert not (await leasehold("ilm", "status")).startswith("!")
    index = names.first(names.events)
    await store.request("PUT", f"/{index}/_settings", {"index.blocks.read_only": True})
    try:
        first, *_ = (await leasehold("ilm", "status")).splitlines()
        assert first.startswith(f"! {index} has ")
        assert "index.blocks.read_only" in first
        view = json.loads(await leasehold("ilm", "status", "--json"))
        assert [one["index"] for one in view["indices"] if one["error"]] == [index]
        assert set(view) == set(LifecycleView.__struct_fields__)
    finally:
        await store.request("PUT", f"/{index}/_settings", {"index.blocks.read_only": None})


async def test_files_that_hold_no_policy_end_in_a_sentence(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    broken = tmp_path / "broken.yaml"
    broken.write_text("phases: {hot: {actions: {}}, tepid: {}}\n")
    for command, code in (("diff", 2), ("apply", 1)):
        told = await leasehold("ilm", command, "steps", str(broken), code=code)
        assert "`rollover` is missing" in told
        assert "phases.tepid" in told
        assert "No such file" in await leasehold("ilm", command, "steps", str(tmp_path / "none.yaml"), code=code)
    assert "allowed: steps or instances or events or audit" in await leasehold("ilm", "show", "lanes", code=1)


async def test_every_command_in_a_hurry_does_what_it_says(served: Answering, tmp_path: Path) -> None:
    leasehold = CommandLine(served.url)
    earlier = (await leasehold("ilm", "show", "steps")).replace("min_age: 30d", "min_age: 20d")
    (tmp_path / "steps.yaml").write_text(earlier)
    (tmp_path / "audit.yaml").write_text(AUDIT % "100d")
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        words = [str(tmp_path / word) if word.endswith(".yaml") else word for word in shlex.split(command)]
        if words[1] == "diff":
            assert "would be deleted" in await output(leasehold, *words, code=1)
        else:
            await leasehold(*words)
        if words[1] == "apply":
            days = {"steps": 20, "audit": 100}[words[2]]
            assert (await served.replica.policy(words[2])).retention_ms == days * DAY_MS
        elif words[1] == "reset":
            assert (await served.replica.policy(words[2])).source == "default"


def test_the_page_has_the_defaults() -> None:
    rows = {
        cells[0].strip("`"): tuple(cells[1:])
        for cells in table(PAGE.partition("## Defaults")[2].partition("\n## ")[0], "family")
    }
    assert rows == {
        family: (
            time_text(max_age_ms(policy) or 0),
            *(time_text(min_age_ms(policy, phase) or 0) for phase in ("warm", "cold", "delete")),
        )
        for family, policy in ((family, default_policy(family)) for family in FAMILIES)
    }
    for policy in map(default_policy, FAMILIES):
        conditions = rollover_conditions(policy)
        assert (conditions["max_primary_shard_size"], conditions["max_primary_shard_docs"]) == ("50gb", 200_000_000)


def test_the_policies_on_the_page_are_valid_and_every_action_is_there() -> None:
    examples = [block.text for block in blocks(PAGE) if block.language == "yaml"]
    assert len(examples) == 2
    for text in examples:
        (document,) = read_documents(text)[1]
        parse("steps", document.root.value)
    rows = {
        name.strip("` "): {phase.strip("` ") for phase in cells[1].split(",") if phase}
        for cells in table(PAGE.partition("## The document")[2], "action")
        for name in cells[0].split(",")
    }
    allowed = {action: {phase for phase in PHASES if action in ALLOWED[phase]} for action in ACTIONS}
    nothing = {"unfollow", "freeze"}
    assert set(rows) == set(allowed)
    assert {name: phases for name, phases in rows.items() if name not in nothing} == {
        name: phases for name, phases in allowed.items() if name not in nothing
    }


async def output(leasehold: CommandLine, *arguments: str, code: int) -> str:
    """Standard output of a command that ends with another code than 0."""

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "leasehold.core.app.script", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=leasehold.environment, timeout=60, check=False
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == code, done.stderr
    return done.stdout


async def audited(store: ElasticsearchStore, prefix: str, count: int) -> list[Any]:
    """The rows of changes of policies, in order, once there are so many."""
    query = {
        "query": {"terms": {"event.action": ["change_policy", "reset_policy"]}},
        "sort": [{"@timestamp": "asc"}],
        "size": 100,
    }
    async with asyncio.timeout(30):
        while True:
            await store.refresh(f"{prefix}-audit")
            page = await store.search(f"{prefix}-audit", query)
            if len(page.hits) >= count:
                return [json.loads(hit.source) for hit in page.hits]
            await asyncio.sleep(0.1)


def deleted_after(row: Any) -> tuple[str, str]:
    old, new = (row["details"][side]["phases"]["delete"]["min_age"] for side in ("old", "new"))
    return old, new
