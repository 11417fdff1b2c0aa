"""A tenant sends ten thousand different keys, wherever it may: no field is added, and the words are found all the same.

On a real server through HTTP: what maps a field there is the server. The model of Elasticsearch maps nothing of itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.served import Caller, Served, calling

pytestmark = pytest.mark.elasticsearch

DEFINITION = """
name: hostile
version: 1
steps:
  - {name: take, executor: hostile-work, input: "{{ inputs }}", compensate: {executor: hostile-work}}
  - {name: go-on, wait_for_signal: go}
  - {name: keep, set: {all: "{{ steps.go-on.result }}"}}
  - name: ask
    executor: hostile-work
    requires_approval: true
    approval: {form: {why: {type: string}, anything: {type: object}}}
    input: "{{ vars.all }}"
    on_failure: continue
  - {name: remembered, remember: {last: "{{ steps.take.result }}"}}
memory: {key: "{{ inputs.who }}"}
outputs: {taken: "{{ steps.take.result }}"}
"""
INSTANCES = 10
KEYS = 250
"""New keys in each of the seven payloads of an instance: 17,500 in all."""

NESTED_LEVELS = 99

WILD = {
    "a.b.c": "dottedword",
    "": "emptyword",
    "_id": "idword",
    "_source": {"_id": "sourceword"},
    "@timestamp": "yesterdayword",
    "workflow": {"id": "notanidword", "name": 1},
    "step": ["notanobjectword"],
    ".": "dotword",
    "a..b": "twodotsword",
    " ": "blankword",
    "Zoë ключ 鍵": "Grüße früher 日本語 словокончается",
    "lines": "one\nsecondline\tafterthetab\r\nlastline",
    "x" * 1_000: "longkeyword",
    "long": "word " * 5_000 + "tailword",
    "number": 1e308,
    "big": 2**60,
    "nothing": None,
}
WORDS = (
    *("dottedword", "emptyword", "idword", "sourceword", "yesterdayword", "notanidword", "notanobjectword", "dotword"),
    *("twodotsword", "blankword", "grüße", "словокончается", "ключ", "secondline", "afterthetab", "lastline"),
    *("longkeyword", "tailword", "deepestword"),
)


def nested(levels: int) -> Any:
    value: Any = "deepestword"
    for level in range(levels):
        value = {f"level{level}": value}
    return value


def keys(number: int, place: str) -> dict[str, Any]:
    """Keys that nobody else has, with values whose types fit nobody else's."""
    values: tuple[Any, ...] = (1, "text", True, 1.5, {"inner": [1]}, ["2026-01-01"], None, {f"k{number}{place}": {}})
    return {f"{place}-{number}-{key}": values[(number + key) % len(values)] for key in range(KEYS)}


@pytest.fixture
async def caller(elasticsearch_url: str, index_prefix: str, tmp_path: Path) -> AsyncIterator[Caller]:
    async with Served(elasticsearch_url, index_prefix, tmp_path / "serve.log") as served, calling(served.url) as caller:
        await caller.put_definition("hostile", DEFINITION)
        yield caller


