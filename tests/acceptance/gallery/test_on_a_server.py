"""Examples end on a real server as they do in virtual time: undone, remembering, rolled back item by item."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from leasehold.claim import StepContext, StepFailed, Worker

from tests.kit.served import Caller, Served, calling

from .stubs import EXAMPLES, hits

pytestmark = pytest.mark.elasticsearch

FINAL = ("succeeded", "failed", "cancelled")
Executors = dict[str, Callable[[dict[str, Any]], Any]]


@asynccontextmanager
async def serving(url: str, prefix: str, folder: Path, executors: Executors) -> AsyncIterator[Caller]:
    """A replica, and a worker whose functions these are."""
    async with Served(url, prefix, folder / "serve.log") as served, calling(served.url) as caller, asyncio.timeout(120):
        worker = Worker(served.url, concurrency=16)
        for capability, function in executors.items():
            worker.capability(capability)(_taking_payloads(function))
        working = asyncio.create_task(worker.run())
        yield caller
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def _taking_payloads(function: Callable[[dict[str, Any]], Any]) -> Callable[[StepContext], Any]:
    async def run(context: StepContext) -> Any:
        return function(context.payload)

    return run


async def store(caller: Caller, name: str, **changes: str) -> None:
    """An example, with waits made short."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    await caller.put_definition(name, text)


async def start(caller: Caller, name: str, **params: Any) -> str:
    status, started = await caller.send("POST", f"/_workflows/{name}/_start", {"params": params})
    assert status == 201, started
    instance_id: str = started["instance_id"]
    return instance_id


async def view(caller: Caller, instance_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The instance once something holds of it."""
    while True:
        found: dict[str, Any]
        _, found = await caller.send("GET", f"/_workflows/_instances/{instance_id}")
        if holds(found):
            return found
        await asyncio.sleep(0.05)


async def ended(caller: Caller, name: str, **params: Any) -> dict[str, Any]:
    return await view(caller, await start(caller, name, **params), lambda found: found["status"] in FINAL)


async def test_a_saga_is_undone_in_reverse_order(elasticsearch_url: str, index_prefix: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def http(payload: dict[str, Any]) -> Any:
        asked.append(f"{payload['method']} /{payload['url'].split('/', 3)[-1]}")
        if "/courier" in payload["url"]:
            raise StepFailed("http.503", "no courier today")
        return {"json": {"id": str(len(asked))}}

    executors: Executors = {"http": http, "render": lambda payload: {"text": ""}}
    async with serving(elasticsearch_url, index_prefix, tmp_path, executors) as caller:
        await store(caller, "order-saga", **{"initial: 1s": "initial: 1ms"})
        order = await ended(caller, "order-saga", order_id="O-1", lines=[{}], total_cents=5, card="c")
    assert (order["status"], order["error"]["type"], order["undone"]) == ("failed", "http.503", "succeeded")
    assert asked[:2] == ["POST /stock/reservations", "POST /payments"]
    assert asked[2:7] == ["POST /courier/bookings"] * 5
    assert asked[7:] == ["POST /payments/2/refund", "DELETE /stock/reservations/1", "POST /support/tickets"]


async def test_a_rule_remembers_from_run_to_run(elasticsearch_url: str, index_prefix: str, tmp_path: Path) -> None:
    counts, told = [3, 11, 12, 2], []
    executors: Executors = {
        "es-query": lambda payload: hits(total=counts.pop(0)),
        "http": lambda payload: told.append(payload["json"]["text"]),
    }
    async with serving(elasticsearch_url, index_prefix, tmp_path, executors) as caller:
        # The slot of a run is free a moment after the run is seen to have ended.
        await store(caller, "alerting-rule", **{"strategy: drop": "strategy: queue"})
        for _ in range(4):
            run = await ended(caller, "alerting-rule", rule="r", index="logs", threshold=10)
            assert run["status"] == "succeeded", run["error"]
    assert told == ["r: 11 is above 10", "r: over, 2 now"]


async def test_items_are_rolled_back_with_the_steps_around_them(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    live: list[str] = []

    def deploy(payload: dict[str, Any]) -> Any:
        if "rollback" in payload:
            live.remove(payload["rollback"])
            return None
        if payload["region"] == "down-1":
            raise StepFailed("deploy.refused", "down-1 is down", retryable=False)
        live.append(payload["region"])
        return payload["region"]

    executors: Executors = {"deploy": deploy, "es-query": lambda payload: hits(), "http": lambda payload: None}
    async with serving(elasticsearch_url, index_prefix, tmp_path, executors) as caller:
        await store(caller, "rollout", **{"wait: 30m": "wait: 10ms", "max_parallel: 2": "max_parallel: 1"})
        instance_id = await start(caller, "rollout", release="web-7", regions=["eu-1", "us-1", "us-2", "down-1"])
        await view(caller, instance_id, lambda found: any(step.get("approval") for step in found["steps"]))
        assert live == ["eu-1"]
        await caller.send("POST", f"/_workflows/_instances/{instance_id}/_approve", {})
        rollout = await view(caller, instance_id, lambda found: found["status"] in FINAL)
    assert (rollout["status"], rollout["error"]["type"], rollout["undone"]) == ("failed", "deploy.refused", "succeeded")
    assert live == []
