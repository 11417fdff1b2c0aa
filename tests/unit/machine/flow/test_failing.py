"""What follows a failure: on_failure of a step, compensation, on_failure and on_cancel of the definition."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.testing import Failure, Run, StubStep, Takes, play

SAGA = """
name: order
inputs: {n: {type: integer, default: 1}}
steps:
  - name: reserve
    executor: act
    input: reserve
    compensate: {executor: act, input: "release {{ steps.reserve.result }}"}
  - name: charge
    executor: act
    input: charge
    compensate:
      executor: act
      input: "refund {{ steps.charge.result }}"
      retry: {max: 2, initial: 1s, jitter: none}
  - {name: note, executor: act, input: note}
  - {name: ship, executor: ship, input: ship, compensate: {executor: act, input: never}}
on_failure:
  - {name: tell, executor: act, input: "{{ error.type }} in {{ error.step }}: {{ steps.charge.result }}"}
on_cancel:
  - {name: say, executor: act, input: "{{ error.message }}"}
"""


DOWN = Failure("http.500", "down")


def order(act: Any = lambda step: f"{step.payload}!", ship: Any = DOWN) -> Run:
    return play(SAGA, executors={"act": act, "ship": ship})


def inputs(run: Run) -> list[Any]:
    return [attempt.input for attempt in run.attempts()]


def test_what_was_done_is_undone_in_reverse_order_and_then_the_closing_steps_run() -> None:
    run = order()
    run.until_done()
    assert run.status == "failed"
    assert inputs(run) == [
        *("reserve", "charge", "note", "ship"),
        *("refund charge!", "release reserve!"),
        "http.500 in ship: charge!",
    ]
    assert run.instance.undone == "succeeded"
    assert (run.steps["charge"].undone, run.steps["note"].undone) == ("succeeded", "")
    assert run.steps["charge.compensate"].status == "succeeded"
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("http.500", "step 'ship' failed: down")


def test_an_instance_that_winds_down_is_cancelling_and_a_compensation_is_retried() -> None:
    refunds: list[Any] = [Failure("x"), Failure("x"), "refunded"]

    def act(step: StubStep) -> Any:
        return refunds.pop(0) if str(step.payload).startswith("refund") else f"{step.payload}!"

    run = order(act)
    assert run.status == "cancelling"
    run.until_done()
    assert (run.status, run.instance.undone, run.elapsed_ms) == ("failed", "succeeded", 3_000)
    assert len(run.attempts("charge.compensate")) == 3


def test_a_compensation_that_fails_for_good_is_recorded_and_the_others_go_on() -> None:
    def act(step: StubStep) -> Any:
        return Failure("x", retryable=False) if str(step.payload).startswith("refund") else f"{step.payload}!"

    run = order(act)
    run.until_done()
    assert (run.status, run.instance.undone) == ("failed", "failed")
    assert (run.steps["charge"].undone, run.steps["reserve"].undone) == ("failed", "succeeded")
    assert inputs(run)[-1] == "http.500 in ship: charge!"


def test_a_cancelled_instance_compensates_and_runs_on_cancel_while_a_terminated_one_does_not() -> None:
    run = order(ship=Takes("1h", None))
    run.cancel(by="ann", reason="changed my mind")
    run.until_done()
    assert run.status == "cancelled"
    assert inputs(run)[-3:] == ["refund charge!", "release reserve!", "cancelled by ann: changed my mind"]
    run = order(ship=Takes("1h", None))
    run.terminate(by="ann")
    assert run.status == "terminated"
    assert inputs(run)[-1] == "ship"
    assert not run.instance.undone


def test_cancelling_what_is_ending_changes_nothing() -> None:
    run = order(lambda step: Takes("1m", f"{step.payload}!"))
    run.advance(minutes=3)
    assert run.status == "cancelling"
    run.cancel()
    run.until_done()
    assert run.status == "failed"


def test_the_deadline_does_not_cut_compensations_short() -> None:
    run = play(
        "max_duration: 90s\n" + SAGA.lstrip(),
        executors={"act": lambda step: Takes("25s", f"{step.payload}!"), "ship": Takes("1h", None)},
    )
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type, run.instance.undone) == ("failed", "max_duration", "succeeded")
    assert run.elapsed_ms == 90_000 + 3 * 25_000


def test_a_failing_closing_step_leaves_the_first_error() -> None:
    def act(step: StubStep) -> Any:
        return Failure("y") if "in ship" in str(step.payload) else f"{step.payload}!"

    run = order(act)
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type) == ("failed", "http.500")
    assert run.steps["on_failure.tell"].status == "failed"


HANDLED = """
name: handled
steps:
  - {name: first, executor: e}
  - name: risky
    executor: risky
    on_failure: %s
  - {name: after, executor: e, input: "{{ steps.risky.error.type }}/{{ steps.risky.status }}/{{ steps.risky.result }}"}
