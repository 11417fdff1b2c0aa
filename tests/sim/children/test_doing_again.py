"""A step with children is done again: those of the time before end first (`core.lanes.children`)."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from leasehold.core.errors import LeaseLost
from leasehold.core.orders import Retry

from tests.kit.schedulers import ANYBODY, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .plans import children, until_empty, work

SPLIT = """
name: split
steps:
  - name: both
    parallel:
      left: [{name: each, foreach: [1, 2, 3], steps: [{name: scan, executor: work, input: "{{ item }}"}]}]
      right: [{name: sub, workflow: called}]
outputs: {all: "{{ steps.both.result }}"}
"""
CALLED = 'name: called\nsteps: [{name: do, executor: work, input: called}]\noutputs: {done: "{{ steps.do.result }}"}'


@pytest.mark.parametrize("in_time", [True, False])
def test_inner_children_end_before_their_step_begins_anew(in_time: bool) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLED, SPLIT)
            id = (await s.start("split")).instance_id
            if in_time:
                await asyncio.sleep(0.1)
            first = await s.claim(max_steps=10)
            assert len(first) == (4 if in_time else 0)
            await s.replica.steer(ANYBODY, id, Retry(step="both"))
            # The children hear of it once the order stands.
            await asyncio.sleep(0.1)
            for step in first:
                # The children hear of it a little later than who asks for it does.
                with contextlib.suppress(LeaseLost):
                    await s.complete(step, "of the first time")
            done = await work(s)
            assert sorted(str(step.payload) for step in done) == ["1", "2", "3", "called"]
            async with asyncio.timeout(30):
                while await s.status(id) != "succeeded":
                    await asyncio.sleep(0.1)
            assert (await s.replica.instance(ANYBODY, id)).outputs == {
                "all": {"left": [1, 2, 3], "right": {"done": "called"}}
            }
            await until_empty(cluster)
            assert children(cluster) == {}

    run_virtual(main())
