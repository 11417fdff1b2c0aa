from __future__ import annotations

import pytest
from leasehold.claim.wire import ErrorInfo
from leasehold.core.machine import (
    AnyEvent,
    AttemptEnded,
    CancelRequested,
    Claimed,
    Completed,
    Decided,
    Failed,
    Heartbeat,
    InstanceEnded,
    LeaseEnded,
    LeaseExpired,
    Rejected,
    Released,
    Started,
    TerminateRequested,
    TimerFired,
)

from ..runs import START_MS, Run, approved, plan, step

CANCEL = CancelRequested(START_MS, "ann", "changed my mind")
TERMINATE = TerminateRequested(START_MS, "ann")


def test_a_cancel_ends_everything_open_at_once() -> None:
    run = Run(plan(step("a"), step("b", "a"), approved("c")))
    token = run.claim("a")
    ended, recorded, last = run.apply(CANCEL)
    assert ended == LeaseEnded("a", token, "cancelled: cancelled by ann: changed my mind")
    assert isinstance(recorded, AttemptEnded)
    assert recorded.record.outcome == "cancelled"
    assert last == InstanceEnded()
    assert (run.status, set(run.statuses.values())) == ("cancelled", {"cancelled"})
    assert run.instance.error == ErrorInfo("cancelled", "cancelled by ann: changed my mind")


def test_a_terminate_ends_everything_open_by_its_own_name() -> None:
    run = Run(plan(step("a")))
    run.apply(TERMINATE)
    assert run.names_of_effects == ["ReadyEnded", "InstanceEnded"]
    assert (run.status, run.statuses) == ("terminated", {"a": "cancelled"})
    assert run.instance.error == ErrorInfo("terminated", "terminated by ann")


def test_done_steps_stay_done_when_an_instance_is_cancelled() -> None:
    run = Run(plan(step("a"), step("b", "a")))
    run.claim("a")
    run.complete("a", 1)
    run.apply(CANCEL)
    assert run.statuses == {"a": "succeeded", "b": "cancelled"}
    assert run.state("a").result == 1


def test_a_repeated_cancel_or_terminate_changes_nothing() -> None:
    for event in (CANCEL, TERMINATE):
        run = Run(plan(step("a")))
        run.apply(event)
        run.ignore(event)


def test_a_cancel_of_what_ended_otherwise_is_refused() -> None:
    run = Run(plan(step("a")))
    run.apply(TERMINATE)
    refused = run.refuse(CANCEL)
    assert (refused.reason, refused.detail) == ("finished", "the instance has been terminated")


def test_an_instance_that_elasticsearch_can_not_hold_fails_with_what_it_said() -> None:
    run = Run(plan(step("a")))
    run.apply(Rejected(START_MS, ErrorInfo("document_rejected", "mapper_parsing_exception")))
    assert run.names_of_effects == ["ReadyEnded", "InstanceEnded"]
    assert (run.status, run.instance.error) == ("failed", ErrorInfo("document_rejected", "mapper_parsing_exception"))


@pytest.mark.parametrize(
    "event",
    [
        Started(START_MS),
        Claimed(START_MS, "b", 1_000, "w"),
        Heartbeat(START_MS, "a", 1, checkpoint=1),
        Completed(START_MS, "a", 2),
        Completed(START_MS, "b", 0),
        Failed(START_MS, "a", 1, ErrorInfo("boom")),
        Released(START_MS, "a", 1),
        LeaseExpired(START_MS, "a", 1),
        TimerFired(START_MS + 10**9),
        Decided(START_MS, "", True, "ann"),
        CANCEL,
        TERMINATE,
        Rejected(START_MS, ErrorInfo("document_rejected")),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_finished_instance_refuses_everything(event: AnyEvent) -> None:
    run = Run(plan(step("a"), step("b", "a"), max_duration_ms=1_000))
    run.claim("a")
    run.complete("a")
    run.fire(1_000)
    refused = run.refuse(event)
    assert (refused.reason, refused.detail) == ("finished", "the instance has failed")
