from __future__ import annotations

import pytest
from leasehold.claim.wire import Call, ErrorInfo, Usage
from leasehold.core.machine import AttemptEnded, Heartbeat, InstanceEnded, LeaseEnded
from leasehold.definitions.plan import RetryPolicy

from .runs import Run, plan, step

SPENT = ErrorInfo("budget.llm_calls", "the budget max_llm_calls is 3, and 4 LLM calls were made")


def beat(run: Run, path: str, **usage: float) -> None:
    run.apply(Heartbeat(run.at_ms, path, run.state(path).token, usage=Usage(**usage)))  # type: ignore[arg-type]


def test_usage_is_cumulative_for_an_attempt_so_that_repeats_count_once() -> None:
    run = Run(plan(step("a")))
    run.claim("a")
    beat(run, "a", llm_calls=2, llm_tokens=100, cost=0.5)
    beat(run, "a", llm_calls=2, llm_tokens=100, cost=0.5)
    beat(run, "a", llm_calls=1, llm_tokens=50)
    assert run.instance.usage == Usage(2, 100, 0.5)
    (recorded, _) = run.complete("a", usage=Usage(3, 150, 0.75))
    assert isinstance(recorded, AttemptEnded)
    assert recorded.record.usage == Usage(3, 150, 0.75)
    assert run.instance.usage == Usage(3, 150, 0.75)


def test_usage_of_all_attempts_and_steps_is_summed() -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=1)), step("b")))
    run.claim("a")
    run.fail("a", usage=Usage(llm_calls=1, cost=0.25))
    run.fire(600_000)
    run.claim("a")
    run.complete("a", usage=Usage(llm_calls=2, cost=0.5))
    run.claim("b")
    beat(run, "b", llm_calls=4)
    run.lose("b")
    assert run.instance.usage == Usage(llm_calls=7, cost=0.75)
    run.claim("b")
    run.complete("b")
    assert run.instance.usage == Usage(llm_calls=7, cost=0.75)


def test_usage_before_a_release_is_carried_over_to_the_attempt_that_gets_its_number() -> None:
    run = Run(plan(step("a")))
    run.claim("a")
    beat(run, "a", llm_calls=2)
    run.release("a")
    run.claim("a")
    beat(run, "a", llm_calls=1)
    assert run.instance.usage == Usage(llm_calls=3)
    run.release("a")
    run.claim("a")
    recorded, _ = run.complete("a", usage=Usage(llm_calls=5))
    assert isinstance(recorded, AttemptEnded)
    assert recorded.record.usage == run.instance.usage == Usage(llm_calls=8)


@pytest.mark.parametrize("how", ["fail", "lose"])
def test_usage_carried_over_a_release_counts_for_one_attempt_only(how: str) -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=1))))
    run.claim("a")
    beat(run, "a", llm_calls=2)
    run.release("a")
    run.claim("a")
    getattr(run, how)("a")
    run.fire(600_000)
    run.claim("a")
    recorded, _ = run.complete("a", usage=Usage(llm_calls=1))
    assert isinstance(recorded, AttemptEnded)
    assert (recorded.record.usage, run.instance.usage) == (Usage(llm_calls=1), Usage(llm_calls=3))


def test_a_completion_that_reaches_the_budget_exactly_is_fine() -> None:
    run = Run(plan(step("a"), max_llm_calls=3))
    run.claim("a")
    run.complete("a", usage=Usage(llm_calls=3))
    assert run.status == "succeeded"


def test_a_completion_that_overspends_keeps_its_result_and_fails_the_instance_by_the_budgets_name() -> None:
    run = Run(plan(step("a"), step("b", "a"), max_llm_calls=3))
    run.claim("a")
    recorded, ended = run.complete("a", "kept", usage=Usage(llm_calls=4))
    assert isinstance(recorded, AttemptEnded)
    assert (recorded.record.outcome, recorded.output, ended) == ("succeeded", "kept", InstanceEnded())
    assert (run.status, run.instance.error, run.statuses) == ("failed", SPENT, {"a": "succeeded", "b": "cancelled"})
    assert run.state("a").result == "kept"


def test_a_heartbeat_that_overspends_ends_the_attempt_and_tells_its_holder() -> None:
    run = Run(plan(step("a"), max_llm_calls=3))
    token = run.claim("a")
    beat(run, "a", llm_calls=4)
    ended, recorded, last = run.effects
    assert ended == LeaseEnded("a", token, f"budget.llm_calls: {SPENT.message}")
    assert isinstance(recorded, AttemptEnded)
    assert (recorded.record.outcome, recorded.record.usage) == ("cancelled", Usage(llm_calls=4))
    assert (last, run.instance.error) == (InstanceEnded(), SPENT)


def test_a_failed_attempt_that_overspends_is_recorded_and_not_retried() -> None:
    run = Run(plan(step("a", retry=RetryPolicy(max_retries=3)), max_llm_calls=3))
    run.claim("a")
    recorded, ended = run.fail("a", usage=Usage(llm_calls=4), calls=(Call("chat"),))
    assert isinstance(recorded, AttemptEnded)
    assert (recorded.record.error, recorded.record.calls) == (ErrorInfo("boom", "it broke"), (Call("chat"),))
    assert (recorded.record.usage, ended) == (Usage(llm_calls=4), InstanceEnded())
    assert (run.status, run.instance.error, run.statuses) == ("failed", SPENT, {"a": "failed"})
    assert (run.state("a").error, run.state("a").failures) == (ErrorInfo("boom", "it broke"), 1)


def test_a_budget_of_zero_allows_no_call_and_no_budget_allows_any() -> None:
    none = Run(plan(step("a"), max_llm_calls=0))
    none.claim("a")
    none.complete("a", usage=Usage(llm_calls=1))
    assert none.status == "failed"
    free = Run(plan(step("a")))
    free.claim("a")
    free.complete("a", usage=Usage(llm_calls=10**9))
    assert free.status == "succeeded"


def test_sums_stop_where_the_wire_stops_so_that_what_is_stored_can_be_read() -> None:
    most = Usage(2**53 - 1, 2**53 - 1, 1e15)
    run = Run(plan(step("a"), step("b")))
    for path in "ab":
        run.claim(path)
        beat(run, path, llm_calls=1)
        run.release(path)
        run.claim(path)
        run.complete(path, usage=most)
        assert run.state(path).usage == most
    assert run.instance.usage == most
