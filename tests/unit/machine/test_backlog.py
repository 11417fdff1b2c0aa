"""Whether an instance waits to begin: until a step is leased, or it waits for anything but an executor."""

from __future__ import annotations

import pytest
from leasehold.core.machine.events import (
    Admitted,
    CancelRequested,
    PauseRequested,
    RetryRequested,
    SkipRequested,
    TerminateRequested,
)

from .runs import START_MS, Run, approved, plan, step

TWO = plan(step("a"), step("b", "a"))


def test_it_waits_to_begin_until_its_first_lease_and_never_again() -> None:
    run = Run(TWO)
    assert run.instance.backlogged
    run.claim("a")
    assert not run.instance.backlogged
    run.release("a")
    assert not run.instance.backlogged


def test_it_has_begun_when_it_waits_for_a_person() -> None:
    assert not Run(plan(approved("a"))).instance.backlogged
    assert Run(plan(approved("a"), step("b"))).instance.backlogged


def test_pausing_is_no_beginning() -> None:
    run = Run(TWO)
    run.apply(PauseRequested(START_MS, "ops"))
    assert run.instance.backlogged


@pytest.mark.parametrize("end", [CancelRequested, TerminateRequested])
def test_it_waits_no_more_when_it_has_ended(end: type) -> None:
    for queued in (False, True):
        run = Run(TWO, queued=queued)
        run.apply(end(START_MS, "ops"))
        assert not run.instance.backlogged


def test_one_whose_steps_are_skipped_has_ended() -> None:
    run = Run(plan(step("a")))
    run.apply(SkipRequested(START_MS, "a", "ops"))
    assert (run.status, run.instance.backlogged) == ("succeeded", False)


def test_a_queued_one_waits_to_begin_and_still_does_when_it_is_admitted() -> None:
    run = Run(TWO, queued=True)
    assert (run.status, run.instance.backlogged) == ("waiting", True)
    run.apply(Admitted(START_MS))
    assert (run.status, run.instance.backlogged) == ("running", True)
    run.claim("a")
    assert not run.instance.backlogged


def test_a_child_is_part_of_what_its_parent_began() -> None:
    assert not Run(TWO, parent_id="03-0").instance.backlogged


@pytest.mark.parametrize("queued", [False, True])
def test_one_that_is_brought_back_waits_if_it_has_to(queued: bool) -> None:
    run = Run(TWO)
    run.apply(CancelRequested(START_MS, "ops"))
    run.apply(RetryRequested(START_MS, "ops", queued=queued))
    assert (run.instance.queued, run.instance.backlogged) == (queued, queued)
    if queued:
        run.apply(Admitted(START_MS))
    assert run.statuses["a"] == "ready"


def test_no_priority_is_better_than_the_ceiling() -> None:
    urgent = plan(step("a"), priority=1)
    assert Run(urgent, priority_ceiling=4).instance.priority == 4
    assert Run(urgent).instance.priority == 1
