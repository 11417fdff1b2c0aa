"""Reading an instance whose documents change between the reads (`core.lanes.memory.loading.read_whole`)."""

from __future__ import annotations

import asyncio

from leasehold.core.lanes.memory.loading import read_whole

from tests.kit.model_store import ModelStore
from tests.kit.schedulers import ANYBODY, LANE, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

LARGE = "x" * 20_000
FAN = """
name: fan
steps:
  - {name: first, executor: work}
  - {name: each, foreach: [1, 2, 3, 4], steps: [{name: scan, executor: work}]}
  - {name: last, executor: work}
"""


def test_a_reader_never_sees_an_instance_without_its_large_values_while_it_ends() -> None:
    async def main() -> None:
        cluster = new_cluster()
        # Each way of the reader's requests takes so long that the owner writes and deletes between two of them.
        reader = ModelStore(cluster, latency_s=lambda: 0.15)
        seen = 0

        async def read(id: str) -> None:
            nonlocal seen
            while (found := await read_whole(reader, LANE, id)) is not None:
                first = found[0].steps["first"]
                if first.result_ref is not None:
                    assert first.result.value == LARGE
                    seen += 1
                for part in found[0].steps["each"].parts.values():
                    assert part.value["results"] == [LARGE] * 4

        async with scheduler(cluster) as s:
            await s.define(FAN)
            for offset in range(12):
                id = (await s.start("fan")).instance_id
                reading = asyncio.ensure_future(read(id))
                await asyncio.sleep(0.03 * offset)
                for _ in range(6):
                    await s.complete(await s.claim_one(), LARGE)
                await reading
                assert (await s.replica.instance(ANYBODY, id)).status == "succeeded"
        assert seen > 20

    run_virtual(main())
