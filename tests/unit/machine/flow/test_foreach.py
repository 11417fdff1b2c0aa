"""A foreach: its items in order, so many at a time, in shares that are instances of their own."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.machine import CHILD_ITEMS
from leasehold.core.testing import Failure, NotApplied, Run, StubStep, Takes, play

HOSTS = """
name: sweep
inputs: {hosts: {type: array, default: []}}
steps:
  - {name: first, executor: one}
  - name: each
    foreach: "{{ inputs.hosts }}"
    max_parallel: %(parallel)s
    on_item_failure: %(failure)s
    steps:
      - {name: scan, executor: scan, input: {host: "{{ item }}", at: "{{ index }}", saw: "{{ steps.first.result }}"}}
      - {name: file, executor: file, input: "{{ steps.scan.result }}"}
  - {name: last, executor: one, input: "{{ steps.each.result }}"}
outputs: {all: "{{ steps.each.result }}", failures: "{{ steps.each.failures | default([]) }}"}
"""


def sweep(count: int, scan: Any, *, parallel: int = 10, failure: str = "fail", until_done: bool = True) -> Run:
    run = play(
        HOSTS % {"parallel": parallel, "failure": failure},
        params={"hosts": [f"h{number}" for number in range(count)]},
        executors={"one": "seen", "scan": scan, "file": lambda step: f"filed {step.payload}"},
    )
    if until_done:
        run.until_done()
    return run


def scanned(step: StubStep) -> str:
    assert step.payload["saw"] == "seen"
    return f"{step.payload['host']}/{step.payload['at']}"


@pytest.mark.parametrize("count", [0, 1, CHILD_ITEMS, CHILD_ITEMS + 1, 100])
def test_results_come_in_the_order_of_the_items_however_many_there_are(count: int) -> None:
    run = sweep(count, lambda step: Takes(f"{1 + int(step.payload['at']) % 7}s", scanned(step)))
    assert run.status == "succeeded"
    assert run.outputs == {"all": [f"filed h{number}/{number}" for number in range(count)], "failures": []}
    assert run.steps["last"].status == "succeeded"


@pytest.mark.parametrize("parallel", [1, 2, 3, 10, 30, 100, 150, 200, 1_000])
def test_no_more_items_than_max_parallel_are_under_way_and_nearly_as_many_are(parallel: int) -> None:
    under_way: list[int] = []
    now: list[int] = [0]

    def scan(step: StubStep) -> Any:
        now[0] += 1
        under_way.append(now[0])
        return Takes("10s", None)

    def file(step: StubStep) -> Any:
        now[0] -= 1
        return None

    run = play(
        HOSTS % {"parallel": parallel, "failure": "fail"},
        params={"hosts": list(range(200))},
        executors={"one": "seen", "scan": scan, "file": file},
    )
    run.until_done()
    assert run.status == "succeeded"
    assert max(under_way) <= parallel
    assert max(under_way) >= (0.9 * parallel if parallel < 200 else 200)


def test_an_item_that_fails_fails_the_step_and_the_others_are_cancelled() -> None:
    run = sweep(40, lambda step: Failure("http.503") if step.payload["at"] == 20 else Takes("1m", None))
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "http.503"
    assert run.error.message == "step 'each[20].scan' failed: http.503"
    assert run.steps["each"].status == "failed"
    assert run.steps["last"].status == "cancelled"


def test_with_on_item_failure_continue_the_others_go_on_and_the_failures_are_told() -> None:
    run = sweep(
        40, lambda step: Failure("x", "no") if step.payload["at"] % 20 == 3 else scanned(step), failure="continue"
    )
    assert run.status == "succeeded"
    results = run.outputs["all"]
    assert [index for index, result in enumerate(results) if result is None] == [3, 23]
    assert results[4] == "filed h4/4"
    assert run.outputs["failures"] == [
        {"index": 3, "type": "x", "message": "step 'each[3].scan' failed: no"},
        {"index": 23, "type": "x", "message": "step 'each[23].scan' failed: no"},
    ]


def test_what_is_no_list_fails_the_step_with_a_sentence() -> None:
    run = play(
        'name: x\nsteps: [{name: each, foreach: "{{ trigger.hosts }}", steps: [{name: a, executor: e}]}]',
        trigger={"hosts": "h1"},
        executors={"e": None},
    )
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "foreach"
    assert "gave a string; it takes a list" in run.error.message


def test_items_may_hold_loops_of_their_own() -> None:
    run = play(
        """
name: nested
steps:
  - name: each
    foreach: [[1, 2], [], [3]]
    steps:
      - {name: mark, executor: e, input: "{{ index }}"}
      - name: inner
        foreach: "{{ item }}"
        steps: [{name: double, executor: double, input: {n: "{{ item }}", of: "{{ steps.mark.result }}"}}]
outputs: {all: "{{ steps.each.result }}"}
""",
        executors={
            "e": lambda step: f"row {step.payload}",
            "double": lambda step: [step.payload["n"] * 2, step.payload["of"]],
        },
    )
    run.until_done()
    assert run.outputs == {"all": [[[2, "row 0"], [4, "row 0"]], [], [[6, "row 2"]]]}
    assert "each[2].inner[0].double" in run.steps


def test_a_cancelled_instance_waits_until_its_shares_have_ended() -> None:
    run = sweep(40, lambda step: Takes("1h", None), until_done=False)
    run.cancel(reason="enough")
    assert run.status == "cancelled"
    assert {attempt.outcome for attempt in run.attempts() if ".scan" in attempt.path} == {"cancelled"}


def test_a_paused_instance_begins_no_items_and_goes_on_where_it_was() -> None:
    run = sweep(40, lambda step: Takes("10s", scanned(step)), until_done=False)
    run.pause()
    run.advance(minutes=5)
    begun = len(run.attempts())
    assert begun == 11
    run.advance(hours=5)
    assert len(run.attempts()) == begun
    run.resume()
    run.until_done()
    assert run.status == "succeeded"
    assert len(run.outputs["all"]) == 40


def test_a_timeout_of_the_step_ends_its_items() -> None:
    run = play(
        "name: x\nsteps: [{name: each, foreach: [1, 2], timeout: 5s, steps: [{name: a, executor: e}]}]",
        executors={"e": Takes("1m", None)},
    )
    run.until_done()
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "timeout"
    assert run.elapsed_ms == 5_000


def test_a_foreach_of_a_workflow_runs_one_for_each_item() -> None:
    run = play(
        """
name: outer
steps: [{name: each, foreach: [1, 2, 3], workflow: square, input: {n: "{{ item }}"}}]
outputs: {all: "{{ steps.each.result }}"}
""",
        workflows=[
            """
name: square
inputs: {n: {type: integer}}
steps: [{name: do, executor: e, input: "{{ inputs.n }}"}]
outputs: {squared: "{{ steps.do.result }}"}
"""
        ],
        executors={"e": lambda step: step.payload**2},
    )
    run.until_done()
    assert run.status == "succeeded"
    assert run.outputs == {"all": [{"squared": 1}, {"squared": 4}, {"squared": 9}]}


def test_a_decision_without_a_path_is_told_that_those_of_items_want_one() -> None:
    run = play(
        """
name: ask-each
steps:
  - name: each
    foreach: [a, b]
    steps: [{name: act, executor: act, requires_approval: true}]
""",
        executors={"act": None},
    )
    with pytest.raises(NotApplied, match=r"outside its children; name the step"):
        run.approve()
    for item in ("each[0].act", "each[1].act"):
        run.approve(item)
    run.until_done()
    assert run.status == "succeeded"
