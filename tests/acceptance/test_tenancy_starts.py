"""What limits a tenant's starts, over HTTP and on a real Elasticsearch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.kit.answering import Answer, Answering, answering_replica, json_request, request, send_raw

ACME = "X-Leasehold-Tenant: acme"
ONE = b"name: one\nsteps:\n  - {name: only, executor: work}\n"


@pytest.fixture
async def served(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, index_prefix) as answering:
        answer = await send_raw(answering.port, request("PUT", "/_workflows/one", ACME, body=ONE))
        assert answer.status == 201
        yield answering


async def limit(served: Answering, tenant: str, **fields: Any) -> None:
    answer = await send_raw(served.port, json_request("PUT", f"/_workflows/_tenants/{tenant}", fields))
    assert answer.status in (200, 201)


async def in_force(served: Answering, tenant: str, field: str) -> None:
    """Returns once the replica obeys what was written of that field; fails after two seconds."""
    async with asyncio.timeout(2):
        while True:
            answer = await send_raw(served.port, request("GET", f"/_workflows/_tenants/{tenant}"))
            if field in msgspec.json.decode(answer.body)["in_force"]:
                return
            await asyncio.sleep(0.05)


async def start(served: Answering, tenant: str = "acme") -> Answer:
    return await send_raw(
        served.port, json_request("POST", "/_workflows/one/_start", {}, f"X-Leasehold-Tenant: {tenant}")
    )


async def until(served: Answering, status: int, tenant: str = "acme") -> Answer:
    """The first answer with that status to starts within two seconds."""
    async with asyncio.timeout(2):
        while (answer := await start(served, tenant)).status != status:
            await asyncio.sleep(0.05)
    return answer


async def test_a_start_beyond_a_quota_gets_429_with_its_name_and_when_to_come_again(served: Answering) -> None:
    await limit(served, "acme", max_waiting_instances=2)
    answer = await until(served, 429)
    assert (answer.problem.quota, answer.headers["retry-after"]) == ("max_waiting_instances", "1")
    assert "2 instances may wait to begin" in answer.problem.detail

    await limit(served, "acme", workflows={"one": {"start_rate": {"per_s": 0.2, "burst": 1}}})
    answer = await until(served, 429)
    assert answer.problem.quota == "workflows.one.start_rate"
    assert 1 <= int(answer.headers["retry-after"]) <= 5


async def test_what_may_not_run_yet_is_taken_and_begins_when_something_has_ended(served: Answering) -> None:
    await limit(served, "acme", max_running_instances=1)
    await in_force(served, "acme", "max_running_instances")
    answers = [await start(served) for _ in range(3)]
    assert [answer.status for answer in answers] == [201] * 3
    for _ in range(3):
        claim = "/_workflows/_steps/_claim?capability=work&wait=5s"
        claimed = await send_raw(served.port, request("POST", claim, ACME))
        assert claimed.status == 200
        again = await send_raw(served.port, request("POST", claim.replace("5s", "0s"), ACME))
        assert again.status == 204
        step_id = msgspec.json.decode(claimed.body)["step_id"]
        done = await send_raw(served.port, json_request("POST", f"/_workflows/_steps/{step_id}/_complete", {}, ACME))
        assert done.status == 200


async def test_a_tenant_that_nobody_knows_is_told_what_to_do(served: Answering) -> None:
    await limit(served, "acme", weight=1)
    await limit(served, "*", unknown_tenants="refuse")
    answer = await until(served, 403, "globex")
    assert "leasehold tenants set globex" in answer.problem.detail
    assert (await start(served)).status == 201
