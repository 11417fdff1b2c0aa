"""Large values that a crash has left behind go; one that anybody may come to want never does."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from leasehold.core.es.lines import create_line
from leasehold.core.lanes.codec import encode_side
from leasehold.core.metrics import Metrics

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import LANE, NAMES, Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual
from tests.sim.children.plans import FAN
from tests.sim.groups.ground import dying

from .ground import cleared, clearing, retention_of

GONE = "00-0198d5a8c0000123456789abcdef"
LARGE = """
name: large
steps:
  - {name: first, executor: work, input: "{{ inputs }}"}
  - {name: second, executor: work, input: "{{ steps.first.result }}"}
"""


def sides(cluster: ModelElasticsearch) -> set[str]:
    return set(documents(cluster, LANE, "side"))


async def put(cluster: ModelElasticsearch, index: str, id: str, source: bytes) -> None:
    (item,) = await ModelStore(cluster).bulk([create_line(id), source], index=index)
    assert item.status == 201


async def leave_behind(cluster: ModelElasticsearch, owner: str = GONE) -> str:
    """A value without an instance, as half a bulk leaves it; returns its id."""
    await put(cluster, LANE, f"{owner}:inputs", encode_side(owner, b'"large"'))
    return f"{owner}:inputs"


def test_a_value_without_an_instance_goes_when_it_has_stood_so_for_a_minute() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, settings=clearing(), metrics=metrics) as s:
            await leave_behind(cluster)
            await asyncio.sleep(40)
            for _ in range(2):
                assert await retention_of(s).pass_once() == 0
            await asyncio.sleep(60)
            assert await retention_of(s).pass_once() == 1
            assert (sides(cluster), cleared(metrics, "side")) == (set(), 1)
            await asyncio.sleep(10)
            assert metrics.registry.get_sample_value("leasehold_loop_failures_total", {"loop": "safety_net"}) is None

    run_virtual(main())


async def a_key(cluster: ModelElasticsearch) -> None:
    key = {"kind": "start", "tenant": "acme", "instance_id": GONE, "fingerprint": "f", "created_at_ms": 1}
    await put(cluster, NAMES.keys, "k", msgspec.json.encode(key | {"created_at_ms": 10**13}))


async def a_row(cluster: ModelElasticsearch) -> None:
    row = {"workflow": {"id": GONE}, "status": "failed", "@timestamp": "2026-01-01T00:00:00Z"}
    await put(cluster, NAMES.instances, GONE, msgspec.json.encode(row))


@pytest.mark.parametrize("owner", [GONE, f"{GONE}:each-host:1:0"])
@pytest.mark.parametrize("back", [a_key, a_row])
def test_a_value_stays_while_its_instance_can_come_back(back: Any, owner: str) -> None:
    """A repeat under its key would begin it, a re-drive would bring it back from history; with its children."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing()) as s:
            side = await leave_behind(cluster, owner)
            await back(cluster)
            await asyncio.sleep(40)
            for _ in range(3):
                assert await retention_of(s).pass_once() == 0
                await asyncio.sleep(60)
            assert sides(cluster) == {side}

    run_virtual(main())


def test_a_value_that_was_written_again_is_judged_anew() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing()) as s:
            side = await leave_behind(cluster)
            await asyncio.sleep(40)
            await retention_of(s).pass_once()
            cluster.indices[LANE].documents.pop(side)
            await leave_behind(cluster)
            await asyncio.sleep(60)
            assert await retention_of(s).pass_once() == 0
            await asyncio.sleep(60)
            assert await retention_of(s).pass_once() == 1

    run_virtual(main())


async def work(s: Scheduler, count: int) -> None:
    for _ in range(count):
        step = await s.claim_one(lease_ms=5_000)
        assert step.payload is not None, "a value was taken"
        await s.complete(step, {"got": step.payload, "more": "x" * 100})


def test_no_value_of_a_live_instance_is_ever_taken() -> None:
    """Every value is a side document, retention passes all the time, and the owner dies in between."""

    async def main() -> None:
        cluster = new_cluster()
        settings = clearing(every_ms=200)
        settings = msgspec.structs.replace(
            settings, limits=msgspec.structs.replace(settings.limits, side_document_bytes=8)
        )
        async with dying(cluster, settings=settings) as s:
            await s.define(LARGE, FAN)
            for number in range(20):
                await s.start("large", text=f"value-{number}" * 5)
            await s.start("fan", hosts=[f"host-{number}" * 5 for number in range(40)])
            await work(s, 35)
            # What a search shows is at most this old, and passes go on meanwhile.
            await asyncio.sleep(35)
            await work(s, 10)
        async with scheduler(cluster, settings=settings, replica_id="replica-b") as s:
            await asyncio.sleep(35)
            assert sides(cluster)
            while live(cluster):
                steps = await s.claim(max_steps=20, lease_ms=5_000, wait_ms=1_000)
                for step in steps:
                    assert step.payload, "a value was taken"
                    await s.complete(step, {"got": step.payload, "more": "x" * 100})
            await asyncio.sleep(130)
            assert sides(cluster) == set()

    run_virtual(main())
