from __future__ import annotations

from leasehold.claim.wire import Call, ErrorInfo, Usage
from leasehold.core.machine import (
    AttemptEnded,
    Claimed,
    InstanceEnded,
    LeaseEnded,
    ReadyEnded,
    StepReady,
    next_wake_ms,
)
from leasehold.definitions.plan import RetryPolicy

from ..runs import START_MS, Broken, Computed, Run, approved, plan, step


def test_a_failed_attempt_backs_off_and_comes_back_with_the_input_of_the_first() -> None:
    stamped = Computed(lambda context: context["now"])
    policy = RetryPolicy(max_retries=2, initial_ms=1_000, jitter="none")
    run = Run(plan(step("a", input=stamped, retry=policy)))
    run.claim("a")
    run.at_ms += 500
    (recorded,) = run.fail("a", "http.503", usage=Usage(cost=0.5), calls=(Call("get"),))
    assert isinstance(recorded, AttemptEnded)
    assert (recorded.record.outcome, recorded.record.error) == ("failed", ErrorInfo("http.503", "it broke"))
    assert (recorded.record.usage, recorded.record.calls) == (Usage(cost=0.5), (Call("get"),))
    state = run.state("a")
    assert (state.status, state.token, state.failures, state.error) == ("backing_off", 0, 1, recorded.record.error)
    assert (run.status, next_wake_ms(run.instance)) == ("running", START_MS + 1_500)
    assert run.fire(999) == ()
    assert run.refuse(Claimed(run.at_ms, "a", 1_000, "w")).reason == "not_open"
    assert run.fire(1) == (StepReady("a", "work", START_MS + 1_500, "1970-01-01T00:16:40.000Z"),)
    run.claim("a")
    assert (run.state("a").attempt, run.state("a").usage) == (2, None)


def test_a_step_without_retries_fails_with_its_first_attempt_and_the_instance_with_it() -> None:
    run = Run(plan(step("a"), step("b", "a")))
    run.claim("a")
    effects = run.fail("a")
    assert [type(effect) for effect in effects] == [AttemptEnded, InstanceEnded]
    assert run.statuses == {"a": "failed", "b": "cancelled"}
    assert (run.status, run.instance.error) == ("failed", ErrorInfo("boom", "step 'a' failed: it broke"))
    assert run.instance.finished_at_ms == run.at_ms


def test_the_last_retry_used_up_fails_the_step() -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=2))))
    for _ in range(2):
        run.claim("a")
        run.fail("a")
        run.fire(600_000)
    run.claim("a")
    run.fail("a")
    assert (run.status, run.state("a").attempt, run.state("a").failures) == ("failed", 3, 3)


def test_a_failure_that_is_not_retryable_ends_the_step_whatever_its_policy_says() -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=5))))
    run.claim("a")
    run.fail("a", retryable=False)
    assert run.status == "failed"


def test_an_error_type_that_the_policy_does_not_name_ends_the_step() -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=5, on=("http.5*",)))))
    run.claim("a")
    run.fail("a", "http.503")
    run.fire(600_000)
    run.claim("a")
    run.fail("a", "http.404")
    assert run.status == "failed"


def test_a_failing_step_cancels_the_open_ones_in_order_and_tells_their_holders() -> None:
    again = RetryPolicy(max_retries=1)
    run = Run(
        plan(step("claimed"), step("ready"), step("off", retry=again), approved("asked"), step("bad"), step("z", "bad"))
    )
    token = run.claim("claimed")
    run.claim("off")
    run.fail("off")
    run.claim("bad")
    effects = run.fail("bad")
    error = ErrorInfo("boom", "step 'bad' failed: it broke")
    assert run.names_of_effects == ["AttemptEnded", "LeaseEnded", "AttemptEnded", "ReadyEnded", "InstanceEnded"]
    assert effects[1] == LeaseEnded("claimed", token, "boom: step 'bad' failed: it broke")
    cancelled = effects[2]
    assert isinstance(cancelled, AttemptEnded)
    assert (cancelled.record.path, cancelled.record.outcome, cancelled.record.error) == ("claimed", "cancelled", error)
    assert effects[3] == ReadyEnded("ready")
    assert run.statuses == dict.fromkeys(("claimed", "ready", "off", "asked", "z"), "cancelled") | {"bad": "failed"}
    assert next_wake_ms(run.instance) == 0


def test_an_input_that_no_longer_renders_after_a_backoff_fails_the_step() -> None:
    run = Run(plan(step("a", input=Broken(sound=1), retry=RetryPolicy(max_retries=1))))
    run.claim("a")
    run.fail("a")
    run.fire(600_000)
    error = run.state("a").error
    assert error is not None
    assert (run.status, error.type) == ("failed", "template")
