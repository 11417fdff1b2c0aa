"""Requests are lost, refused and answered in vain while children come and go: the end is the same."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from leasehold.claim.wire import ClaimedStep
from leasehold.core.errors import LeaseholdError

from tests.kit.faults import Faults
from tests.kit.schedulers import LANE, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .crashing import Act, Course, Result
from .plans import rows, until_empty
from .test_deaths import SCENARIOS, ended


def strike(faults: Faults, random: Random) -> None:
    """One fault, of any kind."""
    kind = random.randrange(6)
    if kind == 0:
        faults.lose_answer(on="bulk", index=LANE)
    elif kind == 1:
        faults.lose_request(on="bulk", index=LANE)
    elif kind == 2:
        faults.refuse(429, on="bulk", index=LANE)
    elif kind == 3:
        faults.cut_off(on=random.choice(["mget", "get", "search", "refresh"]))
    else:
        status = random.choice([429, 503]) if kind == 4 else 503
        faults.fail_items(status, fits=lambda _: random.random() < 0.4, index=LANE, applied=kind == 5)


async def trouble(faults: Faults, random: Random) -> None:
    while True:
        await asyncio.sleep(random.random() * 0.02)
        strike(faults, random)


async def work(s: Scheduler, course: Course, result: Result | None, act: Act | None) -> None:
    """Claim and complete, whatever is answered, until nothing comes for longer than any lease."""
    while steps := await s.claim(max_steps=7, lease_ms=2_000, wait_ms=20_000):
        for step in steps:
            key = f"{step.workflow_id}/{step.run_path}"
            assert key not in course.acknowledged, f"{key} was completed, and handed out again"
            if await heard(s, step, course, result, act):
                course.acknowledged.add(key)


async def heard(s: Scheduler, step: ClaimedStep, course: Course, result: Result | None, act: Act | None) -> bool:
    try:
        if act is not None:
            await act(s, course.instance_id, step)
        await s.complete(step, result(step) if result else step.payload)
    except LeaseholdError:
        return False
    return True


async def troubled(name: str, seed: int) -> tuple[dict[str, Any], int]:
    """The row of an instance that ran through so many faults."""
    sources, params, act, result, _ = SCENARIOS[name]
    cluster, course, random = new_cluster(), Course(), Random(seed)
    async with scheduler(cluster, seed=seed) as s:
        await s.define(*sources)
        course.instance_id = (await s.start(sources[0].split("name:", 1)[1].split()[0], **params)).instance_id
        troubles = asyncio.create_task(trouble(s.faults, random))
        working = asyncio.create_task(work(s, course, result, act))
        await asyncio.sleep(0.2 + 3 * random.random())
        troubles.cancel()
        await asyncio.sleep(5)
        s.faults.clear()
        await working
        await until_empty(cluster, within_s=60)
    return rows(cluster, "instances")[course.instance_id], sum(s.faults.injected.values())


# Found by many seeds: the last write of an instance that had ended told of the last of its children.
FOUND = 29


@pytest.mark.parametrize("seed", [1, 2, FOUND])
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_comes_to_the_same_end(name: str, seed: int) -> None:
    sources, params, act, result, status = SCENARIOS[name]
    _, expected, _ = ended(sources, params, act=act, result=result)
    row, struck = run_virtual(troubled(name, seed))
    assert (row["status"], row.get("outputs")) == (status, expected.get("outputs"))
    assert struck > 5
