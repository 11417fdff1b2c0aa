"""Pause, resume, skip, and doing again."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.testing import Failure, NotApplied, Run, StubStep, Takes, play

CHAIN = """
name: chain
max_duration: 10h
steps:
  - {name: a, executor: e, input: a}
  - {name: b, executor: e, input: "{{ steps.a.result }}b", queue_timeout: 10m}
  - {name: pause, wait: 1h}
  - {name: c, executor: e, input: "{{ steps.b.result }}c"}
outputs: {all: "{{ steps.c.result }}"}
"""


def chain(stub: Any = lambda step: Takes("1m", step.payload), **options: Any) -> Run:
    return play(CHAIN, executors={"e": stub}, **options)


def test_while_paused_nothing_is_claimed_but_what_is_under_way_ends() -> None:
    run = chain()
    run.pause(by="ann")
    assert (run.status, run.instance.paused_by) == ("paused", "ann")
    run.advance(hours=1)
    assert (run.status, run.steps["a"].status, run.steps["b"].status) == ("paused", "succeeded", "pending")
    run.resume()
    assert run.steps["b"].status == "claimed"
    run.until_done()
    assert run.outputs == {"all": "abc"}
    assert run.instance.paused_by is None


def test_a_wait_goes_on_while_paused_and_what_follows_waits() -> None:
    run = chain()
    run.advance(minutes=2)
    run.pause()
    run.advance(hours=3)
    assert (run.steps["pause"].status, run.steps["c"].status) == ("succeeded", "pending")
    run.resume()
    run.until_done()
    assert run.outputs == {"all": "abc"}


def test_a_queue_timeout_stands_still_while_paused() -> None:
    run = chain()
    run.advance(seconds=30)
    run.pause()
    run.advance(hours=2)
    run.resume()
    run.until_done()
    assert run.status == "succeeded"


def test_pausing_and_resuming_twice_changes_nothing_and_a_cancelled_pause_ends() -> None:
    run = chain()
    run.resume()
    run.pause()
    run.pause()
    run.cancel()
    assert run.status == "cancelled"


def test_an_approval_given_while_paused_counts_when_it_goes_on() -> None:
    run = play(
        """
name: x
steps:
  - {name: a, executor: e, requires_approval: true}
  - {name: sub, workflow: child, requires_approval: true, depends_on: []}
""",
        executors={"e": "done"},
        workflows=["name: child\nsteps: [{name: do, executor: e}]\noutputs: {r: 1}"],
    )
    run.pause()
    run.approve("a")
    run.approve("sub")
    run.advance(hours=1)
    assert (run.steps["a"].status, run.steps["sub"].status) == ("ready", "pending")
    run.resume()
    run.until_done()
    assert (run.status, run.steps["sub"].result) == ("succeeded", {"r": 1})


@pytest.mark.parametrize("path", ["a", "b", "pause"])
def test_a_skipped_step_counts_as_done(path: str) -> None:
    run = chain(lambda step: Takes("1m", step.payload))
    run.skip(path, by="ann", reason="no need")
    run.until_done()
    assert (run.status, run.steps[path].status) == ("succeeded", "skipped")
    assert run.steps["c"].status == "succeeded"


def test_skipping_a_loop_ends_what_is_in_it() -> None:
    run = play(
        """
name: x
steps:
  - {name: each, foreach: [1, 2, 3], steps: [{name: a, executor: e}]}
  - {name: both, parallel: {l: [{name: a, executor: e}], r: [{name: a, wait: 1h}]}, depends_on: []}
  - {name: after, executor: fast, depends_on: [each, both]}
""",
        executors={"e": Takes("1h", None), "fast": 1},
    )
    run.skip("each")
    run.skip("both")
    run.until_done()
    assert (run.status, run.elapsed_ms) == ("succeeded", 0)
    assert {attempt.outcome for attempt in run.attempts()} == {"cancelled", "succeeded"}


def test_what_is_done_can_not_be_skipped() -> None:
    run = chain()
    run.advance(minutes=1)
    with pytest.raises(NotApplied, match="it is succeeded"):
        run.skip("a")
    with pytest.raises(NotApplied, match="no step 'ghost'"):
        run.skip("ghost")


def test_a_failed_instance_goes_on_from_the_step_that_failed() -> None:
    broken = [True]

    def stub(step: StubStep) -> Any:
        return Failure("x") if step.name == "b" and broken[0] else step.payload

    run = chain(stub)
    assert run.status == "failed"
    broken[0] = False
    run.retry(by="ann")
    run.until_done()
    assert (run.status, run.instance.redrives, run.error) == ("succeeded", 1, None)
    assert run.outputs == {"all": "abc"}
    assert [(attempt.path, attempt.number) for attempt in run.attempts()] == [("a", 1), ("b", 1), ("b", 2), ("c", 1)]


def test_from_the_start_with_other_inputs() -> None:
    run = play(
        """
