"""Who gets how much: by weight, with running work, and with what other replicas have served counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack

import msgspec
import pytest
from leasehold.claim.wire import ClaimedStep, CompleteBody, HeartbeatBody, StartItem
from leasehold.core.es.lines import put_line
from leasehold.core.principal import EVERY_TENANT, Principal
from leasehold.core.settings import Settings

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import NAMES, ONE_STEP, SETTINGS, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

EXECUTOR = Principal("executor", EVERY_TENANT)
TWO_LANES = msgspec.structs.replace(SETTINGS, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=2))


async def obey(one: Scheduler, **weights: float) -> None:
    """Somebody writes these weights to the tenants index, with a client of their own."""
    for tenant, weight in weights.items():
        (item,) = await one.store.bulk([put_line(tenant), msgspec.json.encode({"weight": weight})], index=NAMES.tenants)
        assert item.status in (200, 201)
    await asyncio.sleep(2)


async def backlog(one: Scheduler, tenant: str, count: int) -> None:
    starts = [StartItem(workflow="one") for _ in range(count)]
    for result in await one.replica.start_many(Principal("starter", tenant), starts, traceparent=None):
        assert result.code == 201


async def claim(one: Scheduler, max_steps: int) -> list[ClaimedStep]:
    return await one.replica.claim(
        EXECUTOR, ("work",), max_steps=max_steps, lease_ms=600_000, wait_ms=0, worker="w", request_id=None
    )


async def work(one: Scheduler, *, takes_s: dict[str, float], until_s: float, hands: int) -> Counter[str]:
    """So many executors claim one step at a time, each of which takes its tenant's time; returns what they claimed."""
    claimed: Counter[str] = Counter()

    async def hand() -> None:
        while asyncio.get_running_loop().time() < until_s:
            for step in await claim(one, 1):
                claimed[step.tenant] += 1
                await asyncio.sleep(takes_s[step.tenant])
                await one.replica.complete(EXECUTOR, step.step_id, CompleteBody())

    await asyncio.gather(*(hand() for _ in range(hands)))
    return claimed


async def defined(stack: AsyncExitStack, names: Iterable[str], settings: Settings) -> list[Scheduler]:
    peers, cluster = ModelPeers(), new_cluster(lanes=settings.lanes.lanes)
    found = []
    for number, name in enumerate(names):
        server = msgspec.structs.replace(settings.server, port=8_080 + number)
        own = msgspec.structs.replace(settings, server=server)
        one = await stack.enter_async_context(
            scheduler(cluster, settings=own, replica_id=name, seed=number, owning=False, peers=peers)
        )
        peers.join(f"http://127.0.0.1:{server.port}", one.replica)
        found.append(one)
    await asyncio.sleep(10)
    await found[0].replica.put_definition(Principal("author", EVERY_TENANT), "one", ONE_STEP.encode())
    return found


def shares(claimed: Counter[str]) -> dict[str, float]:
    return {tenant: count / claimed.total() for tenant, count in claimed.items()}


def test_tenants_get_executor_time_by_weight_however_long_their_steps_take() -> None:
    # Both run the same workflow, so an estimate can't tell their steps apart: what they really took can.
    async def main() -> None:
        async with AsyncExitStack() as stack:
            (one,) = await defined(stack, ["a"], SETTINGS)
            for tenant in ("quick", "slow"):
                await backlog(one, tenant, 600)
            until_s = asyncio.get_running_loop().time() + 200
            claimed = await work(one, takes_s={"quick": 1.0, "slow": 4.0}, until_s=until_s, hands=4)
            assert claimed["quick"] / claimed["slow"] == pytest.approx(4.0, rel=0.15)

    run_virtual(main())


def test_claims_can_be_what_is_shared_out() -> None:
    by_claims = msgspec.structs.replace(SETTINGS, tenancy=msgspec.structs.replace(SETTINGS.tenancy, fair_by="claims"))

    async def main() -> None:
        async with AsyncExitStack() as stack:
            (one,) = await defined(stack, ["a"], by_claims)
            await obey(one, light=1.0, heavy=3.0)
            for tenant in ("light", "heavy"):
                await backlog(one, tenant, 600)
            until_s = asyncio.get_running_loop().time() + 150
            claimed = await work(one, takes_s={"light": 4.0, "heavy": 1.0}, until_s=until_s, hands=4)
            assert claimed["heavy"] / claimed["light"] == pytest.approx(3.0, rel=0.05)

    run_virtual(main())


def test_a_changed_weight_holds_for_what_waits_already() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            (one,) = await defined(stack, ["a"], SETTINGS)
            for tenant in ("x", "y"):
                await backlog(one, tenant, 500)
            loop = asyncio.get_running_loop()
            even = await work(one, takes_s={"x": 1.0, "y": 1.0}, until_s=loop.time() + 50, hands=4)
            assert shares(even)["x"] == pytest.approx(0.5, abs=0.03)
            await obey(one, x=4.0, y=1.0)
            after = await work(one, takes_s={"x": 1.0, "y": 1.0}, until_s=loop.time() + 50, hands=4)
            assert shares(after)["x"] == pytest.approx(0.8, abs=0.04)

    run_virtual(main())


def test_who_waits_at_one_replica_alone_gets_its_share_of_all() -> None:
    """Two replicas with a lane each. One tenant waits at both, the two others at one each: each gets a third."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            first, second = await defined(stack, ["a", "b"], TWO_LANES)
            assert first.replica.owns_lanes()
            assert second.replica.owns_lanes()
            for one, tenants in ((first, ("both", "here")), (second, ("both", "there"))):
                for tenant in tenants:
                    await backlog(one, tenant, 800)
            takes_s = dict.fromkeys(("both", "here", "there"), 1.0)
            until_s = asyncio.get_running_loop().time() + 100
            found = await asyncio.gather(
                *(work(one, takes_s=takes_s, until_s=until_s, hands=5) for one in (first, second))
            )
            claimed = found[0] + found[1]
            assert shares(claimed) == pytest.approx(dict.fromkeys(takes_s, 1 / 3), rel=0.08)

    run_virtual(main())


def test_work_that_runs_counts_before_it_ends() -> None:
    """Long attempts are charged as they go on, at their heartbeats: their tenant doesn't get the next hands as well."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            (one,) = await defined(stack, ["a"], SETTINGS)
            await backlog(one, "long", 100)
            await backlog(one, "short", 400)
            running = [step for step in await claim(one, 8) if step.tenant == "long"]
            assert len(running) == 4
            for _ in range(3):
                await asyncio.sleep(20)
                for step in running:
                    await one.replica.heartbeat(EXECUTOR, step.step_id, HeartbeatBody())
            later = Counter(step.tenant for step in await claim(one, 40))
            assert later["short"] == 40

    run_virtual(main())
