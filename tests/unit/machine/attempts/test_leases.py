from __future__ import annotations

import pytest
from leasehold.claim.wire import ErrorInfo, Usage
from leasehold.core.machine import (
    MAX_LOST_LEASES,
    AnyEvent,
    AttemptEnded,
    Claimed,
    Completed,
    Failed,
    Heartbeat,
    LeaseEnded,
    LeaseExpired,
    Released,
    StepReady,
)
from leasehold.definitions.plan import RetryPolicy

from ..runs import START_MS, Broken, Computed, Run, plan, step


def test_a_claim_begins_an_attempt_under_a_new_token_and_sets_its_timeout() -> None:
    run = Run(plan(step("a", timeout_ms=5_000), step("b")))
    assert run.claim("a", lease_ttl_ms=9_000) == 1
    state = run.state("a")
    assert (state.status, state.attempt, state.token) == ("claimed", 1, 1)
    assert (state.claimed_at_ms, state.wake_at_ms, state.lease_ttl_ms) == (START_MS, START_MS + 5_000, 9_000)
    assert state.worker == "worker-1"
    assert run.effects == ()
    assert run.claim("b") == 2


def test_a_claimed_step_can_not_be_claimed_again_and_the_refusal_names_the_token_that_holds() -> None:
    run = Run(plan(step("a")))
    token = run.claim("a")
    refused = run.refuse(Claimed(run.at_ms, "a", 1_000, "worker-2"))
    assert (refused.reason, refused.token_held) == ("not_open", token)


def test_a_pending_step_can_not_be_claimed() -> None:
    run = Run(plan(step("a"), step("b", "a")))
    refused = run.refuse(Claimed(run.at_ms, "b", 1_000, "w"))
    assert (refused.reason, refused.token_held) == ("not_open", 0)
    assert "pending" in refused.detail


def test_a_step_can_not_be_claimed_before_it_is_ready() -> None:
    run = Run(plan(step("a")))
    assert run.refuse(Claimed(START_MS - 1, "a", 1_000, "w")).reason == "not_open"


@pytest.mark.parametrize(
    "event",
    [
        Claimed(START_MS, "ghost", 1_000, "w"),
        Heartbeat(START_MS, "ghost", 1),
        Completed(START_MS, "ghost", 1),
        Failed(START_MS, "ghost", 1, ErrorInfo("boom")),
        Released(START_MS, "ghost", 1),
        LeaseExpired(START_MS, "ghost", 1),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_unknown_step_is_refused_as_such(event: AnyEvent) -> None:
    assert Run(plan(step("a"))).refuse(event).reason == "unknown_step"


def reports(token: int) -> list[AnyEvent]:
    return [
        Heartbeat(START_MS, "a", token, checkpoint=1),
        Completed(START_MS, "a", token),
        Failed(START_MS, "a", token, ErrorInfo("boom")),
        Released(START_MS, "a", token),
        LeaseExpired(START_MS, "a", token),
    ]


@pytest.mark.parametrize("report", reports(1), ids=lambda event: type(event).__name__)
def test_a_report_under_an_older_token_is_stale_and_told_which_token_holds(report: AnyEvent) -> None:
    run = Run(plan(step("a")))
    run.claim("a")
    run.lose("a")
    assert run.claim("a") == 2
    refused = run.refuse(report)
    assert (refused.reason, refused.token_held) == ("stale_token", 2)


@pytest.mark.parametrize("report", reports(1), ids=lambda event: type(event).__name__)
def test_a_report_on_a_step_that_nobody_holds_is_stale(report: AnyEvent) -> None:
    run = Run(plan(step("a")))
    run.claim("a")
    run.release("a")
    refused = run.refuse(report)
    assert (refused.reason, refused.token_held) == ("stale_token", 0)
    assert "ready" in refused.detail


def test_a_released_lease_gives_its_attempt_back_and_burns_its_token() -> None:
    run = Run(plan(step("a", input=Computed(lambda context: context["now"]))))
    run.claim("a")
    run.at_ms += 2_000
    assert run.release("a") == (StepReady("a", "work", START_MS + 2_000, "1970-01-01T00:16:40.000Z"),)
    state = run.state("a")
    assert (state.status, state.attempt, state.token, state.worker) == ("ready", 0, 0, None)
    assert run.claim("a") == 2
    assert run.state("a").attempt == 1


def test_a_lost_lease_ends_the_attempt_and_the_step_is_ready_at_once() -> None:
    run = Run(plan(step("a")))
    token = run.claim("a", lease_ttl_ms=15_000)
    ended, recorded, ready = run.lose("a")
    assert ended == LeaseEnded("a", token, "lease_lost: no heartbeat came within 15000 ms")
    assert isinstance(recorded, AttemptEnded)
    assert (recorded.record.outcome, recorded.record.attempt, recorded.record.token) == ("lease_lost", 1, token)
    assert isinstance(ready, StepReady)
    assert (run.state("a").status, run.state("a").failures, run.state("a").lost) == ("ready", 0, 1)
    run.claim("a")
    assert run.state("a").attempt == 2


def lose_leases(run: Run, times: int) -> None:
    for _ in range(times):
        run.claim("a")
        run.lose("a")


def test_one_lost_lease_too_many_in_a_row_fails_the_step() -> None:
    run = Run(plan(step("a")))
    lose_leases(run, MAX_LOST_LEASES)
    assert run.state("a").status == "ready"
    lose_leases(run, 1)
    assert run.names_of_effects == ["LeaseEnded", "AttemptEnded", "InstanceEnded"]
    error = run.state("a").error
    assert error is not None
    assert (run.status, error.type) == ("failed", "lease_lost")


def test_one_lost_lease_too_many_uses_a_retry_where_the_policy_has_one() -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=1))))
    lose_leases(run, MAX_LOST_LEASES + 1)
    assert (run.state("a").status, run.state("a").failures) == ("backing_off", 1)
    run.fire(60_000)
    lose_leases(run, 1)
    assert run.status == "failed"


