"""A run in virtual time: stubs for executors, time that passes at once, people, and what a test is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from leasehold.core.testing import (
    NO_ANSWER,
    NOBODY,
    RELEASED,
    Call,
    Delivery,
    Endless,
    Failure,
    NoStub,
    NotApplied,
    StepFailed,
    StubStep,
    Stuck,
    Takes,
    Unknown,
    Usage,
    play,
)
from leasehold.definitions import InputsError

HOUR_MS = 3_600_000

ONE = """
name: one
steps:
  - {name: fetch, executor: es-query, input: {host: "{{ inputs.host }}"}, model: small}
outputs: {hits: "{{ steps.fetch.result.hits }}"}
"""

RETRIED = """
name: retried
steps:
  - {name: ask, executor: ai, timeout: 60s, retry: {max: 3, initial: 10s, jitter: none, on: ["http.*"]}}
"""

APPROVED = """
name: approved
steps:
  - {name: propose, executor: ai}
  - {name: apply, executor: action, requires_approval: true, approval_timeout: 7d, approval: {approvers: [soc-lead]}}
"""

FOR_EVER = """
name: for-ever
steps:
  - {name: apply, executor: action, requires_approval: true}
"""


def test_a_constant_answers_every_attempt() -> None:
    run = play(ONE, params={"host": "web-1"}, executors={"es-query": {"hits": 2}})
    assert run.status == "succeeded"
    assert run.outputs == {"hits": 2}
    assert run.steps["fetch"].result == {"hits": 2}
    assert run.elapsed_ms == 0


def test_a_function_sees_the_attempt_as_an_executor_does() -> None:
    seen: list[StubStep] = []

    def fetch(step: StubStep) -> dict[str, int]:
        seen.append(step)
        return {"hits": len(step.payload["host"])}

    run = play(ONE, params={"host": "web-1"}, executors={"es-query": fetch})
    assert run.outputs == {"hits": 5}
    (step,) = seen
    assert (step.name, step.run_path, step.capability, step.attempt) == ("fetch", "fetch", "es-query", 1)
    assert (step.payload, step.with_) == ({"host": "web-1"}, {"model": "small"})


def test_a_step_has_its_own_stub_before_that_of_its_capability() -> None:
    run = play(APPROVED, executors={"ai": 1, "action": 2}, steps={"propose": 3})
    assert run.steps["propose"].result == 3


def test_answers_in_a_list_are_for_one_attempt_each() -> None:
    run = play(RETRIED, executors={"ai": [Failure("http.503", "busy"), "yes"]})
    assert run.status == "running"
    run.until_done()
    assert run.steps["ask"].result == "yes"
    assert run.elapsed_ms == 10_000
    first, second = run.attempts("ask")
    assert (first.number, first.outcome, first.error and first.error.type) == (1, "failed", "http.503")
    assert (second.number, second.outcome, second.output) == (2, "succeeded", "yes")
    assert second.started_at_ms - first.finished_at_ms == 10_000


def test_a_list_that_is_used_up_says_so() -> None:
    with pytest.raises(NoStub, match="list of 1 answers, and attempt 2 of step 'ask'"):
        play(RETRIED, executors={"ai": [Failure("http.503")]}).until_done()


def test_a_capability_without_a_stub_says_which_step_needs_it() -> None:
    with pytest.raises(NoStub, match="capability 'es-query', which step 'fetch' needs; given are: ai, render"):
        play(ONE, params={"host": "a"}, executors={"render": 1, "ai": 2})


def test_params_are_checked_as_a_start_checks_them() -> None:
    declared = ONE + "inputs: {host: {type: string, required: true}}\n"
    with pytest.raises(InputsError):
        play(declared, executors={"es-query": 1})


def test_an_exception_fails_the_attempt_as_in_a_worker() -> None:
    def broken(step: StubStep) -> None:
        if step.attempt == 1:
            raise StepFailed("http.500", "down")
        raise ValueError("no number")

    run = play(RETRIED, executors={"ai": broken})
    run.until_done()
    assert [attempt.error and attempt.error.type for attempt in run.attempts()] == ["http.500", "python.ValueError"]
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "python.ValueError"


def test_an_assertion_in_a_stub_fails_the_test() -> None:
    def strict(step: StubStep) -> None:
        assert step.payload == "something else"

    with pytest.raises(AssertionError):
        play(RETRIED, executors={"ai": strict})


def test_a_result_that_is_no_json_fails_the_step() -> None:
    run = play(RETRIED, executors={"ai": object()})
    assert run.error is not None
    assert run.error.type == "result.invalid"


def test_seven_days_pass_at_once() -> None:
    run = play(APPROVED, executors={"ai": None, "action": None})
    assert (run.status, run.steps["apply"].status) == ("waiting", "waiting")
    run.advance(days=6)
    assert run.status == "waiting"
    run.until_done()
    assert run.elapsed_ms == 7 * 24 * HOUR_MS
    assert run.error is not None
    assert run.error.type == "approval_timeout"


def test_an_approval_lets_the_step_go_on() -> None:
    run = play(APPROVED, executors={"ai": None, "action": "done"})
    run.advance(hours=3)
    run.approve("apply", by="ann", roles=["soc-lead"], comment="go")
    assert run.status == "succeeded"
    approval = run.steps["apply"].approval
    assert approval is not None
    assert (approval.decided_by, approval.comment) == ("ann", "go")
    assert approval.decided_at_ms == run.now_ms
    assert run.elapsed_ms == 3 * HOUR_MS


def test_what_the_machine_refuses_raises_with_its_reason() -> None:
    run = play(APPROVED, executors={"ai": None, "action": None})
    with pytest.raises(NotApplied, match="may not decide") as refused:
        run.approve("apply", by="bob")
    assert refused.value.reason == "forbidden"
    run.reject(by="soc-lead")
    assert run.error is not None
    assert run.error.type == "rejected"


def test_a_run_that_can_come_to_no_end_says_what_it_waits_for() -> None:
    run = play(FOR_EVER, executors={"action": None})
    with pytest.raises(Stuck, match=r"step 'apply' waits for an approval: run.approve\('apply'\) gives it"):
        run.until_done()


def test_nobody_leaves_a_step_ready_until_somebody_comes() -> None:
    run = play(ONE, params={"host": "a"}, executors={"es-query": NOBODY})
    with pytest.raises(Stuck, match="step 'fetch' is ready, and nobody has capability 'es-query'"):
        run.until_done()
    run.advance(hours=1)
    run.provide("es-query", {"hits": 1})
    assert run.outputs == {"hits": 1}
    assert run.attempts("fetch")[0].started_at_ms == run.now_ms


def test_an_attempt_takes_the_time_that_its_stub_says() -> None:
    run = play(RETRIED, executors={"ai": Takes("45s", "late")})
    assert run.steps["ask"].status == "claimed"
    run.advance(seconds=44)
    assert run.status == "running"
    run.advance(seconds=1)
    assert run.steps["ask"].result == "late"


def test_an_answer_at_the_very_end_of_the_timeout_counts_and_a_later_one_does_not() -> None:
    assert play(RETRIED, executors={"ai": Takes("60s", 1)}).attempts() == []
    run = play(RETRIED, executors={"ai": Takes("60s", 1)})
    run.until_done()
    assert run.status == "succeeded"
    run = play(RETRIED, executors={"ai": Takes("61s", 1)})
    run.until_done()
    assert [attempt.outcome for attempt in run.attempts()] == ["timed_out"]
    run.advance(minutes=5)
    assert run.status == "failed"


def test_an_executor_that_is_never_heard_of_again_loses_its_lease() -> None:
    run = play(ONE, params={"host": "a"}, executors={"es-query": [NO_ANSWER, {"hits": 1}]})
    run.until_done()
    assert [attempt.outcome for attempt in run.attempts()] == ["lease_lost", "succeeded"]
    assert run.elapsed_ms == 30_000


def test_a_released_lease_leaves_no_attempt() -> None:
    run = play(ONE, params={"host": "a"}, executors={"es-query": [RELEASED, {"hits": 1}]})
    assert [attempt.number for attempt in run.attempts()] == [1]
    assert run.instance.tokens == 2


def test_the_next_attempt_gets_the_checkpoint_of_a_heartbeat() -> None:
    def pages(step: StubStep) -> Any:
        page = (step.checkpoint or {"page": 0})["page"] + 1
        assert step.heartbeat(checkpoint={"page": page}).cancel is False
        return page if page == 3 else Failure("http.503")

    run = play(RETRIED, executors={"ai": pages})
    run.until_done()
    assert (run.steps["ask"].result, len(run.attempts())) == (3, 3)


def test_a_generator_lets_time_pass_and_hears_that_it_is_to_stop() -> None:
    heard: list[tuple[int, bool, str | None]] = []

    def slow(step: StubStep) -> Iterator[str]:
        while True:
            yield "20s"
            answer = step.heartbeat()
            heard.append((run.elapsed_ms, answer.cancel, answer.reason))
            if answer.cancel:
                return

    run = play(RETRIED, executors={"ai": slow})
    run.advance(seconds=30)
    run.cancel(by="ann")
    run.advance(minutes=1)
    assert [entry[:2] for entry in heard] == [(20_000, False), (40_000, True)]
    assert run.status == "cancelled"


def test_usage_and_calls_stand_with_the_attempt_and_usage_with_the_instance() -> None:
    delivery = Delivery({"hits": 1}, usage=Usage(llm_calls=2), calls=[Call("search", {"q": 1}, [])])
    run = play(ONE, params={"host": "a"}, executors={"es-query": delivery})
    (attempt,) = run.attempts()
    assert attempt.usage == Usage(llm_calls=2)
    assert [call.name for call in attempt.calls] == ["search"]
    assert attempt.input == {"host": "a"}
    assert run.usage == Usage(llm_calls=2)


def test_until_stops_where_something_holds() -> None:
    run = play(RETRIED, executors={"ai": [Failure("http.503"), Failure("http.503"), "yes"]})
    run.until(lambda run: run.steps["ask"].attempt == 2)
    assert (run.elapsed_ms, run.status) == (10_000, "running")


def test_the_same_test_gives_the_same_run() -> None:
    def events(seed: int) -> Any:
        jittered = RETRIED.replace("jitter: none", "jitter: full")
        run = play(jittered, executors={"ai": [Failure("http.503")] * 3 + ["yes"]}, seed=seed)
        run.until_done()
        return run.instance.id, run.events

    assert events(7) == events(7)
    assert events(7) != events(8)


def test_a_loop_that_would_never_end_ends_at_the_limit() -> None:
    with pytest.raises(Endless, match="more than 500 events"):
        play(ONE, params={"host": "a"}, executors={"es-query": RELEASED}, limit=500)


def test_an_unknown_step_is_told_with_those_that_there_are() -> None:
    run = play(FOR_EVER, executors={"action": None})
    with pytest.raises(Unknown, match="no step 'aply'; it has had: apply"):
        run.step("aply")
    with pytest.raises(Unknown, match="no step 'aply'"):
        run.attempts("aply")


def test_a_definition_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(ONE)
    for source in (tmp_path / "one.yaml", str(tmp_path / "one.yaml")):
        assert play(source, params={"host": "a"}, executors={"es-query": {"hits": 4}}).outputs == {"hits": 4}
