"""What an item of a foreach costs does not grow with how many there are (`core.lanes.children`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from leasehold.core.machine.children import CHILD_ITEMS
from leasehold.core.ports import BulkItem

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import ROUND_TRIP_S, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .plans import FAN, the_lane, until_empty

PLAIN = FAN.replace("max_parallel: 40", "max_parallel: {at_once}").partition("outputs:")[0]


class CountingStore(ModelStore):
    """Counts the bytes that are written, to lanes and history alike."""

    def __init__(self, cluster: ModelElasticsearch) -> None:
        super().__init__(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
        self.written = 0

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        self.written += sum(map(len, lines))
        return await super().bulk(lines, index=index, timeout_ms=timeout_ms)


async def bytes_an_item(items: int, *, at_once: int) -> float:
    """What a foreach over so many items writes for each, with `at_once` items under way and completed together."""
    cluster = new_cluster()
    store = CountingStore(cluster)
    async with scheduler(cluster, store=store) as s:
        await s.define(PLAIN.replace("{at_once}", str(at_once)))
        store.written = 0
        hosts = [f"host-{n:05}" for n in range(items)]
        id = (await s.start("fan", hosts=hosts)).instance_id
        done, most = 0, 0
        while steps := await s.claim(max_steps=at_once, wait_ms=5_000):
            most = max(most, len(the_lane(s).residents))
            if steps[0].step_name == "after":
                assert steps[0].payload == {"got": hosts}
            await asyncio.gather(*(s.complete(step, step.payload.get("host")) for step in steps))
            done += len(steps)
        assert done == items + 1
        # Those under way, those whose records are on their way into history, and the parent.
        assert most <= 8 * at_once + items / CHILD_ITEMS
        await until_empty(cluster, within_s=300)
        assert await s.status(id) == "succeeded"
    return store.written / items


def test_a_thousand_items_cost_at_most_three_times_as_much_each_as_ten() -> None:
    few, many = run_virtual(bytes_an_item(10, at_once=10)), run_virtual(bytes_an_item(1_000, at_once=10))
    assert many < 3 * few


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [10, 100])
def test_ten_thousand_items_cost_at_most_three_times_as_much_each_as_ten(at_once: int) -> None:
    few, many = run_virtual(bytes_an_item(10, at_once=10)), run_virtual(bytes_an_item(10_000, at_once=at_once))
    assert many < 3 * few
