from __future__ import annotations

from leasehold.claim.wire import Call, Usage
from leasehold.core.machine import (
    AttemptEnded,
    AttemptRecord,
    Completed,
    InstanceEnded,
    SideValue,
    StepReady,
)

from ..runs import START_MS, Broken, Computed, Run, plan, step


def test_a_completion_records_the_attempt_keeps_the_result_and_ends_the_instance_with_its_last_step() -> None:
    run = Run(plan(step("a", executor="es-query", timeout_ms=60_000)))
    run.at_ms += 100
    token = run.claim("a")
    run.at_ms += 400
    calls = (Call("search", duration_ms=12),)
    effects = run.complete("a", {"hits": 2}, usage=Usage(llm_calls=1), calls=calls)
    record = AttemptRecord(
        path="a",
        step="a",
        executor="es-query",
        attempt=1,
        token=token,
        outcome="succeeded",
        worker="worker-1",
        activated_at_ms=START_MS,
        ready_at_ms=START_MS,
        started_at_ms=START_MS + 100,
        finished_at_ms=START_MS + 500,
        usage=Usage(llm_calls=1),
        calls=calls,
    )
    assert effects == (AttemptEnded(record, {"hits": 2}), InstanceEnded())
    state = run.state("a")
    assert (state.status, state.result, state.finished_at_ms, state.wake_at_ms) == (
        "succeeded",
        {"hits": 2},
        run.at_ms,
        0,
    )
    assert (run.status, run.instance.finished_at_ms) == ("succeeded", START_MS + 500)


def test_a_repeated_completion_under_the_token_that_won_changes_nothing_and_is_not_refused() -> None:
    run = Run(plan(step("a"), step("b", "a")))
    token = run.claim("a")
    run.complete("a", 1)
    run.ignore(Completed(run.at_ms, "a", token, 1))
    run.claim("b")
    run.complete("b")
    run.ignore(Completed(run.at_ms, "a", token, 1))


def test_a_completion_under_another_token_than_the_one_that_won_is_refused() -> None:
    run = Run(plan(step("a"), step("b", "a")))
    run.claim("a")
    run.lose("a")
    run.claim("a")
    run.complete("a", 1)
    assert run.refuse(Completed(run.at_ms, "a", 1, "late")).reason == "stale_token"
    assert run.state("a").result == 1


def test_a_completion_counts_even_when_the_timeout_is_over_but_has_not_fired() -> None:
    run = Run(plan(step("a", timeout_ms=1_000)))
    run.claim("a")
    run.at_ms += 2_000
    run.complete("a")
    assert run.status == "succeeded"


def test_a_large_result_is_kept_by_reference_and_templates_see_its_value() -> None:
    run = Run(plan(step("a"), step("b", "a", input=Computed(lambda context: context["steps"]["a"]["result"]["n"]))))
    run.claim("a")
    large = SideValue("03-1:a:1", {"n": 7})
    recorded, ready = run.complete("a", large)
    assert (run.state("a").result, run.state("a").result_ref) == (large, "03-1:a:1")
    assert isinstance(recorded, AttemptEnded)
    assert recorded.output is large
    assert isinstance(ready, StepReady)
    assert ready.input == 7


def test_large_inputs_are_kept_by_reference_and_templates_see_their_values() -> None:
    both = Computed(lambda context: [context["inputs"], context["trigger"]])
    run = Run(plan(step("a", input=both)), inputs=SideValue("i", {"n": 1}), trigger=SideValue("t", {"m": 2}))
    assert (run.instance.inputs_ref, run.instance.trigger_ref) == ("i", "t")
    ready = run.effects[0]
    assert isinstance(ready, StepReady)
    assert ready.input == [{"n": 1}, {"m": 2}]


def test_outputs_are_rendered_from_all_steps_when_the_last_is_done() -> None:
    outputs = Computed(lambda context: {name: facts["result"] for name, facts in context["steps"].items()})
    run = Run(plan(step("a"), step("b"), outputs=outputs))
    for path in ("b", "a"):
        run.claim(path)
        run.complete(path, path.upper())
    assert run.instance.outputs == {"a": "A", "b": "B"}


def test_failing_outputs_fail_the_instance_and_keep_its_steps() -> None:
    run = Run(plan(step("a"), outputs=Broken()))
    run.claim("a")
    run.complete("a", 1)
    assert run.names_of_effects == ["AttemptEnded", "InstanceEnded"]
    assert (run.status, run.statuses) == ("failed", {"a": "succeeded"})
    assert run.instance.error is not None
    assert run.instance.error.type == "template"
    assert "line 7" in run.instance.error.message
