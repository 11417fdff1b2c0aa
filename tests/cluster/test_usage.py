"""Usage and budgets on a real server: two replicas, one of which is killed; usage is the sum of the rows."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from leasehold.core.es import ElasticsearchStore, connect
from leasehold.core.settings import StoreSettings

from tests.kit.served import Caller, Served, calling
from tests.sim.usage.adding import COUNTS, Sums, check_same, summed, written
from tests.sim.usage.load import INPUTS, TENANTS, WORKFLOWS

from .test_two_replicas import FAST, until_shared

QUICK = {**FAST, "LEASEHOLD_USAGE_EVERY_MS": "300", "LEASEHOLD_USAGE_BUDGETS_EVERY_MS": "300"}
EVERYBODY = {"X-Leasehold-Tenant": "*"}
STARTS = 20


async def start(caller: Caller, random: Random) -> None:
    name = random.choice(tuple(INPUTS))
    headers = {"X-Leasehold-Tenant": random.choice(TENANTS)}
    status, answer = await caller.send("POST", f"/_workflows/{name}/_start", {"params": INPUTS[name]}, headers)
    assert status == 201, answer


async def work(caller: Caller, random: Random) -> None:
    """Claim and end steps in random ways until none comes for four seconds: retries come after one."""
    while True:
        target = "/_workflows/_steps/_claim?capability=work&max=20&wait=4s&lease=3s"
        _, answer = await caller.send("POST", target, headers=EVERYBODY)
        if not answer["steps"]:
            return
        await asyncio.gather(*(_end(caller, step["step_id"], random) for step in answer["steps"]))


async def _end(caller: Caller, step_id: str, random: Random) -> None:
    usage = {"llm_calls": 1, "llm_tokens": random.randrange(99), "cost": random.randrange(9_999) / 1_000}
    how = random.random()
    if how < 0.03:
        return
    if how < 0.2:
        body = {"error": {"type": "broken", "message": ""}, "retryable": how < 0.15, "usage": usage}
        await caller.send("POST", f"/_workflows/_steps/{step_id}/_fail", body, EVERYBODY)
    else:
        body = {"result": {"é": "x" * random.randrange(50)}, "usage": usage}
        await caller.send("POST", f"/_workflows/_steps/{step_id}/_complete", body, EVERYBODY)


async def all_of(store: ElasticsearchStore, index: str) -> list[dict[str, Any]]:
    await store.refresh(index)
    _, answer = await store.request("POST", f"/{index}/_search", {"size": 10_000})
    return [hit["_source"] for hit in answer["hits"]["hits"]]


async def until_same(store: ElasticsearchStore, prefix: str) -> Sums:
    """The rows' sums, once they do not change any more and the usage documents are the same."""
    async with asyncio.timeout(60):
        while True:
            names = (f"{prefix}-steps", f"{prefix}-instances")
            rows = summed(*[await all_of(store, name) for name in names])
            usage = written(await all_of(store, f"{prefix}-usage"))
            attempts = [sum(one["attempts"] for one in sums.values()) for sums in (rows, usage)]
            starts = [sum(one["starts"] for one in sums.values()) for sums in (rows, usage)]
            if attempts[0] == attempts[1] and starts[0] == starts[1]:
                check_same(rows, usage)
                return rows
            await asyncio.sleep(0.5)