"""


def test_continue_takes_the_failure_up_and_goes_on() -> None:
    run = play(HANDLED % "continue", executors={"e": lambda step: step.payload, "risky": Failure("http.404", "gone")})
    run.until_done()
    assert run.status == "succeeded"
    assert run.steps["after"].result == "http.404/failed/null"
    assert (run.steps["risky"].status, run.steps["risky"].handled) == ("failed", True)


def test_steps_take_the_failure_up_and_see_the_error() -> None:
    block = '[{name: note, executor: e, input: "{{ error.step }}: {{ error.message }}"}, {name: again, executor: e}]'
    run = play(HANDLED % block, executors={"e": lambda step: step.payload, "risky": Failure("http.404", "gone")})
    run.until_done()
    assert run.status == "succeeded"
    assert run.steps["risky.on_failure.note"].result == "risky: gone"
    assert run.steps["after"].result == "http.404/failed/null"


def test_a_handler_that_fails_fails_the_step_for_good() -> None:
    block = '[{name: note, executor: e}, {name: stop, fail: "no way out"}, {name: never, executor: e}]'
    run = play(HANDLED % block, executors={"e": None, "risky": Failure("http.404", "gone")})
    run.until_done()
    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("fail", "step 'risky.on_failure.stop' failed: no way out")
    assert run.steps["risky.on_failure.never"].status == "cancelled"
    assert run.steps["risky"].status == "failed"
    assert not run.steps["risky"].handled


@pytest.mark.parametrize("kind", ["parallel: {left: [%s], right: [%s]}", "foreach: [1, 2]\n    steps: [%s]"])
def test_a_failure_inside_may_be_taken_up_outside(kind: str) -> None:
    inner = "{name: a, executor: bad}"
    body = kind.replace("%s", inner)
    run = play(
        f"name: x\nsteps:\n  - name: outer\n    {body}\n    on_failure: continue\n  - {{name: z, executor: good}}",
        executors={"bad": Failure("x"), "good": "fine"},
    )
    run.until_done()
    assert run.status == "succeeded"
    assert (run.steps["outer"].status, run.steps["outer"].handled) == ("failed", True)


def test_items_that_were_done_are_undone_when_the_instance_fails_later() -> None:
    undone: list[Any] = []

    def act(step: StubStep) -> Any:
        if step.name.endswith(".compensate"):
            undone.append(step.payload)
        return step.payload

    run = play(
        """
name: x
steps:
  - name: each
    foreach: "{{ range(20) | list }}"
    max_parallel: 1
    steps:
      - name: make
        executor: act
        input: "{{ item }}"
        compensate: {executor: act, input: "undo {{ item }} {{ steps.make.result }}"}
  - {name: after, executor: act, input: x, compensate: {executor: act, input: undo after}}
  - {name: stop, fail: enough}
""",
        executors={"act": act},
    )
    run.until_done()
    assert (run.status, run.instance.undone) == ("failed", "succeeded")
    assert undone[0] == "undo after"
    assert sorted(undone[1:]) == sorted(f"undo {number} {number}" for number in range(20))
    assert undone[1:] == [f"undo {number} {number}" for number in reversed(range(20))]
    assert "each[3].make.compensate" not in run.instance.steps


def test_iterations_of_a_loop_are_undone_too() -> None:
    run = play(
        """
name: x
steps:
  - {name: zero, set: {n: 0}}
  - name: loop
    while: "{{ vars.n < 5 }}"
    steps:
      - {name: make, executor: act, input: "{{ index }}", compensate: {executor: act, input: "undo {{ index }}"}}
      - {name: more, set: {n: "{{ vars.n + 1 }}"}}
  - {name: stop, fail: enough}
""",
        executors={"act": lambda step: step.payload},
    )
    run.until_done()
    assert inputs(run) == [0, 1, 2, 3, 4, *(f"undo {number}" for number in (4, 3, 2, 1, 0))]


def test_items_of_all_shares_are_undone_in_one_order_whichever_share_failed() -> None:
    undone: list[Any] = []

    def act(step: StubStep) -> Any:
        if step.name.endswith(".compensate"):
            undone.append(step.payload)
            return None
        if step.payload == 30:
            return Takes("9h", Failure("x"))
        return Takes(f"{60 * ((step.payload * 7) % 41 + 1) + step.payload}s", step.payload)

    run = play(
        """