name: x
inputs: {n: {type: integer}}
steps: [{name: a, executor: e, input: "{{ inputs.n }}"}, {name: b, executor: bad}]
""",
        params={"n": 1},
        executors={"e": lambda step: step.payload, "bad": [Failure("x"), "fine"]},
    )
    assert run.status == "failed"
    run.retry(from_start=True, inputs={"n": 2})
    run.until_done()
    assert run.status == "succeeded"
    assert [(attempt.path, attempt.number, attempt.output) for attempt in run.attempts("a")] == [
        ("a", 1, 1),
        ("a", 2, 2),
    ]


def test_any_step_of_a_live_instance_can_be_done_again_with_all_that_comes_after_it() -> None:
    run = chain(lambda step: step.payload)
    assert run.steps["pause"].status == "waiting"
    run.retry("a")
    run.until_done()
    assert run.status == "succeeded"
    assert [(attempt.path, attempt.number) for attempt in run.attempts()] == [
        *(("a", 1), ("b", 1), ("a", 2), ("b", 2), ("c", 1))
    ]


def test_a_step_that_backs_off_is_tried_at_once() -> None:
    run = play(
        "name: x\nsteps: [{name: a, executor: e, retry: {max: 1, initial: 5m, jitter: none}}]",
        executors={"e": [Failure("x"), "fine"]},
    )
    assert run.steps["a"].status == "backing_off"
    run.retry("a")
    assert (run.status, run.elapsed_ms) == ("succeeded", 0)


def test_what_was_undone_is_done_again() -> None:
    run = play(
        """
name: x
steps:
  - {name: a, executor: e, input: a, compensate: {executor: e, input: undo a}}
  - {name: b, executor: bad}
on_failure: [{name: tell, executor: e, input: told}]
""",
        executors={"e": lambda step: step.payload, "bad": [Failure("x"), Failure("x"), "fine"]},
    )
    run.until_done()
    assert (run.status, run.instance.undone) == ("failed", "succeeded")
    run.retry()
    run.until_done()
    assert run.status == "failed"
    run.retry()
    run.until_done()
    assert run.status == "succeeded"
    assert [attempt.output for attempt in run.attempts() if attempt.output] == [
        *("a", "undo a", "told"),
        *("a", "undo a", "told"),
        *("a", "fine"),
    ]
    keys = [(attempt.path, attempt.number) for attempt in run.attempts()]
    assert len(keys) == len(set(keys))


def test_a_foreach_that_is_done_again_numbers_its_attempts_on() -> None:
    run = play(
        """
name: x
steps:
  - {name: each, foreach: [1, 2, 3], steps: [{name: a, executor: e}]}
  - {name: b, executor: bad}
""",
        executors={"e": 1, "bad": [Failure("x"), "fine"]},
    )
    run.until_done()
    run.retry("each")
    run.until_done()
    assert run.status == "succeeded"
    keys = [(attempt.path, attempt.number) for attempt in run.attempts()]
    assert len(keys) == len(set(keys)) == 8


def test_a_step_inside_another_is_done_again_with_the_one_outside() -> None:
    run = play(
        "name: x\nsteps: [{name: both, parallel: {l: [{name: a, executor: e}, {name: w, wait: 1h}]}}]",
        executors={"e": 1},
    )
    with pytest.raises(NotApplied, match="retry 'both' instead"):
        run.retry("both.l.a")
    run.retry("both")
    run.until_done()
    assert len(run.attempts("both.l.a")) == 2


def test_a_cancelled_and_a_terminated_instance_come_back_too() -> None:
    for end in ("cancel", "terminate"):
        run = chain(lambda step: step.payload)
        getattr(run, end)()
        run.retry()
        run.until_done()
        assert run.status == "succeeded"


def test_a_succeeded_instance_is_done_again_only_from_a_named_step() -> None:
    run = chain(lambda step: step.payload)
    run.until_done()
    with pytest.raises(NotApplied, match="no step has failed"):
        run.retry()
    run.retry("c")
    run.until_done()
    assert (run.status, len(run.attempts("c"))) == ("succeeded", 2)


def test_items_that_were_undone_are_done_again() -> None:
    run = play(
        """
name: x
steps:
  - name: each
    foreach: [1, 2]
    steps: [{name: make, executor: e, input: "{{ item }}", compensate: {executor: e, input: "undo {{ item }}"}}]
  - name: both
    parallel: {l: [{name: a, executor: e, input: a, compensate: {executor: e, input: undo a}}]}
  - {name: other, executor: e, input: other}
  - {name: b, executor: bad}
on_failure: [{name: tell, executor: e, input: told}]
""",
        executors={"e": lambda step: step.payload, "bad": [Failure("x"), "fine"]},
    )
    run.until_done()
    assert (run.status, run.instance.undone) == ("failed", "succeeded")
    before = len(run.attempts())
    run.retry()
    run.until_done()
    assert run.status == "succeeded"
    again = [(attempt.path, attempt.output) for attempt in run.attempts()[before:]]
    assert sorted(again) == [
        ("b", "fine"),
        ("both.l.a", "a"),
        ("each[0].make", 1),
        ("each[1].make", 2),
        ("other", "other"),
    ]
    assert run.attempts("both.l.a")[-1].number == 2
