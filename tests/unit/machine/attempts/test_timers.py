from __future__ import annotations

from leasehold.core.machine import AttemptEnded, LeaseEnded, ReadyEnded, StepReady, TimerFired, next_wake_ms
from leasehold.definitions.plan import RetryPolicy

from ..runs import START_MS, Run, approved, plan, step


def test_an_instance_without_timers_never_wakes() -> None:
    assert next_wake_ms(Run(plan(step("a"))).instance) == 0


def test_the_next_wake_is_the_earliest_of_the_deadline_and_the_timers_of_the_steps() -> None:
    run = Run(plan(step("a", queue_timeout_ms=9_000), step("b", timeout_ms=2_000), max_duration_ms=5_000))
    assert next_wake_ms(run.instance) == START_MS + 5_000
    run.claim("b")
    assert next_wake_ms(run.instance) == START_MS + 2_000


def test_a_timer_with_nothing_due_changes_nothing() -> None:
    run = Run(plan(step("a", queue_timeout_ms=1_000), max_duration_ms=5_000))
    run.ignore(TimerFired(START_MS + 999))


def test_a_step_that_nobody_claims_in_time_fails_without_a_retry() -> None:
    run = Run(plan(step("a", queue_timeout_ms=1_000, retry=RetryPolicy(max_retries=3))))
    assert run.fire(1_000)[0] == ReadyEnded("a")
    error = run.state("a").error
    assert error is not None
    assert (run.status, error.type, error.message) == ("failed", "queue_timeout", "nobody claimed it within 1000 ms")


def test_a_claim_ends_the_queue_timeout_and_a_retry_begins_it_anew() -> None:
    run = Run(plan(step("a", queue_timeout_ms=1_000, retry=RetryPolicy(max_retries=1, jitter="none"))))
    run.claim("a")
    run.ignore(TimerFired(START_MS + 5_000))
    run.fail("a")
    run.fire(1_000)
    assert run.state("a").wake_at_ms == run.at_ms + 1_000


def test_an_attempt_that_runs_too_long_loses_its_lease_and_is_retried_as_a_timeout() -> None:
    policy = RetryPolicy(max_retries=1, on=("timeout",), jitter="none", initial_ms=250)
    run = Run(plan(step("a", timeout_ms=2_000, retry=policy)))
    token = run.claim("a")
    ended, recorded = run.fire(2_000)
    assert ended == LeaseEnded("a", token, "timeout: the attempt ran longer than 2000 ms")
    assert isinstance(recorded, AttemptEnded)
    assert recorded.record.outcome == "timed_out"
    assert (run.state("a").status, run.state("a").wake_at_ms) == ("backing_off", run.at_ms + 250)
    run.fire(250)
    run.claim("a")
    run.fire(2_000)
    assert run.instance.error is not None
    assert (run.status, run.instance.error.type) == ("failed", "timeout")


def test_max_duration_fails_the_instance_and_ends_what_runs() -> None:
    run = Run(plan(step("a"), step("b", "a"), max_duration_ms=60_000))
    token = run.claim("a")
    run.fire(60_000)
    assert run.names_of_effects == ["LeaseEnded", "AttemptEnded", "InstanceEnded"]
    assert run.effects[0] == LeaseEnded("a", token, "max_duration: the instance ran longer than max_duration, 60000 ms")
    assert run.statuses == {"a": "cancelled", "b": "cancelled"}
    assert run.instance.error is not None
    assert run.instance.error.type == "max_duration"


def test_what_is_due_fires_by_due_time_and_then_in_the_order_of_the_steps() -> None:
    again = RetryPolicy(max_retries=1, jitter="none")
    names = ("c", "a", "b")
    timeouts = {"c": 3_000, "a": 2_000, "b": 3_000}
    run = Run(plan(*(step(name, timeout_ms=timeouts[name], retry=again) for name in names)))
    for name in names:
        run.claim(name)
    effects = run.fire(10_000)
    assert [effect.path for effect in effects if isinstance(effect, LeaseEnded)] == ["a", "c", "b"]


def test_timers_later_than_the_deadline_do_not_fire_when_all_are_late() -> None:
    late = approved("late", timeout_ms=6_000, on_timeout="approve")
    soon = approved("soon", timeout_ms=5_000, on_timeout="approve")
    run = Run(plan(late, soon, max_duration_ms=5_000))
    effects = run.fire(10_000)
    assert effects[0] == StepReady("soon", "work", run.at_ms, None)
    assert run.names_of_effects == ["StepReady", "ReadyEnded", "InstanceEnded"]
    approval = run.state("late").approval
    assert approval is not None
    assert approval.decision == "pending"


def test_timeouts_of_one_event_get_different_jitter() -> None:
    again = RetryPolicy(max_retries=1, jitter="full", initial_ms=1_000_000)
    run = Run(plan(*(step(name, timeout_ms=1_000, retry=again) for name in "abcd")))
    for name in "abcd":
        run.claim(name)
    run.fire(1_000, random=0.25)
    delays = {name: run.state(name).wake_at_ms - run.at_ms for name in "abcd"}
    assert delays["a"] == 75_000
    assert len(set(delays.values())) == 4
    assert all(0 < delay_ms <= 300_000 for delay_ms in delays.values())
