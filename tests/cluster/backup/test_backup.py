"""A snapshot of running instances is restored into a fresh cluster, and the engine goes on (docs/operations.md)."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.kit.served import Caller, Served, calling

from .ground import Cluster, Ground, two_servers
from .load import DEFINITIONS, Ledger, approve, complete, start, start_on, step_of, work

pytestmark = pytest.mark.elasticsearch

FAST = {
    "LEASEHOLD_LANES_LANES": "2",
    "LEASEHOLD_LANES_LEASE_MS": "1500",
    "LEASEHOLD_LANES_RENEW_EVERY_MS": "300",
    "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
    "LEASEHOLD_COMMIT_BACKOFF_MAX_MS": "500",
}
STARTED_BEFORE = 30
# What has to be in the lanes at the moment of the block.
UNDER_WAY = {"leased", "ready", "timer", "approval", "queued", "child"}
CLAIM = "/_workflows/_steps/_claim?wait=500ms&max=1&lease=60s"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with two_servers() as found:
        yield found


@dataclass(frozen=True)
class Site:
    """An installation on the source, and the fresh cluster that it is to be restored into."""

    source: Cluster
    fresh: Cluster
    folder: Path

    def served(self, cluster: Cluster) -> Served:
        log = self.folder / ("fresh.log" if cluster is self.fresh else "source.log")
        return Served(cluster.url, cluster.prefix, log, **FAST)


@pytest.fixture
async def site(ground: Ground, index_prefix_of_its_own: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with aiohttp.ClientSession() as session:
        source, fresh = (Cluster(session, url, index_prefix_of_its_own) for url in (ground.source, ground.fresh))
        await source.register(ground.repository, readonly=False)
        await fresh.register(ground.repository, readonly=True)
        yield Site(source, fresh, tmp_path)
        for cluster in (source, fresh):
            await cluster.clear()


@pytest.fixture
def index_prefix_of_its_own(request: pytest.FixtureRequest) -> str:
    """The snapshots' names begin with it too; the servers are this module's alone."""
    return f"backup-{abs(hash(request.node.name)) % 10_000}"


async def test_the_engine_goes_on_in_a_fresh_cluster_without_a_lost_or_repeated_step(site: Site) -> None:
    told = await run_and_back_up(site)
    await site.fresh.restore("whole")
    await site.fresh.unblock()
    assert await under_way(site.fresh) >= UNDER_WAY
    ledger = told.copy()
    async with site.served(site.fresh) as served, calling(served.url) as caller:
        for key, id in told.started.items():
            workflow = told.workflows[id]
            assert (key, await repeated(caller, key, workflow, told, id)) == (key, (200, id))
        (held,) = told.held
        await complete(caller, ledger, held)
        assert step_of(held) in ledger.completed, "the executor has lost its lease"
        async with working(caller, ledger, "work,later,idle", workers=8, hold_s=0.02, approvals_every=1):
            await all_succeeded(caller, told.started.values(), within_s=40)
        await lanes_empty(site.fresh)
        await trail_agrees(site.fresh, served, told)
    assert [claim for claim in ledger.claims if step_of(claim) in told.completed] == []
    assert ledger.crowded == []
    assert [claim for claim in ledger.claims if not fits(claim, ledger)] == []
    await history_agrees(site.fresh, told, ledger)


async def run_and_back_up(site: Site) -> Ledger:
    """Instances run, are backed up in their midst, and run on; returns what had been acknowledged by then."""
    ledger, source = Ledger(), site.source
    async with site.served(source) as served, calling(served.url) as caller:
        for name, definition in DEFINITIONS.items():
            await caller.put_definition(name, definition)
        # Fewer executors than what is started needs, so that steps wait.
        async with working(caller, ledger, "work", workers=4, hold_s=0.2, approvals_every=2, start_pause_s=0.03):
            await until(lambda: len(ledger.started) >= STARTED_BEFORE // 2)
            await source.roll_over()
            ledger.held.append(await claim_one(caller, "later"))
            await until(lambda: len(ledger.started) >= STARTED_BEFORE and len(ledger.completed) >= STARTED_BEFORE)
            async with asyncio.timeout(20):
                while not await under_way(source) >= UNDER_WAY:
                    await asyncio.sleep(0.1)

            blocked = await source.lanes_and_keys()
            await source.block(blocked)
            await source.snapshot("whole", f"{source.prefix}-*")
            # Whatever was acknowledged until now has to be in it.
            told = ledger.copy()
            asking = ledger.asking
            await source.unblock()

            await until(lambda: len(ledger.completed) > len(told.completed) and len(ledger.started) > len(told.started))
            assert asking > 0, "nobody asked for anything while the lanes were blocked"
        await served.kill()
    return told


@asynccontextmanager
async def working(
    caller: Caller,
    ledger: Ledger,
    capabilities: str,
    *,
    workers: int,
    hold_s: float,
    approvals_every: int,
    start_pause_s: float | None = None,
) -> AsyncIterator[None]:
    """Executors, whoever approves and, with a pause, whoever starts; they end with the context."""
    tasks = [
        asyncio.create_task(work(caller, ledger, Random(number), capabilities, hold_s)) for number in range(workers)
    ]
    tasks.append(asyncio.create_task(approve(caller, ledger, every=approvals_every)))
    if start_pause_s is not None:
        tasks.append(asyncio.create_task(start_on(caller, ledger, start_pause_s)))
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(so: Any, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not so():
            await asyncio.sleep(0.02)


async def repeated(caller: Caller, key: str, workflow: str, told: Ledger, id: str) -> tuple[int, str]:
    return await start(caller, key, workflow, told.params[id])


async def all_succeeded(caller: Caller, ids: Any, within_s: float) -> None:
    left = list(ids)
    try:
        async with asyncio.timeout(within_s):
            while left:
                status, view = await caller.send("GET", f"/_workflows/_instances/{left[0]}")
                assert status == 200, f"{left[0]} is lost: {view}"
                if view["status"] == "succeeded":
                    left.pop(0)
                else:
                    await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{len(left)} instances have not ended, such as {view}") from None


async def under_way(cluster: Cluster) -> set[str]:
    """What the instances of the lanes are about, so that a run which was too fast or too slow proves nothing."""
    found = set()
    for hit in await cluster.rows(f"{cluster.prefix}-lane-*"):
        document = hit["_source"]
        if document["kind"] == "instance":
            states = [step.get("status") for step in document["steps"].values()]
            traits = {
                "leased": "claimed" in states,
                "ready": bool(document.get("ready")),
                "timer": document["workflow"] == "nap" and "waiting" in states,
                "approval": document["workflow"] == "ask" and "waiting" in states,
                "queued": bool(document.get("queued")),
                "child": bool(document.get("parent_id")),
            }
            found |= {trait for trait, there in traits.items() if there}
    return found


async def lanes_empty(cluster: Cluster) -> None:
    async with asyncio.timeout(20):
        while [hit for hit in await cluster.rows(f"{cluster.prefix}-lane-*") if hit["_source"]["kind"] != "fence"]:
            await asyncio.sleep(0.1)


def fits(claim: dict[str, Any], ledger: Ledger) -> bool:
    """Whether the step's input holds the result that was acknowledged for the step before it, when it has one."""
    before = claim["payload"].get("from")
    if before is None:
        return True
    id, path = step_of(claim)
    previous = {"second": "first", "third": "second"}
    prefix, _, name = path.rpartition(".")
    return bool(before == ledger.completed.get((id, f"{prefix}.{previous[name]}" if prefix else previous[name])))


