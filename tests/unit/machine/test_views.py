from __future__ import annotations

from dataclasses import replace

import msgspec
from leasehold.claim.wire import ApprovalView, ErrorInfo, StepView, Usage
from leasehold.core.machine import Instance, SideValue, instance_view, step_view

from .runs import START_MS, Computed, Run, approved, plan, step


def test_a_view_shows_the_steps_in_the_order_of_the_plan() -> None:
    run = Run(plan(step("z", executor="es-query"), step("a", "z")))
    shuffled = msgspec.structs.replace(run.instance, steps=dict(reversed(run.instance.steps.items())))
    assert [step.name for step in instance_view(shuffled, run.plan).steps] == ["z", "a"]
    assert [step.name for step in instance_view(shuffled, None).steps] == ["a", "z"]
    assert [step.executor for step in instance_view(run.instance, run.plan).steps] == ["es-query", "work"]
    assert [step.executor for step in instance_view(run.instance, None).steps] == ["", ""]


def test_a_view_shows_the_instance_as_it_stands() -> None:
    outputs = Computed(lambda context: context["steps"]["a"]["result"])
    run = Run(
        plan(step("a"), outputs=outputs),
        inputs=SideValue("i", {"n": 1}),
        trigger={"by": "hand"},
        labels={"team": "soc"},
        started_by="ann",
        correlation_id="c-1",
        traceparent="00-1",
    )
    live = instance_view(run.instance, run.plan)
    assert (live.status, live.finished_at_ms, live.usage, live.outputs) == ("running", None, None, None)
    assert (live.inputs, live.trigger, live.labels) == ({"n": 1}, {"by": "hand"}, {"team": "soc"})
    assert (live.started_by, live.correlation_id, live.traceparent) == ("ann", "c-1", "00-1")
    run.claim("a")
    run.complete("a", SideValue("r", [1, 2]), usage=Usage(llm_calls=1))
    done = instance_view(run.instance, run.plan)
    assert (done.status, done.outputs, done.usage, done.finished_at_ms) == ("succeeded", [1, 2], Usage(1), run.at_ms)
    assert done.steps[0] == StepView(
        name="a",
        run_path="a",
        status="succeeded",
        executor="work",
        attempt=1,
        result=[1, 2],
        ready_at_ms=START_MS,
        started_at_ms=START_MS,
        finished_at_ms=START_MS,
        worker="worker-1",
    )
    assert msgspec.json.encode(done)


def test_a_view_of_a_failed_instance_says_why() -> None:
    run = Run(plan(step("a")))
    run.claim("a")
    run.fail("a")
    view = instance_view(run.instance, run.plan)
    assert (view.status, view.error) == ("failed", ErrorInfo("boom", "step 'a' failed: it broke"))
    assert view.steps[0].error == ErrorInfo("boom", "it broke")


def test_a_view_of_an_approval_names_its_approvers_and_then_who_decided() -> None:
    run = Run(plan(approved("a", timeout_ms=5_000, approvers=["bob"])))
    asked = step_view(run.instance, run.plan, "a")
    assert asked.approval == ApprovalView("pending", approvers=["bob"], timeout_at_ms=START_MS + 5_000)
    assert asked.wake_at_ms == START_MS + 5_000
    run.decide("a", False, by="bob", comment="no", form={"ok": True})
    decided = step_view(run.instance, run.plan, "a")
    assert decided.error == ErrorInfo("rejected", "rejected by bob: no")
    assert decided.approval == ApprovalView("rejected", "bob", START_MS, "no", {"ok": True}, ["bob"], START_MS + 5_000)


def test_a_view_leaves_out_steps_that_the_instance_does_not_have() -> None:
    run = Run(plan(step("a")))
    other = replace(run.plan, steps={"new": step("new"), **run.plan.steps})
    instance: Instance = run.instance
    assert [step.name for step in instance_view(instance, other).steps] == ["a"]
