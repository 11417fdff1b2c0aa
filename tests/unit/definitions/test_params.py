"""The params of a start against the declared inputs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.definitions import Definition, InputsError, Violation
from leasehold.definitions.inputs.params import VIOLATIONS_MAX
from leasehold.definitions.inputs.patterns import SIZE_MAX, TEXT_MAX

from .builders import fault, one, with_steps


def declaring(inputs: str) -> Definition:
    return one(with_steps("{name: a, executor: x}", head=f"inputs: {inputs}"))


def accepted(spec: str, value: Any) -> Any:
    return declaring(f"{{v: {{{spec}}}}}").check_params({"v": value})["v"]


def refused(inputs: str, params: dict[str, Any]) -> tuple[Violation, ...]:
    with pytest.raises(InputsError) as caught:
        declaring(inputs).check_params(params)
    return caught.value.violations


def why(spec: str, value: Any) -> str:
    (violation,) = refused(f"{{v: {{{spec}}}}}", {"v": value})
    assert violation.path.startswith("params.v")
    return violation.message


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("string", ["", "a", "ä"], [1, None, True, [], {}]),
        ("integer", [0, -5, 2**63 - 1], [1.0, "1", True, None, 2**63, [1]]),
        ("number", [0, 1.5, -2], ["1", False, None, float("inf"), float("nan"), 10**400]),
        ("boolean", [True, False], [0, 1, "true", None]),
        ("object", [{}, {"a": [1]}], [[], "x", None]),
        ("array", [[], [1, "a", None]], [{}, "x", None, 5]),
        ("duration", ["30s", "PT5M"], ["30", 30, "", None, "1h30m"]),
    ],
)
def test_a_value_is_of_the_declared_type_and_stays_as_it_is(kind: str, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        found = accepted(f"type: {kind}", value)
        assert found == value
        assert type(found) is type(value)
    for value in wrong:
        assert why(f"type: {kind}", value).startswith("found ")


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        ("2026-03-01", "2026-03-01T00:00:00.000Z"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01T14:00:00.123456+02:00", "2026-03-01T12:00:00.123Z"),
        ("2026-03-01 12:00", "2026-03-01T12:00:00.000Z"),
    ],
)
def test_a_timestamp_is_brought_into_the_form_that_templates_see(given_: str, seen: str) -> None:
    assert accepted("type: timestamp", given_) == seen


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-13-01", 1772366400000, None, "0001-01-01T00:00:00+23:00", "1" * 99]
)
def test_what_is_no_timestamp_is_refused(value: Any) -> None:
    assert why("type: timestamp", value).endswith("allowed: a timestamp such as 2026-03-01T12:00:00Z")


def test_a_missing_required_input_and_an_unknown_one_are_both_told() -> None:
    violations = refused("{alert_id: {type: string, required: true}, hosts: {type: array}}", {"alert": "x"})
    assert [(violation.path, violation.message, violation.nearest) for violation in violations] == [
        ("params.alert_id", "`alert_id` is missing; it is required: a string", None),
        ("params.alert", "there is no input `alert`; did you mean `alert_id`?", "alert_id"),
    ]


def test_every_violation_is_told_with_its_path() -> None:
    violations = refused(
        "{n: {type: integer}, hosts: {type: array, items: {type: string, min: 2}}}",
        {"n": "1", "hosts": ["ok", 5, "x"], "z": 0},
    )
    assert [(violation.path, violation.message) for violation in violations] == [
        ("params.n", 'found "1"; allowed: an integer of at most 64 bits'),
        ("params.hosts[1]", "found 5; allowed: a string"),
        ("params.hosts[2]", "found 1 characters; allowed: at least 2 characters"),
        ("params.z", "there is no input `z`; allowed: `n`, `hosts`"),
    ]


def test_defaults_are_applied_and_what_is_left_out_stays_out() -> None:
    definition = declaring(
        "{a: {type: integer, default: 5}, b: {type: array, default: []}, c: {type: string},"
        " d: {type: string, default: null}, e: {type: timestamp, default: 2026-03-01}}"
    )
    assert definition.check_params({}) == {"a": 5, "b": [], "d": None, "e": "2026-03-01T00:00:00.000Z"}
    assert definition.check_params({"a": 1, "c": "x", "d": None})["d"] is None
    assert definition.check_params({"d": "y"})["d"] == "y"


def test_without_inputs_any_params_pass_and_with_none_declared_none_do() -> None:
    anything = {"a": 1, "b": {"c": [None]}}
    assert one(with_steps("{name: a, executor: x}")).check_params(anything) == anything
    assert [violation.message for violation in refused("{}", {"a": 1})] == ["there is no input `a`; allowed: none"]
    assert declaring("{}").check_params({}) == {}


@pytest.mark.parametrize(
    ("spec", "right", "wrong", "message"),
    [
        ("type: integer, min: 1, max: 5", [1, 5], 6, "found 6; allowed: at most 5"),
        ("type: integer, min: 1, max: 5", [1, 5], 0, "found 0; allowed: at least 1"),
        ("type: number, max: 1", [0.5, 1], 1.5, "found 1.5; allowed: at most 1"),
        ("type: string, min: 2, max: 3", ["ab", "äöü"], "a", "found 1 characters; allowed: at least 2 characters"),
        ("type: array, max: 1", [[], [1]], [1, 2], "found 2 items; allowed: at most 1 items"),
        ("type: object, min: 1", [{"a": 1}], {}, "found 0 entries; allowed: at least 1 entries"),
        ("type: duration, max: 1h", ["60m", "PT1H"], "61m", 'found "61m"; allowed: at most 1h'),
        ("type: timestamp, min: 2026-01-01", ["2026-01-01"], "2025-12-31", "allowed: at least 2026-01-01"),
        (
            "type: string, enum: [fast, slow]",
            ["fast"],
            "fats",
            'found "fats"; allowed: `fast`, `slow`; did you mean `fast`?',
        ),
        ("type: integer, enum: [1, 2]", [1], 3, "found 3; allowed: `1`, `2`"),
        ("type: object, enum: [{a: 1}]", [{"a": 1}], {"a": 2}, "found a mapping; allowed: `a mapping`"),
        (
            "type: timestamp, enum: [2026-01-01]",
            ["2026-01-01T00:00Z"],
            "2026-01-02",
            "allowed: `2026-01-01T00:00:00.000Z`",
        ),
        ('type: string, pattern: "^[A-Z-]+$"', ["A-B"], "A-b", 'found "A-b"; allowed: a string that matches ^[A-Z-]+$'),
        ('type: string, pattern: "b"', ["abc"], "ac", "allowed: a string that matches b"),
        ('type: string, pattern: "^a$"', ["a"], "a\n", "allowed: a string that matches ^a$"),
    ],
)
def test_bounds_choices_and_patterns_hold(spec: str, right: list[Any], wrong: Any, message: str) -> None:
    for value in right:
        accepted(spec, value)
    assert message in why(spec, wrong)


def test_a_pattern_that_would_hang_python_answers_at_once() -> None:
    spec = 'type: string, pattern: "^(a+)+$"'
    definition = declaring(f"{{v: {{{spec}}}}}")
    began = time.process_time()
    with pytest.raises(InputsError):
        definition.check_params({"v": "a" * (TEXT_MAX - 1) + "!"})
    assert time.process_time() - began < 0.5


def test_a_string_that_a_pattern_checks_is_bounded() -> None:
    assert why('type: string, pattern: "a"', "a" * (TEXT_MAX + 1)) == (
        "found 4097 characters; allowed: at most 4096 where a pattern is given"
    )


def test_the_work_on_patterns_is_bounded_over_all_strings() -> None:
    spec = '{v: {type: array, items: {type: string, pattern: "(?:a?){400}b"}}}'
    violations = refused(spec, {"v": ["ab" + "a" * 4000] * 50})
    assert violations[-1].message.startswith("found more text than patterns are tried on")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("((a{0,100}){0,100})*", "the pattern has 10000 parts; at most 500"),
        ("(?=a)", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(a)\\1", "backreferences are not supported"),
        ("[a", "unclosed character class"),
        (r"\\w{51}", f"parts; at most {SIZE_MAX}"),
    ],
)
def test_a_pattern_that_is_none_or_too_large_is_refused(pattern: str, message: str) -> None:
    head = f'inputs: {{v: {{type: string, pattern: "{pattern}"}}}}'
    assert message in fault(with_steps("{name: a, executor: x}", head=head)).message


def test_all_patterns_of_a_definition_are_bounded_together() -> None:
    inputs = ", ".join(f'v{n}: {{type: string, pattern: "(?:a{n})?(?:b?){{450}}"}}' for n in range(3))
    assert (
        "at most 1000 are allowed" in fault(with_steps("{name: a, executor: x}", head=f"inputs: {{{inputs}}}")).message
    )


def test_violations_are_collected_up_to_a_bound() -> None:
    violations = refused("{v: {type: array, items: {type: string}}}", {"v": [1] * 5000, "z": 1})
    assert len(violations) == VIOLATIONS_MAX


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)
everything = declaring(
    "{s: {type: string, pattern: x, max: 3}, i: {type: integer, min: 2}, n: {type: number}, b: {type: boolean},"
    " o: {type: object}, a: {type: array, items: {type: array, items: {type: integer, enum: [1, 2]}}},"
    " d: {type: duration, min: 1s}, t: {type: timestamp}}"
)


@given(st.dictionaries(st.one_of(st.sampled_from(list("sinboadt")), st.text(max_size=3)), json_values, max_size=5))
def test_any_params_pass_or_are_refused(params: dict[str, Any]) -> None:
    checked: dict[str, Any] | None = None
    violations: tuple[Violation, ...] = ()
    try:
        checked = everything.check_params(params)
    except InputsError as refusal:
        violations = refusal.violations
    if checked is None:
        assert violations
        assert all(violation.path.startswith("params.") and violation.message for violation in violations)
    else:
        assert set(checked) == set(params)