async def history_agrees(cluster: Cluster, told: Ledger, ledger: Ledger) -> None:
    """One row for each completed step, with the result that its executor was told was taken; one for each instance."""
    steps = await cluster.rows(f"{cluster.prefix}-steps-*")
    instances = await cluster.rows(f"{cluster.prefix}-instances-*")
    assert len({hit["_index"] for hit in instances}) > 1
    assert twice(hit["_id"] for hit in steps) == []
    assert twice(hit["_id"] for hit in instances) == []
    assert set(told.started.values()) <= {hit["_id"] for hit in instances}
    rows = [hit["_source"] for hit in steps if hit["_source"]["step"]["outcome"] == "succeeded"]
    found = {(row["workflow"]["id"], row["step"]["path"]): row["step"]["output"] for row in rows}
    assert twice((row["workflow"]["id"], row["step"]["path"]) for row in rows) == []
    assert found == {step: f'{{"mark":{mark}}}' for step, mark in ledger.completed.items()}


async def trail_agrees(cluster: Cluster, served: Served, told: Ledger) -> None:
    """What was told to instances has its row, once, and no row was lost or added between those that stand."""
    rows = await cluster.rows(f"{cluster.prefix}-audit-*")
    assert twice(hit["_id"] for hit in rows) == []
    named: dict[str, list[str]] = {"start": [], "approve": []}
    for hit in rows:
        ids = hit["_source"].get("workflow", {}).get("id", [])
        named.setdefault(hit["_source"]["event"]["action"], []).extend([ids] if isinstance(ids, str) else ids)
    assert twice(named["start"]) == twice(named["approve"]) == []
    assert set(told.started.values()) <= set(named["start"])
    assert told.approved <= set(named["approve"])
    verifying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from leasehold.core.app.script import main; main()"),
        *("audit", "verify", "--server", served.url),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await verifying.communicate()
    assert verifying.returncode == 0, said.decode()