@pytest.mark.parametrize("how", ["fail", "time out"])
def test_an_attempt_that_ends_otherwise_in_between_ends_the_row_of_lost_leases(how: str) -> None:
    run = Run(plan(step("a", timeout_ms=5_000, retry=RetryPolicy(max_retries=1))))
    lose_leases(run, MAX_LOST_LEASES)
    run.claim("a")
    if how == "fail":
        run.fail("a")
    else:
        run.fire(5_000)
    run.fire(60_000)
    lose_leases(run, MAX_LOST_LEASES)
    assert run.state("a").status == "ready"


def test_a_release_in_between_does_not_end_the_row_of_lost_leases() -> None:
    run = Run(plan(step("a")))
    lose_leases(run, MAX_LOST_LEASES)
    run.claim("a")
    run.release("a")
    lose_leases(run, 1)
    assert run.status == "failed"


def test_a_heartbeat_keeps_the_checkpoint_for_the_next_attempt_until_the_step_succeeds() -> None:
    run = Run(plan(step("a")))
    run.apply(Heartbeat(run.at_ms, "a", run.claim("a"), checkpoint={"page": 7}))
    assert run.effects == ()
    run.lose("a")
    run.claim("a")
    assert run.state("a").checkpoint == {"page": 7}
    run.complete("a")
    assert run.state("a").checkpoint is None


def test_a_bare_heartbeat_changes_nothing() -> None:
    run = Run(plan(step("a")))
    token = run.claim("a")
    run.ignore(Heartbeat(run.at_ms + 500, "a", token))
    run.apply(Heartbeat(run.at_ms, "a", token, usage=Usage(llm_calls=1)))
    run.ignore(Heartbeat(run.at_ms, "a", token, usage=Usage(llm_calls=1)))


@pytest.mark.parametrize("how", ["release", "lose"])
def test_an_input_that_no_longer_renders_fails_the_step(how: str) -> None:
    run = Run(plan(step("a", input=Broken(sound=1))))
    run.claim("a")
    getattr(run, how)("a")
    error = run.state("a").error
    assert error is not None
    assert (run.status, error.type) == ("failed", "template")