class Indices:
    """What Elasticsearch says of the indices of the deployment."""

    def __init__(self, session: aiohttp.ClientSession, url: str, prefix: str) -> None:
        self._session = session
        self._base = f"{url}/{prefix}"

    async def ask(self, path: str, body: Any = None) -> Any:
        async with self._session.get(self._base + path, json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def fields(self) -> tuple[Any, int]:
        """Every mapping, and how many fields there are."""
        mappings = await self.ask("-*/_mapping")
        return mappings, len((await self.ask("-*/_field_caps?fields=*"))["fields"])

    async def until_found(self, family: str, query: dict[str, Any], count: int) -> list[str]:
        """The instances' ids of so many rows, once there are."""
        async with asyncio.timeout(60):
            while True:
                search = {"query": query, "size": 100, "_source": ["workflow.id"]}
                found = await self.ask(f"-{family}/_search", search)
                if len(found["hits"]["hits"]) >= count:
                    return [hit["_source"]["workflow"]["id"] for hit in found["hits"]["hits"]]
                await self.ask(f"-{family}/_refresh")


@pytest.fixture
async def indices(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Indices]:
    async with aiohttp.ClientSession() as session:
        yield Indices(session, elasticsearch_url, index_prefix)


async def must(answer: Awaitable[tuple[int, Any]], *statuses: int) -> Any:
    status, body = await answer
    assert status in (statuses or (200, 201)), (status, body)
    return body


async def claimed(caller: Caller) -> dict[str, Any]:
    path = "/_workflows/_steps/_claim?capability=hostile-work&wait=20s&lease=60s"
    return dict(await must(caller.send("POST", path)))


async def one_instance(caller: Caller, number: int) -> str:
    """An instance with every payload that there is, each with keys of its own."""
    wild = {**WILD, "deep": nested(NESTED_LEVELS - 3)}
    start = {
        "params": {"who": f"w{number}", **keys(number, "params"), "wild": wild},
        "trigger": keys(number, "trigger"),
        "labels": {f"label-{number}-{key}": "x" for key in range(10)},
    }
    id = (await must(caller.send("POST", "/_workflows/hostile/_start", start)))["instance_id"]
    step = await claimed(caller)
    assert step["payload"]["wild"]["a.b.c"] == "dottedword"
    beat = {
        "checkpoint": keys(number, "checkpoint"),
        "calls": [{"name": "tool", "number": 1, "input": keys(number, "call"), "output": wild}],
    }
    await must(caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_heartbeat", beat))
    result = {"result": {**keys(number, "result"), "wild": wild}, "usage": {"llm_calls": 1}}
    await must(caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", result))
    signal = f"/_workflows/_instances/{id}/_signal/go"
    await must(caller.send("POST", signal, {"payload": {**keys(number, "signal"), "wild": wild}}), 200, 202)
    form = {"why": "word", "anything": keys(number, "form")}
    await must(caller.send("POST", f"/_workflows/_instances/{id}/_approve", {"comment": "formword", "form": form}))
    step = await claimed(caller)
    fail = f"/_workflows/_steps/{step['step_id']}/_fail"
    error = {"type": f"error.{number}", "message": "a message\nwith secondmessageline"}
    # An error, and usage, have no keys of one's own.
    await must(caller.send("POST", fail, {"error": {**error, **keys(number, "error")}}), 400)
    await must(caller.send("POST", fail, {"error": error, "usage": keys(number, "usage")}), 400)
    await must(caller.send("POST", fail, {"error": error, "retryable": False}))
    return str(id)


async def test_ten_thousand_keys_add_no_field_and_their_words_are_found(caller: Caller, indices: Indices) -> None:
    before, count = await indices.fields()
    ids = [await one_instance(caller, number) for number in range(INSTANCES)]
    await indices.until_found("instances", {"term": {"workflow.name": "hostile"}}, INSTANCES)
    await indices.until_found("steps", {"term": {"step.name": "ask"}}, INSTANCES)
    await indices.until_found("audit", {"term": {"event.action": "approve"}}, INSTANCES)
    assert await indices.fields() == (before, count)
    assert count < 200

    for word in WORDS:
        for family, field in (
            *(("steps", "step.input"), ("steps", "step.output")),
            *(("instances", "inputs"), ("instances", "outputs")),
        ):
            found = await indices.until_found(family, {"match": {field: {"query": word, "operator": "and"}}}, INSTANCES)
            assert set(found) == set(ids), (word, field)
    assert await indices.until_found("steps", {"match_phrase": {"step.output": "result-7-200"}}, 1) == [ids[7]]
    for field, word in (("step.input", "signal-3-17"), ("error.message", "secondmessageline")):
        assert await indices.until_found("steps", {"match_phrase": {field: word}}, 1)


async def test_all_of_it_can_be_read_again_as_it_was_sent(caller: Caller, indices: Indices) -> None:
    id = await one_instance(caller, 1)
    view = await until(lambda: caller.send("GET", f"/_workflows/_instances/{id}"), "succeeded")
    for place in (view["inputs"], view["outputs"]["taken"], view["vars"]["all"], view["signals"]["go"]):
        assert {name: place["wild"][name] for name in WILD} == WILD
        deepest = place["wild"]["deep"]
        for level in reversed(range(NESTED_LEVELS - 3)):
            deepest = deepest[f"level{level}"]
        assert deepest == "deepestword"


async def until(ask: Callable[[], Awaitable[tuple[int, Any]]], status: str) -> Any:
    async with asyncio.timeout(60):
        while (found := await must(ask()))["status"] != status:
            await asyncio.sleep(0.05)
    return found
