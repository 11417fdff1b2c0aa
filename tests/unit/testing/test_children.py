"""Runs with children: the items of a foreach, and sub-workflows."""

from __future__ import annotations

import pytest
from leasehold.core.testing import NOBODY, Delivery, Failure, NotApplied, StubStep, Stuck, Takes, Unknown, Usage, play

FAN_OUT = """
name: fan-out
inputs: {hosts: {type: array}}
budgets: {llm_calls: 50}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 4
    on_item_failure: continue
    steps:
      - {name: scan, executor: scanner, input: {host: "{{ item }}", number: "{{ index }}"}}
      - {name: close, executor: action, requires_approval: true, if: "{{ steps.scan.result.open }}"}
outputs: {failures: "{{ steps.each-host.failures }}"}
"""

PARENT = """
name: parent
steps:
  - name: isolate
    workflow: isolate-host
    input: {host: web-1}
    timeout: 1h
    retry: {max: 1, initial: 5s, jitter: none}
outputs: {done: "{{ steps.isolate.result.done }}"}
"""

CHILD = """
name: isolate-host
inputs: {host: {type: string, required: true}}
steps:
  - {name: cut, executor: network, input: "{{ inputs.host }}"}
outputs: {done: "{{ steps.cut.result }}"}
"""


def hosts(count: int) -> dict[str, list[str]]:
    return {"hosts": [f"web-{number}" for number in range(count)]}


def test_items_are_steps_of_the_run_under_their_full_paths() -> None:
    run = play(FAN_OUT, params=hosts(20), executors={"scanner": Takes("1m", {"open": False})})
    run.until_done()
    assert run.status == "succeeded"
    assert run.step("each-host[19].scan").result == {"open": False}
    assert run.step("each-host[3].close").status == "skipped"
    assert len(run.attempts()) == 20
    assert run.attempts("each-host[17].scan")[0].input == {"host": "web-17", "number": 17}
    at_once = [
        sum(one.started_at_ms <= other.started_at_ms < one.finished_at_ms for one in run.attempts())
        for other in run.attempts()
    ]
    assert max(at_once) == 4


def test_an_approval_in_an_item_is_given_by_its_path() -> None:
    run = play(FAN_OUT, params=hosts(2), executors={"scanner": {"open": True}, "action": "closed"})
    with pytest.raises(Stuck, match=r"step 'each-host\[0\].close' waits for an approval"):
        run.until_done()
    with pytest.raises(NotApplied):
        run.approve("each-host[7].close")
    run.approve("each-host[0].close")
    run.approve("each-host[1].close")
    assert run.status == "succeeded"


def test_a_failed_item_stands_among_the_failures() -> None:
    def scan(step: StubStep) -> object:
        return Failure("unreachable", "no route") if step.payload["number"] == 1 else {"open": False}

    run = play(FAN_OUT, params=hosts(3), executors={"scanner": scan})
    (failure,) = run.outputs["failures"]
    assert (failure["index"], failure["type"]) == (1, "unreachable")


def test_usage_in_items_counts_at_once_and_spends_the_budget() -> None:
    scanner = Takes("1m", Delivery({"open": False}, usage=Usage(llm_calls=20)))
    run = play(FAN_OUT, params=hosts(12), executors={"scanner": scanner})
    run.until_done()
    assert run.error is not None
    assert run.error.type == "budget.llm_calls"
    assert run.elapsed_ms == 60_000


def test_a_sub_workflow_is_a_run_of_its_own() -> None:
    run = play(PARENT, executors={"network": Takes("5m", "cut")}, workflows=[CHILD])
    assert run.child("isolate").status == "running"
    run.until_done()
    assert run.outputs == {"done": "cut"}
    child = run.child("isolate")
    assert (child.status, child.step("cut").result) == ("succeeded", "cut")
    assert child.instance.parent_id == run.instance.id
    assert child.attempts("cut")[0].input == "web-1"


def test_a_failed_sub_workflow_is_tried_again_as_another_child() -> None:
    run = play(PARENT, executors={"network": [Failure("http.500"), "cut"]}, workflows=[CHILD])
    first = run.child("isolate").instance.id
    run.until_done()
    assert run.status == "succeeded"
    assert run.child("isolate").instance.id != first
    assert run.elapsed_ms == 5_000


def test_a_timeout_of_the_step_cancels_the_sub_workflow() -> None:
    run = play(PARENT.replace("max: 1", "max: 0"), executors={"network": NOBODY}, workflows=[CHILD])
    run.until_done()
    assert run.error is not None
    assert run.error.type == "timeout"
    assert run.child("isolate").status == "cancelled"


def test_a_sub_workflow_that_was_not_given_fails_its_step_and_says_so() -> None:
    run = play(PARENT)
    assert run.error is not None
    assert run.error.type == "workflow_not_found"
    assert "play(..., workflows=[...])" in run.error.message
    with pytest.raises(Unknown, match="no sub-workflow of step 'isolate' has begun"):
        run.child("isolate")


def test_params_of_a_sub_workflow_are_checked() -> None:
    run = play(PARENT.replace("{host: web-1}", "{hots: web-1}"), workflows=[CHILD])
    assert run.error is not None
    assert run.error.type == "invalid_params"


def test_a_paused_run_stands_still_and_goes_on() -> None:
    run = play(FAN_OUT, params=hosts(20), executors={"scanner": Takes("1m", {"open": False})})
    run.pause()
    run.advance(hours=1)
    assert (run.status, len(run.attempts())) == ("paused", 4)
    run.resume()
    run.until_done()
    assert run.status == "succeeded"
