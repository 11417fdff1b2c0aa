"""What an author gets for each kind of mistake: the path, the line and column, what was found, what is allowed."""

from __future__ import annotations

import textwrap

import pytest
from leasehold.definitions import DefinitionError, load
from leasehold.definitions.checks.later import DEFINITION_KEYS
from leasehold.definitions.errors import SHOWN_VIOLATIONS

from .builders import fault, faults, marked, one, with_steps


def place(text: str) -> tuple[str, int | None, int | None, str]:
    violation = fault(text)
    return violation.path, violation.line, violation.column, violation.message


@pytest.mark.parametrize(
    ("head", "path", "message"),
    [
        ("name: ¦Alert", "name", 'found "Alert"; allowed: a-z, 0-9 and -, not beginning with -, at most 128 characters'
         "; did you mean `alert`?"),
        ("version: ¦'4'", "version", 'found "4"; allowed: an integer'),
        ("version: ¦0", "version", "found 0; allowed: at least 1"),
        ("version: ¦true", "version", "found true; allowed: an integer"),
        ("version: ¦1.5", "version", "found 1.5; allowed: an integer"),
        ("¦descripton: x", "descripton", "unknown key `descripton`; did you mean `description`?"),
        ("¦description:", "description", "found null; give it a value or leave the key out"),
        ("labels: {team: ¦5}", "labels.team", "found 5; allowed: a string"),
        ("labels: ¦[a]", "labels", "found a list; allowed: a mapping"),
        ("max_duration: ¦30", "max_duration",
         "found 30; allowed: a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S; write 30s or 30ms"),
        ('max_duration: ¦"30"', "max_duration", 'found "30": 30 has no unit: write 30s or 30ms'),
        ("max_duration: ¦1h30m", "max_duration", 'found "1h30m": a duration has one number and one unit, as in 90m'),
        ("max_duration: ¦P1Y", "max_duration", 'found "P1Y": years and months have no fixed length: write days'),
        ("max_duration: ¦0s", "max_duration", 'found "0s"; leave the key out for no limit'),
        ("max_duration: ¦4000d", "max_duration", 'found "4000d": longer than 3650d, the longest duration'),
        ('max_duration: ¦"{{ x }}"', "max_duration",
         'found "{{ x }}": a duration is fixed: templates are not evaluated here'),
        ("max_llm_calls: ¦-1", "max_llm_calls", "found -1; allowed: at least 0"),
        ("priority: ¦urgent", "priority",
         'found "urgent"; allowed: high, normal, low, or an integer from 0 (first) to 9'),
        ("priority: ¦10", "priority", "found 10; allowed: high, normal, low, or an integer from 0 (first) to 9"),
        ("defaults: {timeout: ¦1x}", "defaults.timeout",
         'found "1x": not a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S'),
        ("defaults: {¦retries: {}}", "defaults.retries", "unknown key `retries`; did you mean `retry`?"),
        ("outputs: ¦5", "outputs", "found 5; allowed: a mapping"),
        ("inputs: {a: ¦string}", "inputs.a", 'found "string"; allowed: a mapping'),
        ("inputs: {a: ¦{}}", "inputs.a.type", "`type` is missing"),
        ("inputs: {a: {type: ¦strin}}", "inputs.a.type",
         'found "strin"; allowed: `string`, `integer`, `number`, `boolean`, `object`, `array`, `duration`, `timestamp`'
         "; did you mean `string`?"),
        ("inputs: {¦a-b: {type: string}}", "inputs.a-b",
         "found the name `a-b`; allowed: letters, digits and _, beginning with a letter, at most 128 characters"),
        ("inputs: {a: {type: array, items: {type: ¦x}}}", "inputs.a.items.type",
         'found "x"; allowed: `string`, `integer`, `number`, `boolean`, `object`, `array`, `duration`, `timestamp`'),
        ("inputs: {a: {type: string, ¦patern: x}}", "inputs.a.patern",
         "unknown key `patern`; did you mean `pattern`?"),
        ('inputs: {a: {type: string, pattern: ¦"("}}', "inputs.a.pattern", 'found "(": unclosed group'),
        ("inputs: {a: {type: integer, ¦pattern: x}}", "inputs.a.pattern", "`pattern` is for strings, not for integer"),
        ("inputs: {a: {type: string, ¦items: {type: string}}}", "inputs.a.items",
         "`items` is for arrays, not for string"),
        ("inputs: {a: {type: integer, ¦min: 5, max: 2}}", "inputs.a.min", "`min` 5 is more than `max` 2"),
        ("inputs: {a: {type: boolean, ¦max: 2}}", "inputs.a.max", "`max` is not for boolean"),
        ("inputs: {a: {type: string, min: ¦-1}}", "inputs.a.min",
         "found -1; allowed: a length, an integer that is not negative"),
        ("inputs: {a: {type: integer, required: true, ¦default: 1}}", "inputs.a.default",
         "a required input is always given; it has no default"),
        ("inputs: {a: {type: integer, default: ¦x}}", "inputs.a.default",
         'found "x"; allowed: an integer of at most 64 bits'),
        ("inputs: {a: {type: integer, enum: [1, ¦x]}}", "inputs.a.enum[1]",
         'found "x"; allowed: an integer of at most 64 bits'),
        ("inputs: {a: {type: string, enum: [ab, cd], default: ¦ac}}", "inputs.a.default",
         'found "ac"; allowed: `ab`, `cd`'),
        ("inputs: {a: {type: array, items: {type: string, ¦default: x}}}", "inputs.a.items.default",
         "`default` has no meaning for the items of an array"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_head_is_told_with_its_place(head: str, path: str, message: str) -> None:
    name = "" if "name:" in head[:6] else "name: x\n"
    text, line, column = marked(f"{name}{head}\nsteps: [{{name: a, executor: x}}]\n")
    found = place(text)
    assert found[:3] == (path, line, column)
    assert found[3].startswith(message)


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ("¦modle: x", "modle",
         "unknown key `modle`; did you mean `model`? keys for the executor go under `with:`"),
        ("¦wherever: x", "wherever", "unknown key `wherever`; allowed: `name`, `executor`"),
        ("timeout: ¦soon", "timeout", 'found "soon": not a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S'),
        ("depends_on: ¦b", "depends_on", 'found "b"; allowed: a list'),
        ("¦depends_on: ", "depends_on", "found null; give it a value or leave the key out"),
        ("depends_on: [¦b]", "depends_on[0]", "there is no step `b`"),
        ("depends_on: [¦a]", "depends_on[0]", "`a` depends on itself"),
        ("depends_on: [¦5]", "depends_on[0]", "found 5; allowed: a string"),
        ("retry: ¦3", "retry", "found 3; allowed: a mapping"),
        ("retry: {max: ¦-1}", "retry.max", "found -1; allowed: at least 0"),
        ("retry: {max: ¦1001}", "retry.max", "found 1001; allowed: at most 1000"),
        ("retry: {max: ¦three}", "retry.max", 'found "three"; allowed: an integer'),
        ("retry: {¦maxx: 3}", "retry.maxx", "unknown key `maxx`; did you mean `max`?"),
        ("retry: {backoff: ¦exponentional}", "retry.backoff",
         'found "exponentional"; allowed: `exponential`, `linear`, `constant`; did you mean `exponential`?'),
        ("retry: {factor: ¦0.5}", "retry.factor", "found 0.5; allowed: at least 1"),
        ("retry: {initial: 1m, ¦max_delay: 1s}", "retry.max_delay", "`max_delay` is shorter than `initial`"),
        ("retry: {on: ¦timeout}", "retry.on", 'found "timeout"; allowed: a list'),
        ('retry: {on: [¦""]}', "retry.on[0]", 'found ""; allowed: at least 1 character'),
        ("if: ¦5", "if", 'found 5; allowed: true, false, or one expression: "{{ ... }}"'),
        ("if: ¦inputs.x", "if", 'found "inputs.x"; allowed: true, false, or one expression: "{{ ... }}"'),
        ('if: ¦"{{ now }} {{ now }}"', "if", "found text with templates in it, which always counts as true"),
        ("with: ¦5", "with", "found 5; allowed: a mapping"),
        ("¦model: a, with: {model: b}", "model", "`model` stands under `with:` as well"),
        ("permissions: ¦read", "permissions", 'found "read"; allowed: a list'),
        ("¦approval: {on_timeout: fail}", "approval", "`approval` has no effect without `requires_approval: true`"),
        ("¦approval_timeout: 4h", "approval_timeout",
         "`approval_timeout` has no effect without `requires_approval: true`"),
        ("requires_approval: true, approval: {on_timeout: ¦wait}", "approval.on_timeout",
         'found "wait"; allowed: `fail`, `approve`, `skip`'),
        ("requires_approval: true, approval: {form: {a: {type: ¦int}}}", "approval.form.a.type",
         'found "int"; allowed: `string`, `integer`'),
        ("requires_approval: true, approval: {form: {a: {type: integer, default: ¦x}}}",
         "approval.form.a.default", 'found "x"; allowed: an integer'),
        ('input: {¦"{{ now }}": 1}', "input.{{ now }}", "templates stand in values, not in keys"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_step_is_told_with_its_place(keys: str, path: str, message: str) -> None:
    text, line, column = marked(with_steps(f"{{name: a, executor: x, {keys}}}"))
    found = place(text)
    assert found[:3] == (f"steps[0].{path}", line, column)
    assert found[3].startswith(message)


@pytest.mark.parametrize(
    ("text", "path", "line", "column", "message"),
    [
        ("steps: [{name: a, executor: x}]\n", "name", 1, 1, "`name` is missing"),
        ("name: x\n", "steps", 1, 1, "`steps` is missing"),
        ("name: x\nsteps: []\n", "steps", 2, 8, "found a list without entries; allowed: at least 1 entry"),
        ("name: x\nsteps: {a: {}}\n", "steps", 2, 8, "found a mapping; allowed: a list"),
        ("name: x\nsteps:\n  - fetch\n", "steps[0]", 3, 5, 'found "fetch"; allowed: a mapping'),
        ("name: x\nsteps:\n  - {executor: x}\n", "steps[0].name", 3, 5, "`name` is missing"),
        ("name: x\nsteps:\n  - name: a\n", "steps[0].executor", 3, 5, "`executor` is missing"),
        ("name: x\nsteps:\n  - {name: a, executor: E s}\n", "steps[0].executor", 3, 25,
         'found "E s"; allowed: a-z, 0-9, -'),
        ("name: system-x\nsteps:\n  - {name: a, executor: x}\n", "name", 1, 7,
         "found `system-x`; names that begin with `system-` are reserved for managed definitions"),
        ("name: x\nsteps:\n  - {name: a, executor: x}\n  - {name: a, executor: x}\n", "steps[1].name", 4, 12,
         "`a` is the name of steps[0] as well; names are unique"),
    ],
)  # fmt: skip
def test_what_is_missing_or_doubled_is_told_with_its_place(
    text: str, path: str, line: int, column: int, message: str
) -> None:
    found = place(text)
    assert found[:3] == (path, line, column)
    assert found[3].startswith(message)


def test_managed_definitions_may_have_reserved_names() -> None:
    assert one("name: system-x\nsteps: [{name: a, executor: x}]\n", managed=True).name == "system-x"


def test_too_many_steps_are_told_so() -> None:
    text = with_steps(*(f"{{name: s{n}, executor: x}}" for n in range(501)))
    assert fault(text).message == "found a list; allowed: at most 500 entries"


@pytest.mark.parametrize("key", sorted(DEFINITION_KEYS))
def test_a_later_key_of_a_definition_is_refused_by_name(key: str) -> None:
    violation = fault(f"name: x\n{key}: {{a: 1}}\nsteps: [{{name: a, executor: x}}]\n")
    assert (violation.message, violation.line, violation.column) == (f"`{key}` is not supported yet", 2, 1)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = textwrap.dedent(
        """\
        name: ¦Alert
        inputs:
          a: {type: ¦strin}
          b: {type: string, pattern: ¦"("}
        ¦triggers: []
        steps:
          - name: fetch
            executor: es-query
            timeout: ¦30
            input: {q: "{{ ¦inputs.c }}", w: "¦{{ 1 + }}"}
          - ¦name: reason
            depends_on: [¦fetsh]
            retry: {¦backof: linear}
          - {name: each, foreach: [], steps: ¦[]}
          - name: ¦fetch
            executor: x
            if: "{{ ¦steps.reson.result }}"
        outputs: {v: "{{ steps.fetch.result | ¦jsn }}"}
        """
    )
    expected = []
    for number, line in enumerate(text.splitlines(), 1):
        pieces = line.split("¦")
        expected += [(number, len("".join(pieces[: at + 1])) + 1) for at in range(len(pieces) - 1)]
    found = faults(text.replace("¦", ""))
    assert [(violation.line, violation.column) for violation in found] == expected
    assert [violation.path for violation in found[5:9]] == [
        "steps[0].input.q",
        "steps[0].input.w",
        "steps[1].executor",
        "steps[1].depends_on[0]",
    ]


def test_the_facts_of_a_violation_stand_apart_for_programs() -> None:
    violation = fault(with_steps("{name: a, executor: x, retry: {backoff: linar}}"))
    assert violation.found == '"linar"'
    assert violation.allowed == "`exponential`, `linear`, `constant`"
    assert violation.nearest == "linear"


def test_mistakes_in_several_documents_are_told_together() -> None:
    text = "name: A\nsteps: [{name: a, executor: x}]\n---\nname: b\nsteps: [{name: a}]\n"
    assert [(violation.line, violation.path) for violation in faults(text)] == [(1, "name"), (5, "steps[0].executor")]


def test_the_same_version_twice_in_one_text_is_refused() -> None:
    text = "name: x\nsteps: [{name: a, executor: x}]\n---\nname: x\nversion: 1\nsteps: [{name: b, executor: x}]\n"
    violation = fault(text)
    assert (violation.line, violation.message) == (4, "version 1 of `x` stands twice in this text")


def test_the_error_shows_the_line_and_a_caret_under_the_column() -> None:
    with pytest.raises(DefinitionError) as caught:
        load("name: x\nsteps:\n  - {name: a, executor: x, timeout: 30}\n", origin="flows/x.yaml")
    assert str(caught.value).splitlines() == [
        "flows/x.yaml:3:37: steps[0].timeout: found 30; allowed: a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S; "
        "write 30s or 30ms",
        "     3 |   - {name: a, executor: x, timeout: 30}",
        "       |                                     ^",
    ]
    assert caught.value.summary == (
        "steps[0].timeout: found 30; allowed: a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S; write 30s or 30ms "
        "(line 3, column 37)"
    )


def test_a_very_long_line_is_shown_in_part() -> None:
    text = f"name: x\nsteps: [{{name: a, executor: x, input: '{'y' * 5000}', timeout: 30}}]\n"
    with pytest.raises(DefinitionError) as caught:
        load(text)
    assert max(map(len, str(caught.value).splitlines())) < 200
    assert "timeout: 30" in str(caught.value)


def test_very_many_mistakes_are_shown_in_part() -> None:
    with pytest.raises(DefinitionError) as caught:
        load("name: x\n" + "".join(f"k{n}: 1\n" for n in range(300)) + "steps: [{name: a, executor: x}]\n")
    assert len(caught.value.violations) == 300
    assert str(caught.value).endswith(f"... and {300 - SHOWN_VIOLATIONS} more")
    assert caught.value.summary.startswith("300 violations; the first: k0: unknown key `k0`")
