"""A replica dies at any of its writes to the lane: nothing is lost, done again after it was told, or left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from leasehold.claim.wire import ClaimedStep

from tests.kit.schedulers import ANYBODY, Scheduler
from tests.kit.virtual_time import run_virtual

from .crashing import Act, Course, Moment, Result, run_with_a_death
from .plans import CALLED, CALLS, CALLS_EACH, FAN, LARGE, NESTED, UNDONE, rows

HOSTS = [f"host-{n}" for n in range(18)]
GROUPS = [{"name": f"group-{n}", "hosts": HOSTS[: 2 * n]} for n in range(3)]
WIDE = [{"id": host, "more": "x" * 1_000} for host in HOSTS]


async def _refuse_the_charge(s: Scheduler, _id: str, step: ClaimedStep) -> None:
    if step.run_path == "charge":
        await s.fail(step, "declined")


async def _terminate_at_the_third(s: Scheduler, id: str, step: ClaimedStep) -> None:
    if step.run_path == "each-host[2].scan":
        await s.replica.terminate(ANYBODY, id, "enough")


async def _cancel_at_the_third(s: Scheduler, id: str, step: ClaimedStep) -> None:
    if step.run_path == "each-host[2].book":
        await s.replica.cancel(ANYBODY, id, "enough")


def _large_result(step: ClaimedStep) -> Any:
    return "y" * 2_000 if step.run_path == "before" else {"got": step.payload, "more": "z" * 600}


SCENARIOS: dict[str, tuple[Sequence[str], dict[str, Any], Act | None, Result | None, str]] = {
    "foreach": ([FAN], {"hosts": HOSTS}, None, None, "succeeded"),
    "nested": ([NESTED], {"groups": GROUPS}, None, None, "succeeded"),
    "sub-workflow": ([CALLS, CALLED], {"host": "a"}, None, None, "succeeded"),
    "sub-workflows": ([CALLS_EACH, CALLED], {"hosts": HOSTS[:3]}, None, None, "succeeded"),
    "side documents": ([LARGE], {"hosts": WIDE}, None, _large_result, "succeeded"),
    "undone": ([UNDONE], {"hosts": HOSTS[:3]}, _refuse_the_charge, None, "failed"),
    "terminated": ([FAN], {"hosts": HOSTS}, _terminate_at_the_third, None, "terminated"),
    "cancelled": ([UNDONE], {"hosts": HOSTS[:6]}, _cancel_at_the_third, None, "cancelled"),
}


def ended(sources: Sequence[str], params: dict[str, Any], **how: Any) -> tuple[Course, dict[str, Any], int]:
    """One run: its course, its row in history, and how many instances stand there."""
    cluster, course = run_virtual(run_with_a_death(sources, params, **how))
    instances = rows(cluster, "instances")
    return course, instances[course.instance_id], len(instances)


def check(name: str, moment: Moment, at_most: int) -> None:
    """Let the first replica die at `at_most` of the writes of a scenario, spread over all of them."""
    sources, params, act, result, status = SCENARIOS[name]
    undisturbed, expected, count = ended(sources, params, act=act, result=result)
    assert expected["status"] == status
    assert undisturbed.writes > 3
    stride = -(-undisturbed.writes // at_most)
    first = 1 if moment == "before" else 1 + stride // 2
    for dies_at in range(first, undisturbed.writes + 1, stride):
        _, row, found = ended(sources, params, act=act, result=result, dies_at=dies_at, moment=moment)
        assert (row["status"], row.get("outputs"), found) == (status, expected.get("outputs"), count), dies_at


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_successor_brings_it_to_the_same_end(name: str, moment: Moment) -> None:
    check(name, moment, at_most=4)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_successor_brings_it_to_the_same_end_whichever_write_was_the_last(name: str, moment: Moment) -> None:
    check(name, moment, at_most=1_000)


def test_the_run_really_dies() -> None:
    """The check above could not fail if no write were ever lost."""

    async def main() -> None:
        _, course = await run_with_a_death([FAN], {"hosts": HOSTS}, dies_at=4)
        assert course.writes == 4
        assert len(course.handed_out) > len(set(course.handed_out))

    run_virtual(main())
