from __future__ import annotations

from leasehold.core.machine import Started, StepReady, new_instance, render_input, with_values

from ..runs import START_MS, Broken, Computed, Run, plan, step


def test_a_new_instance_has_every_step_pending_and_a_deadline_from_max_duration() -> None:
    made_of = plan(step("a"), step("b", "a"), max_duration_ms=60_000, labels={"team": "soc", "env": "prod"}, priority=2)
    instance = new_instance(
        made_of,
        id="03-1",
        definition_tenant="*",
        tenant="acme",
        space="default",
        inputs={"n": 1},
        trigger={},
        at_ms=START_MS,
        labels={"env": "dev"},
        parent_id="03-0",
    )
    assert {path: state.status.value for path, state in instance.steps.items()} == {"a": "pending", "b": "pending"}
    assert instance.deadline_ms == START_MS + 60_000
    assert instance.labels == {"team": "soc", "env": "dev"}
    assert (instance.status, instance.priority, instance.tokens) == ("running", 2, 0)
    assert (instance.definition_tenant, instance.tenant, instance.space) == ("*", "acme", "default")
    assert (instance.workflow, instance.version, instance.parent_id) == ("triage", 3, "03-0")


def test_a_start_makes_all_steps_without_dependencies_ready_with_their_input() -> None:
    run = Run(plan(step("a", static_input={"q": 1}), step("b"), step("c", "a")))
    assert run.statuses == {"a": "ready", "b": "ready", "c": "pending"}
    assert run.effects == (StepReady("a", "work", START_MS, {"q": 1}), StepReady("b", "work", START_MS, None))
    assert run.status == "running"


def test_a_second_start_is_refused() -> None:
    run = Run(plan(step("a")))
    assert run.refuse(Started(START_MS)).reason == "not_open"


def test_a_plan_without_steps_succeeds_at_its_start() -> None:
    assert Run(plan()).status == "succeeded"


def test_a_step_waits_for_all_its_dependencies() -> None:
    run = Run(plan(step("a"), step("b"), step("join", "a", "b")))
    for path in ("a", "b"):
        assert run.state("join").status == "pending"
        run.claim(path)
        run.complete(path)
    assert run.state("join").status == "ready"
    assert run.names_of_effects == ["AttemptEnded", "StepReady"]


def test_a_false_condition_skips_the_step_and_its_dependents_go_on_with_a_null_result() -> None:
    seen = Computed(lambda context: context["steps"]["maybe"])
    run = Run(plan(step("maybe", condition=Computed(lambda _: 0)), step("after", "maybe", input=seen)))
    assert run.statuses == {"maybe": "skipped", "after": "ready"}
    assert run.state("maybe").finished_at_ms == START_MS
    ready = run.effects[0]
    assert isinstance(ready, StepReady)
    assert ready.input == {"result": None, "status": "skipped", "error": None, "attempts": 0, "started_at": None}


def test_a_chain_of_a_thousand_skipped_steps_ends_in_one_event() -> None:
    never = Computed(lambda _: False)
    names = [f"s{number}" for number in range(1_000)]
    chain = [step(name, *names[max(0, n - 1) : n], condition=never) for n, name in enumerate(names)]
    run = Run(plan(*chain))
    assert run.status == "succeeded"
    assert set(run.statuses.values()) == {"skipped"}


def test_a_true_condition_lets_the_step_run() -> None:
    holds = Computed(lambda context: context["inputs"]["n"] > 1)
    assert Run(plan(step("a", condition=holds)), inputs={"n": 2}).statuses == {"a": "ready"}


def test_a_step_sees_its_ancestors_only_in_the_order_of_the_plan() -> None:
    names = Computed(lambda context: list(context["steps"]))
    run = Run(plan(step("z"), step("other"), step("a", "z"), step("last", "a", input=names)))
    for path in ("z", "a"):
        run.claim(path)
        run.complete(path)
    ready = run.effects[-1]
    assert isinstance(ready, StepReady)
    assert ready.input == ["z", "a"]


def test_a_template_sees_the_names_that_the_language_promises() -> None:
    everything = Computed(dict)
    run = Run(plan(step("first"), step("a", "first", input=everything)), inputs={"n": 1}, trigger={"by": "hand"})
    run.at_ms += 1_500
    run.claim("first")
    run.complete("first", {"hits": 3})
    ready = run.effects[-1]
    assert isinstance(ready, StepReady)
    assert ready.input == {
        "inputs": {"n": 1},
        "trigger": {"by": "hand"},
        "steps": {
            "first": {
                "result": {"hits": 3},
                "status": "succeeded",
                "error": None,
                "attempts": 1,
                "started_at": "1970-01-01T00:16:41.500Z",
            }
        },
        "instance": {
            "id": "03-1",
            "name": "triage",
            "version": 3,
            "tenant": "acme",
            "space": "default",
            "started_at": "1970-01-01T00:16:40.000Z",
        },
        "now": "1970-01-01T00:16:41.500Z",
        "vars": {},
        "signals": {},
        "memory": {},
        "error": None,
    }


def test_a_failing_condition_fails_the_step_and_names_its_line() -> None:
    run = Run(plan(step("a", condition=Broken()), step("b")))
    assert run.statuses == {"a": "failed", "b": "cancelled"}
    error = run.state("a").error
    assert error is not None
    assert (error.type, error.message) == ("template", "template at steps.a.input, line 7: 'hits' is undefined")
    assert run.instance.error is not None
    assert run.instance.error.type == "template"
    assert run.instance.error.message.startswith("step 'a' failed: template at steps.a.input, line 7")


def test_a_failing_input_and_a_failing_with_fail_the_step_at_its_activation() -> None:
    assert Run(plan(step("a", input=Broken()))).statuses == {"a": "failed"}
    assert Run(plan(step("a", with_=Broken()))).statuses == {"a": "failed"}


def test_the_input_renders_the_same_later_as_at_the_activation() -> None:
    stamped = Computed(lambda context: [context["now"], context["steps"]["a"]["result"]])
    run = Run(plan(step("a"), step("b", "a", input=stamped)))
    run.claim("a")
    run.at_ms += 5_000
    run.complete("a", 42)
    ready = run.effects[-1]
    assert isinstance(ready, StepReady)
    run.at_ms += 60_000
    run.claim("b")
    assert render_input(run.instance, run.plan, "b") == ready.input == ["1970-01-01T00:16:45.000Z", 42]


def test_with_values_join_what_is_fixed_and_what_is_rendered() -> None:
    chosen = Computed(lambda context: {"model": context["inputs"]["model"]})
    run = Run(
        plan(step("a", with_=chosen, static_with={"effort": "low"}), step("b", static_with={"k": 1})),
        inputs={"model": "m"},
    )
    assert with_values(run.instance, run.plan, "a") == {"effort": "low", "model": "m"}
    assert with_values(run.instance, run.plan, "b") == {"k": 1}
