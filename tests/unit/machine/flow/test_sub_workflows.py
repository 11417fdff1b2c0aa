"""Sub-workflows: child instances whose end is a step's."""

from __future__ import annotations

from typing import Any

from leasehold.core.testing import Delivery, Failure, Run, Takes, Usage, play

PARENT = """
name: parent
%s
steps:
  - {name: first, executor: e, input: 1}
  - name: sub
    workflow: child
    input: {n: "{{ steps.first.result }}"}
    %s
  - {name: after, executor: e, input: "{{ steps.sub.result }}"}
outputs: {got: "{{ steps.sub.result }}"}
"""
CHILD = """
name: child
inputs: {n: {type: integer}}
steps:
  - {name: do, executor: work, input: "{{ inputs.n }}", compensate: {executor: e, input: undo}}
  - {name: more, executor: more}
outputs: {twice: "{{ steps.do.result * 2 }}"}
"""


def parent(keys: str = "", step_keys: str = "", **stubs: Any) -> Run:
    executors = {"e": lambda step: step.payload, "work": lambda step: step.payload, "more": None, **stubs}
    return play(PARENT % (keys, step_keys), workflows=[CHILD], executors=executors)


def test_the_outputs_of_the_child_are_the_result_of_the_step() -> None:
    run = parent()
    run.until_done()
    assert run.outputs == {"got": {"twice": 2}}


def test_a_child_that_fails_fails_the_step_and_is_tried_again_where_retry_says_so() -> None:
    run = parent(more=Failure("x", "no"))
    run.until_done()
    assert run.error is not None
    assert run.status == "failed"
    assert run.error.type == "x"
    assert "sub-workflow 'child'" in run.error.message
    run = parent(step_keys="retry: {max: 2, initial: 1m, jitter: none}", more=[Failure("x"), Failure("x"), None])
    run.until_done()
    assert (run.status, run.steps["sub"].attempt, run.elapsed_ms) == ("succeeded", 3, 180_000)


def test_cancelling_the_parent_has_the_child_undo_what_it_did_first() -> None:
    run = parent(more=Takes("1h", None), e=lambda step: Takes("1m", step.payload))
    run.advance(minutes=2)
    run.cancel()
    assert run.status == "cancelling"
    run.until_done()
    assert (run.status, run.elapsed_ms) == ("cancelled", 180_000)


def test_a_childs_usage_spends_the_parents_budget_as_soon_as_it_is_known() -> None:
    run = parent(
        "budgets: {llm_calls: 3}",
        work=lambda step: Delivery(1, usage=Usage(llm_calls=4)),
        more=Takes("1h", None),
    )
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type) == ("failed", "budget.llm_calls")
    assert run.usage.llm_calls == 4
    assert run.elapsed_ms < 3_600_000


def test_the_parents_deadline_ends_the_child() -> None:
    run = parent("max_duration: 10m", more=Takes("1h", None))
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type, run.elapsed_ms) == ("failed", "max_duration", 600_000)


def test_a_workflow_that_is_not_there_fails_the_step() -> None:
    run = play("name: x\nsteps: [{name: sub, workflow: ghost}]")
    assert run.error is not None
    assert (run.status, run.error.type) == ("failed", "workflow_not_found")


def test_a_workflow_that_calls_itself_is_stopped_at_a_depth() -> None:
    run = play("name: again\nsteps: [{name: sub, workflow: again}]")
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type) == ("failed", "recursion")
