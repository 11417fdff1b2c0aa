"""What loads, and what it becomes: the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from leasehold.definitions import ApprovalPolicy, Limits, RetryPolicy, TemplateError, load, validate_text

from .builders import one, step, with_steps

DATA = Path(__file__).parents[2] / "data"
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


def context_with(**results: object) -> dict[str, object]:
    return {"steps": {name.replace("_", "-"): {"result": result} for name, result in results.items()}}


def test_the_definition_at_the_foot_of_the_language_page_loads_compiles_and_renders_as_it_stands() -> None:
    definition = one((DATA / "ai-security-investigation.yaml").read_bytes())
    plan = definition.compile()
    assert (plan.name, plan.version, plan.max_duration_ms, plan.budgets.llm_calls) == (
        "ai-security-investigation",
        2,
        300_000,
        20,
    )
    assert list(plan.steps) == ["gather-context", "analyze", "propose-remediation", "apply-remediation"]
    assert plan.roots == ("gather-context",)
    gather, analyze, propose, apply = plan.steps.values()
    assert gather.permissions == ("read:logs-*", "read:metrics-*")
    assert gather.retry == RetryPolicy(max_retries=2)
    assert gather.timeout_ms == 30_000
    assert analyze.depends_on == ("gather-context",)
    assert analyze.static_with == {"model": "default"}
    assert analyze.input is not None
    assert analyze.input.render(context_with(gather_context={"hits": [1, 2]})) == {"hits": [1, 2]}
    assert propose.input is not None
    assert propose.input.render(context_with(analyze="it was the cat")) == "it was the cat"
    assert propose.ancestors == {"gather-context", "analyze"}
    assert apply.approval == ApprovalPolicy(timeout_ms=86_400_000)
    assert apply.input is None
    assert apply.static_input is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    assert load(path.read_bytes(), origin=path.name)


def test_what_is_left_out_has_its_default() -> None:
    definition = one("name: x\nsteps: [{name: a, executor: e}]\n")
    plan = definition.compile()
    assert (definition.version, definition.description, definition.inputs) == (1, None, None)
    assert (plan.priority, plan.max_duration_ms, plan.budgets.llm_calls, plan.outputs, plan.labels) == (
        5,
        0,
        None,
        None,
        {},
    )
    only = plan.steps["a"]
    assert (only.condition, only.input, only.static_input, only.with_, only.static_with) == (None, None, None, None, {})
    assert (only.timeout_ms, only.queue_timeout_ms, only.heartbeat_timeout_ms) == (0, 0, 0)
    assert (only.retry, only.approval, only.permissions) == (RetryPolicy(), None, ())


def test_steps_run_in_the_order_of_the_text_unless_they_say_otherwise() -> None:
    plan = one(
        with_steps(
            "{name: a, executor: x}",
            "{name: b, executor: x}",
            "{name: c, executor: x, depends_on: []}",
            "{name: d, executor: x, depends_on: [b, c]}",
            "{name: e, executor: x}",
        )
    ).compile()
    assert plan.roots == ("a", "c")
    assert {name: found.depends_on for name, found in plan.steps.items()} == {
        "a": (),
        "b": ("a",),
        "c": (),
        "d": ("b", "c"),
        "e": ("d",),
    }
    assert {name: found.dependents for name, found in plan.steps.items()} == {
        "a": ("b",),
        "b": ("d",),
        "c": ("d",),
        "d": ("e",),
        "e": (),
    }
    assert plan.steps["e"].ancestors == {"a", "b", "c", "d"}
    assert plan.steps["d"].ancestors == {"a", "b", "c"}
    assert plan.steps["c"].ancestors == frozenset()


def test_a_step_may_depend_on_one_that_stands_below_it() -> None:
    plan = one(
        with_steps("{name: a, executor: x, depends_on: [b]}", "{name: b, executor: x, depends_on: []}")
    ).compile()
    assert plan.roots == ("b",)
    assert list(plan.steps) == ["a", "b"]


def test_every_duration_is_in_milliseconds() -> None:
    plan = one(with_steps("{name: a, executor: x}", head="max_duration: P1DT12H")).compile()
    assert plan.max_duration_ms == 36 * 3_600_000
    found = step("timeout: 250ms, queue_timeout: 10m, heartbeat_timeout: PT15S")
    assert (found.timeout_ms, found.queue_timeout_ms, found.heartbeat_timeout_ms) == (250, 600_000, 15_000)


def test_retries_are_merged_key_by_key_with_the_defaults() -> None:
    head = "defaults: {timeout: 60s, retry: {max: 3, jitter: none, not_on: [fatal]}}"
    assert step("input: 1", head).retry == RetryPolicy(max_retries=3, jitter="none", not_on=("fatal",))
    assert step("input: 1", head).timeout_ms == 60_000
    own = step(
        "timeout: 5s, retry: {max: 0, backoff: linear, initial: 2s, max_delay: 1h, on: [timeout, 'http.5*']}", head
    )
    assert own.timeout_ms == 5_000
    assert own.retry == RetryPolicy(
        max_retries=0,
        backoff="linear",
        initial_ms=2_000,
        max_delay_ms=3_600_000,
        jitter="none",
        on=("timeout", "http.5*"),
        not_on=("fatal",),
    )
    assert step("retry: {max: 2, factor: 3, initial: 0s}").retry == RetryPolicy(max_retries=2, factor=3.0, initial_ms=0)


def test_an_approval_is_asked_for_only_where_it_is_required() -> None:
    assert step("requires_approval: false, approval_timeout: 1h").approval is None
    found = step(
        "requires_approval: true, approval_timeout: 24h, "
        "approval: {on_timeout: skip, approvers: [soc-lead], form: {ticket: {type: string, required: true}}}"
    ).approval
    assert found is not None
    assert found.form_check is not None
    assert found.form_check({"ticket": "T-1"}) == {"ticket": "T-1"}
    assert replace(found, form_check=None) == ApprovalPolicy(
        timeout_ms=86_400_000,
        on_timeout="skip",
        approvers=("soc-lead",),
        form={"ticket": {"type": "string", "required": True}},
    )


@pytest.mark.parametrize(("written", "priority"), [("high", 2), ("normal", 5), ("low", 8), ("0", 0), ("9", 9)])
def test_a_priority_is_a_word_or_a_number(written: str, priority: int) -> None:
    assert one(with_steps("{name: a, executor: x}", head=f"priority: {written}")).compile().priority == priority


def test_input_without_a_template_stays_as_it_is() -> None:
    found = step("input: {a: [1, 2.5, null, true, text], b: {c: '}}'}}")
    assert found.input is None
    assert found.static_input == {"a": [1, 2.5, None, True, "text"], "b": {"c": "}}"}}


def test_further_keys_are_split_into_fixed_and_rendered_ones() -> None:
    found = step("model: '{{ inputs.model }}', with: {temperature: 0.2, top: ['{{ inputs.top }}', 1]}")
    assert found.static_with == {"temperature": 0.2}
    assert found.with_ is not None
    assert found.with_.render({"inputs": {"model": "small", "top": 3}}) == {"top": [3, 1], "model": "small"}


def test_a_condition_may_be_fixed_or_have_white_space_around_it() -> None:
    assert step("if: true").condition is None
    never = step("if: false").condition
    assert never is not None
    assert never.render({}) is False
    spaced = step("if: ' {{ inputs.a }} '").condition
    assert spaced is not None
    assert spaced.render({"inputs": {"a": []}}) == []


def test_outputs_without_a_template_are_rendered_all_the_same() -> None:
    outputs = one(with_steps("{name: a, executor: x}", head="outputs: {done: true}")).compile().outputs
    assert outputs is not None
    assert outputs.render({}) == {"done": True}


def test_the_limits_of_renderings_can_be_given() -> None:
    definition = one(with_steps("{name: a, executor: x, input: '{{ inputs.t }}'}"), limits=Limits(output_bytes=10))
    template = definition.compile().steps["a"].input
    assert template is not None
    assert template.render({"inputs": {"t": "short"}}) == "short"
    with pytest.raises(TemplateError, match="larger than 10 bytes"):
        template.render({"inputs": {"t": "x" * 20}})


def test_the_plan_is_compiled_once() -> None:
    definition = one(with_steps("{name: a, executor: x, input: '{{ now }}'}"))
    assert definition.compile() is definition.compile()


def test_a_file_may_hold_several_definitions() -> None:
    first, second = load("name: a\nsteps: [{name: s, executor: x}]\n---\nname: b\nsteps: [{name: s, executor: x}]\n")
    assert (first.name, second.name) == ("a", "b")
    assert second.source.startswith("---\nname: b")
    assert one(second.source).content_hash() == second.content_hash()


def test_a_valid_text_has_nothing_to_tell() -> None:
    assert validate_text("name: a\nsteps: [{name: s, executor: x}]\n") is None
    wrong = validate_text("name: a\n", origin="a.yaml")
    assert wrong is not None
    assert wrong.startswith("a.yaml:1:1: steps: `steps` is missing")