async def test_usage_is_the_sum_of_the_rows_though_a_replica_is_killed(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    random = Random(7)
    first = Served(elasticsearch_url, index_prefix, tmp_path / "first.log", **QUICK)
    second = Served(elasticsearch_url, index_prefix, tmp_path / "second.log", **QUICK)
    async with first, second, calling(first.url) as at_first, calling(second.url) as at_second:
        for source in WORKFLOWS:
            name = source.split("name:", 1)[1].split()[0]
            await _put(first.url, name, source)
        await until_shared(at_first, 2)
        await asyncio.gather(*(start(random.choice((at_first, at_second)), random) for _ in range(STARTS)))
        working = [asyncio.create_task(work(caller, random)) for caller in (at_first, at_second)]
        await asyncio.sleep(2)
        await first.kill()
        await first.start()
        await asyncio.gather(*working)
        await work(at_second, random)
        async with connect(StoreSettings(urls=(elasticsearch_url,))) as store:
            rows = await until_same(store, index_prefix)
        assert sum(one["attempts"] for one in rows.values()) > 100
        assert sum(one["retries"] for one in rows.values()) > 0

        day = time.strftime("%Y-%m-%d", time.gmtime())
        for tenant in TENANTS:
            own = {"X-Leasehold-Tenant": tenant, "X-Leasehold-Roles": ""}
            status, usage = await at_second.send("GET", f"/_workflows/_tenants/{tenant}/_usage?since=2d", None, own)
            assert (status, usage["until"], usage["by"]) == (200, day, "day")
            expected = [one for key, one in rows.items() if key[0] == tenant]
            for name in COUNTS:
                assert usage["total"][name] == sum(one[name] for one in expected)
            assert abs(usage["total"]["cost"] - float(sum(one["cost"] for one in expected))) < 1e-9
            path = "/_workflows/_tenants/nobody-else/_usage"
            assert (await at_second.send("GET", path, None, own))[0] == 404
            assert (await at_second.send("GET", "/_workflows/_tenants/*/_usage", None, own))[0] == 404

        async with aiohttp.ClientSession() as session:
            target = f"{second.url}/_workflows/_tenants/%2A/_usage?by=all&since=2d&format=csv"
            async with session.get(target) as reply:
                assert reply.content_type == "text/csv"
                table = list(csv.DictReader(io.StringIO(await reply.text(), newline="")))
        assert {(one["tenant"], one["workflow"], one["day"]): int(one["attempts"]) for one in table} == {
            key: one["attempts"] for key, one in rows.items()
        }


async def _put(url: str, name: str, source: str) -> None:
    headers = {"Content-Type": "application/yaml", **EVERYBODY}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.put(f"{url}/_workflows/{name}", data=source) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def test_a_spent_budget_stops_a_tenant_at_all_replicas_until_it_is_raised(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    first = Served(elasticsearch_url, index_prefix, tmp_path / "first.log", **QUICK)
    second = Served(elasticsearch_url, index_prefix, tmp_path / "second.log", **QUICK)
    async with first, second, calling(first.url) as at_first, calling(second.url) as at_second:
        await _put(first.url, "called", WORKFLOWS[0])
        await until_shared(at_first, 2)
        acme = {"X-Leasehold-Tenant": "acme"}
        tenant = "/_workflows/_tenants/acme"
        assert (await at_first.send("PUT", tenant, {"budgets": {"month": {"cost": 1}}}))[0] == 201
        for caller in (at_first, at_second) * 4:
            status, _ = await caller.send("POST", "/_workflows/called/_start", {"params": {"host": "h"}}, acme)
            assert status == 201
        claim = "/_workflows/_steps/_claim?capability=work&wait=2s&lease=30s"
        _, step = await at_first.send("POST", claim, None, acme)
        target = f"/_workflows/_steps/{step['step_id']}/_complete"
        assert (await at_first.send("POST", target, {"usage": {"cost": 1.5}}, acme))[0] == 200

        # Within two seconds no replica lets anything begin.
        await asyncio.sleep(2)
        async with aiohttp.ClientSession(headers=acme) as session:
            for url in (first.url, second.url):
                async with session.post(f"{url}/_workflows/called/_start", json={"params": {"host": "h"}}) as refused:
                    assert refused.status == 429
                    assert (await refused.json())["quota"] == "budgets.month.cost"
                    assert int(refused.headers["Retry-After"]) >= 1
        assert (await at_second.send("POST", claim, None, acme))[0] == 204

        waiting = asyncio.create_task(at_second.send("POST", claim.replace("2s", "20s"), None, acme))
        raised_at = time.monotonic()
        assert (await at_first.send("PUT", tenant, {"budgets": {"month": {"cost": 9}}}))[0] == 200
        assert (await waiting)[0] == 200
        assert time.monotonic() - raised_at < 2