name: x
steps:
  - {name: before, executor: act, input: 50, compensate: {executor: act, input: 50}}
  - name: each
    foreach: "{{ range(40) | list }}"
    max_parallel: 100
    steps: [{name: make, executor: act, input: "{{ item }}", compensate: {executor: act, input: "{{ item }}"}}]
""",
        executors={"act": act},
    )
    run.until_done()
    assert (run.status, run.instance.undone) == ("failed", "succeeded")
    done = [
        attempt for attempt in run.attempts() if attempt.outcome == "succeeded" and "compensate" not in attempt.path
    ]
    assert undone == [attempt.output for attempt in reversed(done)]
    assert len(undone) == 40


def test_a_cancelled_share_leaves_to_its_instance_what_is_to_be_undone() -> None:
    run = play(
        """
name: x
steps:
  - name: each
    foreach: [1, 2]
    steps:
      - {name: make, executor: act, compensate: {executor: act, input: "undo {{ item }}{{ error.type | default('') }}"}}
      - {name: slow, executor: slow}
""",
        executors={"act": lambda step: step.payload, "slow": Takes("1h", None)},
    )
    run.cancel()
    run.until_done()
    assert run.status == "cancelled"
    assert [attempt.input for attempt in run.attempts() if "compensate" in attempt.path] == [
        "undo 2",
        "undo 1",
    ]


BOTH = """
name: both
steps:
  - {name: look, executor: look}
  - {name: fails, executor: look, input: "{{ 1 // steps.look.result }}", depends_on: [look]}
  - {name: ends, succeed: true, depends_on: [look]}
"""


def test_a_step_that_ends_the_instance_well_wins_over_one_that_fails_in_the_same_turn() -> None:
    run = play(BOTH, executors={"look": lambda step: 0})
    assert (run.status, run.error, run.instance.ending) == ("succeeded", None, None)
    assert run.steps["fails"].status == "failed"


WOUND_DOWN = """
name: wound-down
steps:
  - name: pay
    executor: e
    compensate: {workflow: flaky, retry: {max: 1, initial: 1s, jitter: none}}
  - {name: stop, executor: down, depends_on: [pay]}
on_failure:
  - {name: page, executor: down, on_failure: %s}
  - {name: tell, workflow: flaky, retry: {max: 1, initial: 1s, jitter: none}}
"""
FLAKY = "name: flaky\nsteps: [{name: try, executor: flaky}]"


def wound_down(on_failure: str) -> Run:
    """An instance that fails, and whose children fail at every first attempt."""
    tries: list[StubStep] = []

    def flaky(step: StubStep) -> Any:
        tries.append(step)
        return DOWN if len(tries) % 2 else "done"

    executors = {"e": lambda step: "done", "down": DOWN, "flaky": flaky}
    run = play(WOUND_DOWN % on_failure, executors=executors, workflows=[FLAKY])
    run.until_done()
    return run


def test_sub_workflows_that_undo_or_close_have_their_retries() -> None:
    run = wound_down("continue")
    assert (run.status, run.instance.undone, run.elapsed_ms) == ("failed", "succeeded", 2_000)
    assert (run.steps["pay.compensate"].attempt, run.steps["on_failure.tell"].attempt) == (2, 2)


@pytest.mark.parametrize("on_failure", ["continue", "[{name: mail, executor: e}]"])
def test_a_closing_step_that_fails_as_its_on_failure_allows_is_followed_by_the_next(on_failure: str) -> None:
    run = wound_down(on_failure)
    assert (run.steps["on_failure.page"].status, run.steps["on_failure.page"].handled) == ("failed", True)
    assert run.steps["on_failure.tell"].status == "succeeded"
    assert run.error is not None
    assert (run.status, run.error.type) == ("failed", "http.500")


def test_a_closing_step_whose_on_failure_steps_fail_ends_the_closing() -> None:
    run = wound_down("[{name: mail, executor: down}]")
    assert run.steps["on_failure.page"].error is not None
    assert run.steps["on_failure.page"].error.message == "step 'on_failure.page.on_failure.mail' failed: down"
    assert (run.status, run.steps["on_failure.tell"].status) == ("failed", "cancelled")
