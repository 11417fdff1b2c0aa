"""Items of a foreach run in child instances (`core.lanes.children`)."""

from __future__ import annotations

from tests.kit.schedulers import new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .plans import FAN, rows, until_empty, work


def test_items_run_in_children_and_their_results_come_back_in_order() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            hosts = [f"host-{n}" for n in range(40)]
            id = (await s.start("fan", hosts=hosts)).instance_id
            done = await work(s, result=lambda step: step.payload)
            assert len(done) == 41
            assert {step.workflow_id for step in done} == {id}
            assert done[-1].payload == {"got": [{"host": host, "n": n} for n, host in enumerate(hosts)]}
            await until_empty(cluster)
            assert await s.status(id) == "succeeded"
            assert set(rows(cluster, "instances")) == {id}
            assert len(rows(cluster, "events")) == 3

    run_virtual(main())
