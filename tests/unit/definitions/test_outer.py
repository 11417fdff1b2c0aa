"""What the insides of a foreach take along from outside: the steps that its templates speak of, and no other."""

from __future__ import annotations

import pytest
from leasehold.definitions.plan import Foreach, Plan

from .builders import one, with_steps

BEFORE = ("{name: a, executor: x}", "{name: b, executor: x}", "{name: c-d, executor: x}")


def outer_of(plan: Plan, path: str) -> set[str]:
    flow = plan.steps[path].flow
    assert isinstance(flow, Foreach)
    return set(flow.outer)


def each(inside: str, more: str = "") -> Plan:
    return one(
        with_steps(*BEFORE, f"{{name: each, foreach: '{{{{ steps.a.result }}}}', steps: [{inside}] {more}}}")
    ).compile()


@pytest.mark.parametrize(
    ("inside", "outer"),
    [
        ("{name: s, executor: x}", set()),
        ("{name: s, executor: x, input: '{{ steps.b.result }}'}", {"b"}),
        ("{name: s, executor: x, input: ['{{ steps.c-d.result }}', '{{ steps.b.status }}']}", {"b", "c-d"}),
        ("{name: s, executor: x, if: '{{ steps.b.result }}', with: {m: '{{ steps.a.result }}'}}", {"a", "b"}),
        ("{name: a, executor: x}, {name: s, executor: x, input: '{{ steps.a.result }}{{ steps.b.result }}'}", {"b"}),
        ("{name: s, executor: x, input: '{{ steps | length }}'}", {"a", "b", "c-d"}),
        ("{name: s, executor: x, input: '{{ steps[item].result }}'}", {"a", "b", "c-d"}),
        ("{name: b, executor: x}, {name: s, executor: x, input: '{{ steps | length }}'}", {"a", "c-d"}),
        ("{name: s, executor: x, compensate: {executor: x, input: '{{ steps.b.result }}{{ steps.s.result }}'}}", {"b"}),
        ("{name: s, executor: x, on_failure: [{name: h, executor: x, input: '{{ steps.c-d.result }}'}]}", {"c-d"}),
        ("{name: s, while: '{{ steps.p.result + steps.b.result }}', steps: [{name: p, executor: x}]}", {"b"}),
        ("{name: s, parallel: {l: [{name: p, switch: '{{ steps.b.result }}', "
         "cases: {x: [{name: q, fail: '{{ steps.c-d.error }}'}]}}]}}", {"b", "c-d"}),
    ],
)  # fmt: skip
def test_the_steps_spoken_of_outside_are_taken_along(inside: str, outer: set[str]) -> None:
    assert outer_of(each(inside), "each") == outer


def test_what_follows_its_own_failure_runs_outside() -> None:
    plan = each("{name: s, executor: x}", ", on_failure: [{name: h, executor: x, input: '{{ steps.b.result }}'}]")
    assert outer_of(plan, "each") == set()


def test_the_input_of_a_called_workflow_is_inside() -> None:
    text = with_steps(*BEFORE, "{name: each, foreach: [1], workflow: w, input: '{{ steps.b.result }}{{ item }}'}")
    assert outer_of(one(text).compile(), "each") == {"b"}


def test_a_foreach_inside_another_takes_from_it_and_both_from_outside() -> None:
    plan = each(
        "{name: scan, executor: x}, {name: inner, foreach: '{{ steps.c-d.result }}', steps: ["
        "{name: poke, executor: x, input: '{{ steps.scan.result }}{{ steps.b.result }}'}]}"
    )
    assert outer_of(plan, "each.inner") == {"scan", "b"}
    assert outer_of(plan, "each") == {"b", "c-d"}


def test_a_nearer_step_of_the_same_name_is_meant() -> None:
    plan = each(
        "{name: b, executor: x}, {name: inner, foreach: [1], steps: ["
        "{name: s, executor: x, input: '{{ steps.b.result }}'}]}"
    )
    assert outer_of(plan, "each.inner") == {"b"}
    assert outer_of(plan, "each") == set()
