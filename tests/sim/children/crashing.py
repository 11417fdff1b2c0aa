"""A replica that dies at one of its writes to the lane, and another one that goes on: whichever write it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import LeaseholdError
from leasehold.core.ports import BulkItem

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import LANE, ROUND_TRIP_S, Scheduler, new_cluster, scheduler

from .plans import FOREVER, until_empty

Moment = Literal["before", "after"]
Result = Callable[[ClaimedStep], Any]
Act = Callable[[Scheduler, str, ClaimedStep], Awaitable[None]]


class DyingStore(ModelStore):
    """From write `dies_at` to the lane on nothing arrives any more, and no answer; that one may take effect yet."""

    def __init__(self, cluster: ModelElasticsearch) -> None:
        super().__init__(cluster, latency_s=lambda: ROUND_TRIP_S / 2)
        self.dies_at = FOREVER
        self.moment: Moment = "before"
        self.writes = 0
        self.dead = asyncio.Event()

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        if index == LANE and not self.dead.is_set():
            self.writes += 1
            if self.writes == self.dies_at:
                if self.moment == "after":
                    await super().bulk(lines, index=index, timeout_ms=timeout_ms)
                self.faults.cut_off(times=FOREVER)
                self.dead.set()
        return await super().bulk(lines, index=index, timeout_ms=timeout_ms)


@dataclass
class Course:
    """What was seen of one run. `acknowledged`: run paths whose completion was; none may be handed out again."""

    instance_id: str = ""
    acknowledged: set[str] = field(default_factory=set)
    handed_out: list[str] = field(default_factory=list)
    writes: int = 0


async def run_with_a_death(
    sources: Sequence[str],
    params: dict[str, Any],
    *,
    dies_at: int = FOREVER,
    moment: Moment = "before",
    result: Result | None = None,
    act: Act | None = None,
) -> tuple[ModelElasticsearch, Course]:
    """Run the first source's workflow to its end, on two replicas if the first one dies on the way.

    `act` is called with each step that is claimed, before it is completed. In the end nothing is left in the lane.
    """
    cluster, course = new_cluster(), Course()
    store = DyingStore(cluster)
    async with scheduler(cluster, store=store) as first:
        await first.define(*sources)
        name = sources[0].split("name:", 1)[1].split()[0]
        course.instance_id = (await first.start(name, **params)).instance_id
        store.writes, store.dies_at, store.moment = 0, dies_at, moment
        working = asyncio.create_task(_work(first, course, result, act))
        dying = asyncio.create_task(store.dead.wait())
        await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
        if not store.dead.is_set():
            working.result()
            await _gone(cluster, store)
        working.cancel()
        dying.cancel()
        course.writes = store.writes
        store.faults.cut_off(times=FOREVER)
    async with scheduler(cluster, replica_id="replica-b") as second:
        await _work(second, course, result, act)
        await until_empty(cluster)
    return cluster, course


async def _work(s: Scheduler, course: Course, result: Result | None, act: Act | None) -> None:
    """Claim and complete until nothing comes for longer than any lease."""
    while True:
        steps = await s.claim(max_steps=20, lease_ms=5_000, wait_ms=20_000)
        if not steps:
            return
        for step in steps:
            key = f"{step.workflow_id}/{step.run_path}"
            assert key not in course.acknowledged, f"{key} was completed, and handed out again"
            course.handed_out.append(key)
            if act is not None:
                await act(s, course.instance_id, step)
            try:
                await s.complete(step, result(step) if result else step.payload)
            except LeaseholdError:
                continue
            course.acknowledged.add(key)


async def _gone(cluster: ModelElasticsearch, store: DyingStore) -> None:
    """Until the lane is empty, or the replica dies while it tidies up."""
    emptied = asyncio.create_task(until_empty(cluster))
    dying = asyncio.create_task(store.dead.wait())
    await asyncio.wait({emptied, dying}, return_when=asyncio.FIRST_COMPLETED)
    for task in (emptied, dying):
        task.cancel()