def twice(found: Any) -> list[Any]:
    return [one for one, count in Counter(found).items() if count > 1]


async def test_lanes_and_history_of_different_moments_lose_an_instance_or_repeat_a_step(site: Site) -> None:
    """Without the block a snapshot may hold its shards in either order: this is why it has to be there."""
    source, prefix = site.source, site.source.prefix
    lanes, others = f"{prefix}-lane-*", f"{prefix}-*,-{prefix}-lane-*"
    async with site.served(source) as served, calling(served.url) as caller:
        await caller.put_definition("chain", DEFINITIONS["chain"])
        _, ending = await start(caller, "ending", "chain", {})
        for _ in range(2):
            await complete_one(caller)
        await source.snapshot("history-first", others)
        await source.snapshot("lanes-first", lanes)
        await complete_one(caller)
        await lanes_empty(source)
        await source.snapshot("lanes-last", lanes)
        await source.snapshot("history-last", others)

    for name in ("history-first", "lanes-last"):
        await site.fresh.restore(name)
    async with site.served(site.fresh) as served, calling(served.url) as caller:
        status, _ = await caller.send("GET", f"/_workflows/_instances/{ending}")
        assert status == 404, "an instance that had ended is found, so nothing was lost"
    await site.fresh.clear()

    for name in ("lanes-first", "history-last"):
        await site.fresh.restore(name)
    async with site.served(site.fresh) as served, calling(served.url) as caller:
        repeated = await claim_one(caller)
        assert (repeated["workflow_id"], repeated["run_path"]) == (ending, "third")


async def test_lanes_that_were_restored_with_their_block_are_served_once_it_is_lifted(site: Site) -> None:
    source, fresh = site.source, site.fresh
    async with site.served(source) as served, calling(served.url) as caller:
        await caller.put_definition("chain", DEFINITIONS["chain"])
        _, waiting = await start(caller, "waiting", "chain", {})
        blocked = await source.lanes_and_keys()
        await source.block(blocked)
        await source.snapshot("blocked", f"{source.prefix}-*")
        await source.unblock()
    await fresh.restore("blocked")
    async with site.served(fresh) as served, calling(served.url) as caller, aiohttp.ClientSession() as session:
        await until(lambda: "lane.take_over_failed" in served.log)
        await until_ready_is(503, session, served)
        await fresh.unblock()
        assert step_of(await claim_one(caller)) == (waiting, "first")
        await until_ready_is(200, session, served)


async def until_ready_is(status: int, session: aiohttp.ClientSession, served: Served) -> None:
    async with asyncio.timeout(20):
        while True:
            async with session.get(f"{served.url}/readyz") as answer:
                if answer.status == status:
                    return
            await asyncio.sleep(0.05)


async def claim_one(caller: Caller, capability: str = "work") -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            status, answer = await caller.send("POST", f"{CLAIM}&capability={capability}")
            if status == 200 and answer["steps"]:
                return dict(answer["steps"][0])


async def complete_one(caller: Caller) -> None:
    step = await claim_one(caller)
    status, told = await caller.send("POST", f"/_workflows/_steps/{step['step_id']}/_complete", {"result": {"mark": 1}})
    assert status == 200, told
