"""Each kind of step, and each key of a definition for the whole instance, becomes its part of the plan."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.definitions import RetryPolicy, StepPlan
from leasehold.definitions.plan import (
    Block,
    Budgets,
    Fail,
    Foreach,
    Parallel,
    Plan,
    Remember,
    SetVars,
    SubWorkflow,
    Succeed,
    Switch,
    Wait,
    WaitForSignal,
    While,
)
from leasehold.definitions.templates import Template

from .builders import one, with_steps


def plan_of(*steps: str, head: str = "") -> Plan:
    return one(with_steps(*steps, head=head)).compile()


def only(step: str, head: str = "") -> StepPlan:
    return next(iter(plan_of(step, head=head).steps.values()))


def rendered(template: Template | None, **context: Any) -> Any:
    assert template is not None
    return template.render(context)


def test_a_foreach_runs_its_steps_for_each_item() -> None:
    plan = plan_of(
        "{name: each, foreach: ' {{ inputs.hosts }} ', max_parallel: 3, on_item_failure: continue, timeout: 1h, "
        "steps: [{name: scan, executor: x}, {name: close, executor: y}]}"
    )
    step = plan.steps["each"]
    assert isinstance(step.flow, Foreach)
    assert (step.executor, step.timeout_ms, step.flow.max_parallel, step.flow.on_item_failure) == (
        "", 3_600_000, 3, "continue",
    )  # fmt: skip
    assert rendered(step.flow.items, inputs={"hosts": ["a"]}) == ["a"]
    assert step.flow.body == Block("each.", "item", "each", ("scan", "close"), ("scan",))
    assert list(plan.steps) == ["each", "each.scan", "each.close"]
    assert plan.main.names == ("each",)
    inner = plan.steps["each.close"]
    assert (inner.path, inner.name, inner.depends_on, inner.outer, inner.block) == (
        "each.close", "close", ("scan",), step, step.flow.body,
    )  # fmt: skip
    assert plan.step("each[17].close") is inner


def test_the_items_of_a_foreach_may_be_written_out() -> None:
    step = only("{name: each, foreach: [1, '{{ inputs.a }}', {b: c}], steps: [{name: s, executor: x}]}")
    assert isinstance(step.flow, Foreach)
    assert rendered(step.flow.items, inputs={"a": 2}) == [1, 2, {"b": "c"}]
    assert (step.flow.max_parallel, step.flow.on_item_failure, step.flow.outer) == (10, "fail", frozenset())


def test_a_foreach_with_a_workflow_has_one_step_that_calls_it() -> None:
    plan = plan_of(
        "{name: each, foreach: [1], workflow: isolate-host, version: 3, retry: {max: 2}, timeout: 5m, "
        "input: {host: '{{ item }}'}}"
    )
    step, run = plan.steps["each"], plan.steps["each.run"]
    assert isinstance(step.flow, Foreach)
    assert step.flow.body == Block("each.", "item", "each", ("run",), ("run",))
    assert (step.timeout_ms, step.input, step.retry) == (300_000, None, RetryPolicy())
    assert (run.flow, run.outer, run.retry.max_retries, run.timeout_ms) == (SubWorkflow("isolate-host", 3), step, 2, 0)
    assert rendered(run.input, item="h1") == {"host": "h1"}


@pytest.mark.parametrize(
    ("wait_for", "needed"), [("", 3), ("wait_for: all", 3), ("wait_for: any", 1), ("wait_for: 2", 2)]
)
def test_a_parallel_needs_as_many_branches_as_it_waits_for(wait_for: str, needed: int) -> None:
    branches = "{left: [{name: s, executor: x}], right: [{name: s, executor: y}], mid: [{name: t, wait: 1s}]}"
    plan = plan_of(f"{{name: both, parallel: {branches}, {wait_for}}}")
    flow = plan.steps["both"].flow
    assert isinstance(flow, Parallel)
    assert flow.needed == needed
    assert flow.branches == {
        "left": Block("both.left.", "branch", "both", ("s",), ("s",)),
        "right": Block("both.right.", "branch", "both", ("s",), ("s",)),
        "mid": Block("both.mid.", "branch", "both", ("t",), ("t",)),
    }
    assert [plan.steps[path].executor for path in ("both.left.s", "both.right.s", "both.mid.t")] == ["x", "y", ""]


def test_a_switch_has_its_cases_by_their_text() -> None:
    plan = plan_of(
        '{name: branch, switch: "{{ inputs.v }}", cases: {malicious: [{name: a, executor: x}], '
        "true: [{name: b, executor: x}], 5: [{name: c, executor: x}], null: [{name: d, executor: x}], "
        "1.5e3: [{name: e, executor: x}]}, else: [{name: a, executor: y}]}".replace("1.5e3", "high risk")
    )
    flow = plan.steps["branch"].flow
    assert isinstance(flow, Switch)
    assert rendered(flow.value, inputs={"v": True}) is True
    assert list(flow.cases) == ["malicious", "true", "5", "null", "high risk"]
    assert flow.cases["true"] == Block("branch.true.", "branch", "branch", ("b",), ("b",))
    assert flow.otherwise == Block("branch.else.", "branch", "branch", ("a",), ("a",))
    assert plan.steps["branch.malicious.a"].executor == "x"
    assert plan.steps["branch.else.a"].executor == "y"


def test_a_switch_needs_no_else() -> None:
    flow = only('{name: s, switch: "{{ inputs.a }}-{{ inputs.b }}", cases: {x-y: [{name: a, executor: x}]}}').flow
    assert isinstance(flow, Switch)
    assert flow.otherwise is None
    assert rendered(flow.value, inputs={"a": "x", "b": "y"}) == "x-y"


def test_a_while_asks_before_each_iteration() -> None:
    plan = plan_of(
        '{name: quiet, while: "{{ steps.probe.result.count > 0 }}", max_iterations: 100, '
        "steps: [{name: probe, executor: x}]}"
    )
    flow = plan.steps["quiet"].flow
    assert isinstance(flow, While)
    assert (flow.max_iterations, flow.body) == (
        100, Block("quiet.", "iteration", "quiet", ("probe",), ("probe",)),
    )  # fmt: skip
    assert rendered(flow.condition, steps={"probe": {"result": {"count": 1}}}) is True
    other = only('{name: quiet, while: "{{ inputs.a }}", steps: [{name: probe, executor: x}]}').flow
    assert isinstance(other, While)
    assert other.max_iterations == 1_000


@pytest.mark.parametrize(("version", "number"), [("", None), ("version: active,", None), ("version: 7,", 7)])
def test_a_workflow_is_called_in_a_version(version: str, number: int | None) -> None:
    step = only(f"{{name: sub, workflow: isolate-host, {version} input: {{a: 1}}, timeout: 1h, retry: {{max: 1}}}}")
    assert step.flow == SubWorkflow("isolate-host", number)
    assert (step.static_input, step.timeout_ms, step.retry.max_retries, step.executor) == ({"a": 1}, 3_600_000, 1, "")


def test_defaults_are_for_executors() -> None:
    head = "defaults: {timeout: 5s, retry: {max: 4}}"
    plan = plan_of(
        "{name: a, executor: x, compensate: {executor: y}}", "{name: b, workflow: w}", "{name: c, wait: 1s}", head=head
    )
    given = {path: (step.timeout_ms, step.retry.max_retries) for path, step in plan.steps.items()}
    assert given == {"a": (5_000, 4), "a.compensate": (5_000, 4), "b": (0, 0), "c": (0, 0)}


def test_a_wait_is_a_time_or_until_one() -> None:
    assert only("{name: a, wait: 15m}").flow == Wait(wait_ms=900_000)
    for until, given in (("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"), ('"{{ inputs.t }}"', "2026-01-01")):
        step = only(f"{{name: a, until: {until}}}")
        assert isinstance(step.flow, Wait)
        assert (step.flow.wait_ms, rendered(step.flow.until, inputs={"t": given})) == (0, given)


def test_a_signal_is_waited_for_as_long_as_the_timeout_says() -> None:
    step = only("{name: ticket, wait_for_signal: ticket-closed, timeout: 7d, on_timeout: continue}")
    assert (step.flow, step.timeout_ms) == (WaitForSignal("ticket-closed", "continue"), 7 * 86_400_000)
    step = only("{name: ticket, wait_for_signal: ticket-closed}")
    assert (step.flow, step.timeout_ms) == (WaitForSignal("ticket-closed"), 0)


def test_variables_and_memories_are_templates_of_mappings() -> None:
    head = "memory: {key: fixed}"
    plan = plan_of(
        "{name: a, set: {s: '{{ inputs.s }}', t: 1}}", "{name: b, remember: {last: '{{ vars.s }}'}}", head=head
    )
    first, second = plan.steps["a"].flow, plan.steps["b"].flow
    assert isinstance(first, SetVars)
    assert rendered(first.values, inputs={"s": [1]}) == {"s": [1], "t": 1}
    assert isinstance(second, Remember)
    assert rendered(second.values, vars={"s": 2}) == {"last": 2}
    assert rendered(plan.memory_key) == "fixed"


def test_a_fail_says_why_and_a_succeed_what() -> None:
    failing = only('{name: stop, fail: "no alert: {{ inputs.id }}", if: "{{ inputs.none }}"}')
    assert isinstance(failing.flow, Fail)
    assert rendered(failing.flow.message, inputs={"id": 5}) == "no alert: 5"
    assert rendered(failing.condition, inputs={"none": True}) is True
    ending = only("{name: stop, succeed: {a: '{{ inputs.id }}'}}").flow
    assert isinstance(ending, Succeed)
    assert rendered(ending.outputs, inputs={"id": 5}) == {"a": 5}
    assert only("{name: stop, succeed: true}").flow == Succeed(None)


def test_what_follows_a_failure_is_a_word_or_steps() -> None:
    assert only("{name: a, executor: x}").on_failure == "fail"
    assert only("{name: a, executor: x, on_failure: continue}").on_failure == "continue"
    plan = plan_of(
        "{name: a, executor: x, on_failure: [{name: tell, executor: y, input: '{{ error.message }}'}]}",
        "{name: each, foreach: [1], steps: [{name: b, executor: x, on_failure: [{name: tell, wait: 1s}]}]}",
    )
    assert plan.steps["a"].on_failure == Block("a.on_failure.", "handler", "a", ("tell",), ("tell",))
    assert plan.steps["a.on_failure.tell"].outer is plan.steps["a"]
    assert plan.step("each[3].b.on_failure.tell").outer is plan.steps["each.b"]


def test_every_kind_that_does_work_may_fail_with_leave_and_need_an_approval() -> None:
    keys = "on_failure: continue, requires_approval: true, approval_timeout: 1h"
    for kind in (
        "executor: x",
        "workflow: w",
        "foreach: [1], steps: [{name: s, executor: x}]",
        "parallel: {l: [{name: s, executor: x}]}",
        "switch: '{{ now }}', cases: {a: [{name: s, executor: x}]}",
        "while: '{{ now }}', steps: [{name: s, executor: x}]",
    ):
        step = only(f"{{name: a, {kind}, {keys}}}")
        assert step.on_failure == "continue"
        assert step.approval is not None
        assert step.approval.timeout_ms == 3_600_000


def test_a_compensation_is_a_step_of_its_own_that_sees_what_it_undoes() -> None:
    plan = plan_of(
        "{name: first, executor: x}",
        "{name: book, executor: y, compensate: {executor: z, input: '{{ steps.book.result }}', with: {mode: undo}, "
        "timeout: 5s, queue_timeout: 6s, heartbeat_timeout: 7s, retry: {max: 9}, permissions: [a]}}",
        "{name: sub, workflow: w, compensate: {workflow: undo-w, version: 2, input: {a: 1}, timeout: 1m}}",
    )
    undo = plan.steps["book.compensate"]
    assert plan.steps["book"].compensation is undo
    assert plan.compensates
    assert (undo.name, undo.path, undo.executor, undo.block, undo.outer) == (
        "book.compensate", "book.compensate", "z", plan.main, None,
    )  # fmt: skip
    assert undo.ancestors == {"first", "book"}
    assert (undo.depends_on, undo.dependents) == ((), ())
    assert rendered(undo.input, steps={"book": {"result": 5}}) == 5
    assert undo.static_with == {"mode": "undo"}
    assert (undo.timeout_ms, undo.queue_timeout_ms, undo.heartbeat_timeout_ms) == (5_000, 6_000, 7_000)
    assert (undo.retry.max_retries, undo.permissions) == (9, ("a",))
    other = plan.steps["sub.compensate"]
    assert (other.flow, other.static_input, other.timeout_ms) == (SubWorkflow("undo-w", 2), {"a": 1}, 60_000)
    assert plan.main.names == ("first", "book", "sub")
    assert not plan_of("{name: a, executor: x}").compensates


def test_a_compensation_inside_a_block_stands_in_that_block() -> None:
    plan = plan_of(
        "{name: each, foreach: [1], steps: [{name: a, executor: x}, {name: b, executor: x, compensate: {executor: y}}]}"
    )
    undo = plan.step("each[2].b.compensate")
    assert (undo.outer, undo.block) == (plan.steps["each"], plan.steps["each.b"].block)
    assert undo.ancestors == {"a", "b"}


def test_a_step_has_what_an_attempt_costs() -> None:
    assert only("{name: a, executor: x, cost: 0.02}").cost == 0.02
    assert only("{name: a, executor: x, cost: 2}").cost == 2.0
    assert only("{name: a, executor: x}").cost == 0.0


def test_the_definition_has_steps_for_its_failure_and_its_cancellation() -> None:
    plan = plan_of(
        "{name: a, executor: x}",
        head="on_failure: [{name: page, executor: y, input: '{{ error.step }}{{ steps.a.status }}'}]\n"
        "on_cancel: [{name: page, executor: z}, {name: tidy, executor: z, depends_on: []}]",
    )
    assert plan.on_failure == Block("on_failure.", "on_failure", "", ("page",), ("page",))
    assert plan.on_cancel == Block("on_cancel.", "on_cancel", "", ("page", "tidy"), ("page", "tidy"))
    assert plan.steps["on_failure.page"].executor == "y"
    assert plan.steps["on_cancel.page"].executor == "z"
    assert (plan.main.names, plan.roots) == (("a",), ("a",))


@pytest.mark.parametrize(
    ("head", "budgets"),
    [
        ("max_llm_calls: 5", Budgets(llm_calls=5, llm_calls_key="max_llm_calls")),
        ("budgets: {llm_calls: 5}", Budgets(llm_calls=5)),
        ("budgets: {llm_tokens: 9, cost: 1.5, steps: 500}", Budgets(llm_tokens=9, cost=1.5, steps=500)),
        ("max_llm_calls: 5\nbudgets: {cost: 2}", Budgets(llm_calls=5, cost=2.0, llm_calls_key="max_llm_calls")),
    ],
)
def test_budgets_know_the_key_that_set_them(head: str, budgets: Budgets) -> None:
    assert plan_of("{name: a, executor: x}", head=head).budgets == budgets


def test_concurrency_idempotency_and_memory_have_keys_of_inputs_and_trigger() -> None:
    plan = plan_of(
        "{name: a, executor: x}",
        head="concurrency: {key: '{{ inputs.id }}', limit: 2, strategy: cancel_running}\n"
        "idempotency: 'a-{{ inputs.id }}'\nmemory: {key: '{{ trigger.id }}'}",
    )
    context = {"inputs": {"id": "7"}, "trigger": {"id": "8"}}
    assert plan.concurrency is not None
    assert (plan.concurrency.limit, plan.concurrency.strategy) == (2, "cancel_running")
    assert rendered(plan.concurrency.key, **context) == "7"
    assert rendered(plan.idempotency, **context) == "a-7"
    assert rendered(plan.memory_key, **context) == "8"
    bare = plan_of("{name: a, executor: x}", head="concurrency: {key: one}").concurrency
    assert bare is not None
    assert (bare.limit, bare.strategy, rendered(bare.key)) == (1, "queue", "one")


def test_a_step_says_which_changing_names_it_speaks_of() -> None:
    plan = plan_of(
        "{name: note, set: {s: 1}}",
        "{name: a, executor: x, input: '{{ vars.s }}'}",
        "{name: b, executor: x, if: '{{ signals.go is defined }}', with: {c: '{{ vars.s }}'}}",
        "{name: c, executor: x, input: '{{ inputs.s }}', compensate: {executor: x, input: '{{ signals.go }}'}}",
        "{name: d, wait_for_signal: go}",
        "{name: each, foreach: '{{ inputs.a }}', steps: [{name: e, switch: '{{ vars.s }}', "
        "cases: {x: [{name: f, fail: '{{ signals.go }}'}]}}]}",
        "{name: w, while: '{{ vars.s }}', steps: [{name: f, executor: x, input: '{{ signals.go }}'}]}",
    )
    reads = {path: set(step.reads) for path, step in plan.steps.items()}
    assert reads == {
        "note": set(),
        "a": {"vars"},
        "b": {"vars", "signals"},
        "c": set(),
        "c.compensate": {"signals"},
        "d": set(),
        "each": {"vars", "signals"},  # its items run elsewhere, and take along what they speak of
        "each.e": {"vars"},
        "each.e.x.f": {"signals"},
        "w": {"vars"},
        "w.f": {"signals"},
    }


def test_the_names_of_signals_may_hold_hyphens_in_templates() -> None:
    step = plan_of(
        "{name: t, wait_for_signal: ticket-closed}", "{name: a, executor: x, input: '{{ signals.ticket-closed.by }}'}"
    ).steps["a"]
    assert rendered(step.input, signals={"ticket-closed": {"by": "me"}}) == "me"


def test_blocks_inside_blocks_have_the_names_of_all_above_in_their_paths() -> None:
    plan = plan_of(
        "{name: a, foreach: [1], steps: [{name: b, parallel: {left: [{name: c, while: '{{ now }}', "
        "steps: [{name: d, switch: '{{ now }}', cases: {x: [{name: e, executor: x}]}}]}]}}]}"
    )
    assert list(plan.steps) == ["a", "a.b", "a.b.left.c", "a.b.left.c.d", "a.b.left.c.d.x.e"]
    innermost = plan.step("a[3].b.left.c[12].d.x.e")
    above = []
    step: StepPlan | None = innermost
    while step is not None:
        above.append(step.path)
        step = step.outer
    assert above == list(plan.steps)[::-1]
