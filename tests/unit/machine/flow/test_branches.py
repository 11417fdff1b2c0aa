"""`switch` chooses, `parallel` splits."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.testing import Failure, Run, Takes, play

SWITCH = """
name: choose
steps:
  - {name: reason, executor: ai}
  - name: branch
    switch: "{{ steps.reason.result }}"
    cases:
      malicious: [{name: isolate, executor: act, input: bad}]
      true: [{name: yes, executor: act, input: "yes"}]
      3: [{name: three, executor: act, input: three}, {name: four, executor: act, input: "{{ steps.three.result }}4"}]
    %s
  - {name: after, executor: act, input: "{{ steps.branch.result }}"}
outputs: {chosen: "{{ steps.branch.result }}"}
"""


def choose(value: Any, otherwise: str = "") -> Run:
    run = play(SWITCH % otherwise, executors={"ai": lambda step: value, "act": lambda step: step.payload})
    run.until_done()
    return run


@pytest.mark.parametrize(
    ("value", "path", "result"),
    [
        ("malicious", "branch.malicious.isolate", "bad"),
        (True, "branch.true.yes", "yes"),
        (3, "branch.3.four", "three4"),
        (3.0, "branch.3.four", "three4"),
        ("3", "branch.3.four", "three4"),
    ],
)
def test_a_switch_runs_the_case_that_its_value_names(value: Any, path: str, result: str) -> None:
    run = choose(value)
    assert run.status == "succeeded"
    assert run.steps[path].status == "succeeded"
    assert run.outputs == {"chosen": result}
    assert not [
        other
        for other in run.instance.steps
        if other.startswith("branch.") and "." in other[7:] and other[:9] != path[:9]
    ]


def test_without_a_case_for_the_value_else_is_run_or_nothing() -> None:
    assert choose("benign").outputs == {"chosen": None}
    run = choose("benign", "else: [{name: note, executor: act, input: fine}]")
    assert run.outputs == {"chosen": "fine"}
    assert run.steps["branch.else.note"].status == "succeeded"


def test_a_failing_case_fails_the_switch() -> None:
    run = play(SWITCH % "", executors={"ai": "malicious", "act": Failure("x", "no")})
    run.until_done()
    assert (run.status, run.steps["branch"].status, run.steps["after"].status) == ("failed", "failed", "cancelled")
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("x", "step 'branch.malicious.isolate' failed: no")


PARALLEL = """
name: split
steps:
  - name: both
    wait_for: %s
    parallel:
      left: [{name: a, executor: left}, {name: b, executor: left}]
      right: [{name: a, executor: right}]
      third: [{name: a, executor: third}]
  - {name: after, executor: after, input: "{{ steps.both.result }}"}
outputs: {both: "{{ steps.both.result }}"}
"""


def split(wait_for: Any, **stubs: Any) -> Run:
    executors = {"left": "l", "right": "r", "third": "t", "after": None, **stubs}
    run = play(PARALLEL % wait_for, executors=executors)
    run.until_done()
    return run


def test_all_branches_run_at_once_and_give_their_last_results() -> None:
    run = split("all", left=Takes("10s", "l"), right=Takes("20s", "r"), third=Takes("5s", "t"))
    assert run.outputs == {"both": {"left": "l", "right": "r", "third": "t"}}
    assert run.elapsed_ms == 20_000
    assert list(run.instance.steps)[:2] == ["both", "after"]


def test_any_takes_the_first_branch_and_cancels_the_others() -> None:
    run = split("any", left=Takes("10s", "l"), right=Takes("2s", "r"), third=Takes("5s", "t"))
    assert run.outputs == {"both": {"left": None, "right": "r", "third": None}}
    assert run.elapsed_ms == 2_000
    assert {path: run.steps[path].status.value for path in ("both.left.a", "both.left.b", "both.third.a")} == {
        "both.left.a": "cancelled",
        "both.left.b": "cancelled",
        "both.third.a": "cancelled",
    }


def test_a_number_takes_as_many_branches() -> None:
    run = split(2, left=Takes("10s", "l"), right=Takes("2s", "r"), third=Takes("5s", "t"))
    assert run.outputs == {"both": {"left": None, "right": "r", "third": "t"}}
    assert run.elapsed_ms == 5_000


def test_a_failed_branch_fails_all_at_once_but_any_only_with_the_last() -> None:
    run = split("all", left=Takes("10s", "l"), right=Takes("2s", Failure("x", "no")), third=Takes("5s", "t"))
    assert (run.status, run.elapsed_ms) == ("failed", 2_000)
    run = split("any", left=Takes("10s", "l"), right=Takes("2s", Failure("x")), third=Takes("5s", Failure("y")))
    assert run.outputs == {"both": {"left": "l", "right": None, "third": None}}
    run = split(
        "any", left=Takes("10s", Failure("z")), right=Takes("2s", Failure("x")), third=Takes("5s", Failure("y"))
    )
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "z"
    run = split(2, left=Takes("10s", "l"), right=Takes("2s", Failure("x")), third=Takes("5s", Failure("y")))
    assert (run.status, run.elapsed_ms) == ("failed", 5_000)


def test_names_inside_hide_those_outside() -> None:
    run = play(
        """
name: scopes
steps:
  - {name: a, executor: e, input: outer}
  - name: both
    parallel:
      left:
        - {name: b, executor: e, input: "{{ steps.a.result }}"}
        - {name: a, executor: e, input: inner, depends_on: [b]}
        - {name: c, executor: e, input: "{{ steps.a.result }}"}
      right: [{name: c, executor: e, input: "{{ steps.a.result }}"}]
outputs: {left: "{{ steps.both.result.left }}", right: "{{ steps.both.result.right }}"}
""",
        executors={"e": lambda step: step.payload},
    )
    run.until_done()
    assert run.outputs == {"left": "inner", "right": "outer"}
    assert run.steps["both.left.b"].result == "outer"


def test_a_branch_may_wait_for_approval_and_be_timed_out() -> None:
    run = play(
        """
name: wait
steps:
  - name: both
    parallel:
      people: [{name: ask, executor: e, requires_approval: true, approval_timeout: 1h}]
      machine: [{name: go, executor: e}]
    wait_for: any
    on_failure: continue
""",
        executors={"e": Failure("x")},
    )
    assert run.status == "waiting"
    run.until_done()
    assert (run.status, run.elapsed_ms) == ("succeeded", 3_600_000)
    assert run.steps["both"].handled
    assert run.steps["both"].error is not None
    assert run.steps["both"].error.type == "approval_timeout"


def test_a_step_that_becomes_ready_and_is_not_needed_in_the_same_event_keeps_nothing_running() -> None:
    branches = "{l: [{name: a, executor: e}], r: [{name: b, set: {n: 1}}]}"
    run = play(f"name: x\nsteps: [{{name: both, parallel: {branches}, wait_for: any}}]")
    assert (run.status, run.steps["both.l.a"].status) == ("succeeded", "cancelled")
