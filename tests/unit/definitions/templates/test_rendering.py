"""What templates give: types that are kept, text, absence, methods, statements."""

from __future__ import annotations

import math
from typing import Any

import pytest
from leasehold.definitions import Template, compile_value

from .seen import CONTEXT, failure, refusal, render


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.n }}", 3),
        ("{{inputs.f}}", 1.5),
        ("{{ inputs.yes }}", True),
        ("{{ inputs.nothing }}", None),
        ("{{ inputs.hosts }}", ["b", "a", "c"]),
        ("{{ inputs.nested.deep }}", {"er": [10, {"a": "b"}]}),
        ("{{ inputs.nested.deep.er[1].a }}", "b"),
        ("{{ inputs['nested']['deep'].er.0 }}", 10),
        ("{{ inputs.hosts[-1] }}", "c"),
        ("{{ inputs }}", CONTEXT["inputs"]),
        ("{{ 1 + 2 }}", 3),
        ("{{ 7 / 2 }}", 3.5),
        ("{{ 7 // 2 }}", 3),
        ("{{ -inputs.n }}", -3),
        ("{{ none }}", None),
        ("{{ 'a' }}", "a"),
        ("{{ [1, (2, 3), {'a': inputs.n}] }}", [1, [2, 3], {"a": 3}]),
        ("{{ 1, 2 }}", [1, 2]),
        ("{{ inputs.n > 2 and not false }}", True),
        ("{{ 1 < inputs.n <= 3 != 4 }}", True),
        ("{{ 'a' in inputs.hosts, 'z' not in inputs.hosts, 'rü' in inputs.text, 'n' in inputs }}", [True] * 4),
        ("{{ inputs.nothing or 5 }}", 5),
        ("{{ 'big' if inputs.n > 2 else 'small' }}", "big"),
        ("{{ 5 if false }}", None),
        ("{{ inputs.hosts[1:] }}", ["a", "c"]),
        ("{{ inputs.text[::-1] }}", "eßürG"),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ range(5, 0, -2) }}", [5, 3, 1]),
        ("{{ inputs.n }}{# a comment #}", 3),
        ("{{- inputs.n -}}", 3),
        ("{{ inputs.n }}\n", 3),
    ],
)
def test_a_string_that_is_one_expression_keeps_its_type(text: str, value: Any) -> None:
    found = render(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n={{ inputs.n }}", "n=3"),
        ("{{ inputs.n }} ", "3 "),
        ("{{ inputs.n }}{{ inputs.f }}", "31.5"),
        ("a {{ true }} {{ none }} {{ inputs.hosts }} {{ {'a': 'ü'} }}", 'a true null ["b","a","c"] {"a":"ü"}'),
        ("{% if inputs.n %}yes{% endif %}", "yes"),
        ("{% raw %}{{ rows }}{% endraw %}", "{{ rows }}"),
        ("{# nothing #}", ""),
        ("x{{ ', y' if false }}", "x"),
        ("line\n{{ inputs.n }}\n", "line\n3\n"),
        ("{{ 'a' ~ 1 ~ none ~ [1] }}", "a1null[1]"),
        ("{% for h in inputs.hosts %}{{ loop.index }}{{ h }}{{ '' if loop.last else ',' }}{% endfor %}", "1b,2a,3c"),
        ("{% for h in inputs.hosts if h != 'a' %}{{ loop.cycle('-', '+') }}{{ h }}{% endfor %}", "-b+c"),
        ("{% for k, v in inputs.nested.deep.items() %}{{ k }}={{ v|length }}{% endfor %}", "er=2"),
        ("{% for h in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% set a = inputs.n + 1 %}{% with b = 2 %}{{ a * b }}{% endwith %}", "8"),
        ("{%- if inputs.n > 5 -%} a {%- elif inputs.n > 2 -%} b {%- else -%} c {%- endif -%}", "b"),
        ("{{ '{{' }}", "{{"),
    ],
)
def test_any_other_string_is_text_with_what_is_no_string_as_json(text: str, value: str) -> None:
    assert render(text) == value


def test_templates_stand_in_any_string_of_a_value_and_the_rest_stays_as_it_is() -> None:
    value = {
        "index": "logs-*",
        "size": 10,
        "query": {"terms": {"host": "{{ inputs.hosts }}"}},
        "tags": ["a", "{{ now }}"],
    }
    assert render(value) == {
        "index": "logs-*",
        "size": 10,
        "query": {"terms": {"host": ["b", "a", "c"]}},
        "tags": ["a", "2026-03-01T12:00:00.000Z"],
    }


@pytest.mark.parametrize("value", [None, 5, "text", "{ {", "}}", [], {"a": ["b", {"c": None}]}, {"{{ key }}": 1}])
def test_a_value_without_a_template_compiles_to_nothing(value: Any) -> None:
    assert compile_value(value) is None


def test_rendering_changes_neither_the_context_nor_the_template() -> None:
    context = {"inputs": {"l": [3, 1, 2]}}
    template = compile_value({"a": "{{ inputs.l }}", "b": "{{ inputs.l | sort }}", "c": [1]})
    assert template is not None
    first = template.render(context)
    assert first == template.render(context) == {"a": [3, 1, 2], "b": [1, 2, 3], "c": [1]}
    assert context == {"inputs": {"l": [3, 1, 2]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ inputs.hosst }}", "there is no `hosst`; did you mean `hosts`?"),
        ("{{ inputs.hosst | upper }}", "there is no `hosst`; did you mean `hosts`?"),
        ("a {{ inputs.zzz }}", "there is no `zzz`"),
        ("{{ zzz }}", "`zzz` does not exist"),
        ("{{ inputs.n.a }}", "a number has no `a`"),
        ("{{ inputs.nothing.a }}", "null has no `a`"),
        ("{{ inputs.hosts[3] }}", "there is no item 3 in a list of 3"),
        ("{{ inputs.hosts.first }}", "a list has no `first`"),
        ("{{ inputs.text.nope }}", "a string has no `nope`"),
        ("{{ [inputs.zzz] }}", "there is no `zzz`"),
        ("{{ {'a': inputs.zzz} }}", "there is no `zzz`"),
        ("{{ 1 + inputs.zzz }}", "there is no `zzz`"),
        ("{{ inputs.zzz == 1 }}", "there is no `zzz`"),
        ("{{ 1 in inputs.zzz }}", "there is no `zzz`"),
        ("{{ 'a' ~ inputs.zzz }}", "there is no `zzz`"),
        ("{{ inputs.zzz and true }}", "there is no `zzz`"),
        ("{{ 1 if inputs.zzz else 2 }}", "there is no `zzz`"),
        ("{{ inputs.zzz[1:] }}", "there is no `zzz`"),
        ("{{ inputs.hosts[inputs.zzz] }}", "there is no `zzz`"),
        ("{{ inputs.zzz() }}", "there is no `zzz`"),
        ("{{ inputs.text.upper(inputs.zzz) }}", "there is no `zzz`"),
        ("{% for x in inputs.zzz %}{% endfor %}", "there is no `zzz`"),
        ("{{ inputs['items'] | map(attribute='zzz') | list }}", "there is no `zzz`"),
        ("{{ [] | first }}", "No first item, sequence was empty."),
    ],
)
def test_what_does_not_exist_is_an_error_wherever_it_is_used(text: str, message: str) -> None:
    assert failure(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.zzz | default(5) }}", 5),
        ("{{ inputs.zzz | d([]) }}", []),
        ("{{ inputs.zzz.a.b[0] | default(none) }}", None),
        ("{{ inputs.nothing.a | default('x') }}", "x"),
        ("{{ inputs.n | default(5) }}", 3),
        ("{{ inputs.nothing | default(5) }}", None),
        ("{{ inputs.nothing | default(5, true) }}", 5),
        ("{{ inputs.zzz is defined }}", False),
        ("{{ inputs.zzz is undefined, inputs.n is defined }}", [True, True]),
        ("{{ inputs.zzz | default(inputs.n) }}", 3),
        ("{{ [] | first | default(7) }}", 7),
        ("{{ inputs.hosts[9] | default('none') }}", "none"),
    ],
)
def test_default_and_is_defined_say_that_it_may_be_absent(text: str, value: Any) -> None:
    assert render(text) == value


def test_a_key_comes_before_a_method_of_the_same_name() -> None:
    assert render("{{ inputs.nested.items }}") == [1]
    assert render("{{ inputs.nested.keys }}") == "mine"
    assert render("{{ inputs.nested.deep.keys() }}") == ["er"]
    assert render("{{ inputs['items'][0]._id }}") == "7"
    assert render("{{ inputs.nested.values() | list | length }}") == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.text.upper() }}", "GRÜSSE"),
        ("{{ 'a,b,c'.split(',') }}", ["a", "b", "c"]),
        ("{{ 'a b'.split(maxsplit=1) }}", ["a", "b"]),
        ("{{ ','.join(inputs.hosts) }}", "b,a,c"),
        ("{{ 'aab'.replace('a', 'x', 1) }}", "xab"),
        ("{{ ' x '.strip() }}", "x"),
        ("{{ 'logs-1'.startswith('logs-') }}", True),
        ("{{ 'x'.center(3, '-') }}", "-x-"),
        ("{{ '7'.zfill(3) }}", "007"),
        ("{{ inputs.hosts.index('a') }}", 1),
        ("{{ inputs.hosts.count('a') }}", 1),
        ("{{ inputs.nested.get('nope', 4) }}", 4),
        ("{% for x in [1] %}{{ 'a'.upper() }}{% endfor %}", "A"),
    ],
)
def test_methods_of_texts_lists_and_mappings_can_be_called(text: str, value: Any) -> None:
    assert render(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1 % 0 }}", "division by zero"),
        ("{{ 'a' + 1 }}", "a string + a number has no meaning; `~` joins texts"),
        ("{{ [] - 1 }}", "a list - a number has no meaning"),
        ("{{ 'a' < 1 }}", "a string < a number has no meaning"),
        ("{{ 1 in 5 }}", "a number in a number has no meaning"),
        ("{{ -'a' }}", "- before a string has no meaning"),
        ("{{ 'a'.upper(1) }}", "upper: takes no arguments (1 given)"),
        ("{{ range() }}", "range: range takes one to three integers"),
        ("{{ range(1, 2, 0) }}", "range() arg 3 must not be zero"),
        ("{{ inputs.n() }}", "a number can't be called"),
        ("{% for x in 5 %}{% endfor %}", "a number can't be looped over"),
        ("{% for x in none %}{% endfor %}", "null can't be looped over"),
        ("{% for a, b in [1] %}{% endfor %}", "cannot unpack non-iterable int object"),
        ("{{ 5[1:] }}", "a number can't be sliced"),
        ("{{ 'abc'['a':] }}", "a slice's bounds are integers, not a string"),
        ("{{ [1][[1]] }}", "a list is neither a key nor an index"),
        ("{{ {1: 2} }}", "a key of a mapping must be a string, not a number"),
        ("{{ {[]: 2} }}", "unhashable type: 'list'"),
        ("{{ inputs.text.upper }}", "a Callee is not a JSON value"),
        ("{{ range }}", "a Callee is not a JSON value"),
        ("{% for x in [1] %}{{ loop }}{% endfor %}", "a LoopContext is not a value to work with"),
    ],
)
def test_what_has_no_meaning_is_an_error_in_words(text: str, message: str) -> None:
    assert message in failure(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ inputs.n }", "template syntax: unexpected '}'"),
        ("{{ 1 + }}", "template syntax: unexpected 'end of print statement'"),
        ("{{ inputs. }}", "template syntax: expected name or number"),
        ("{% if inputs.n %}", "template syntax: Unexpected end of template."),
        ("{% nope %}", "template syntax: Encountered unknown tag 'nope'."),
        ("{{ 'a }}", "template syntax: unexpected char"),
        ("{# a", "template syntax: Missing end of comment tag"),
        ("{{ inputs.n | uper }}", "there is no filter `uper`; did you mean `upper`?"),
        ("{{ inputs.n | zzzzz }}", "there is no filter `zzzzz`; there are `abs`, `b64`"),
        ("{{ inputs.n is defned }}", "there is no test `defned`; did you mean `defined`?"),
        ("{{ x if y is zzzzzz }}", "there is no test `zzzzzz`; there are"),
        ("{% set inputs = 1 %}", "`inputs` can't be set: it is given"),
        ("{% for steps in [] %}{% endfor %}", "`steps` can't be set: it is given"),
        ("{% for loop in [1] %}{{ loop }}{% endfor %}", "`loop` can't be set: it is given"),
        ("{% set vars = 1 %}", "`vars` can't be set: it is given"),
        ("{{ _private }}", "`_private` is no name"),
        ("{{ ünïcode }}", "`ünïcode` is no name"),
        ("{{ range(*[1, 2]) }}", "`*` and `**` arguments are not allowed"),
        ("{{ 'a' | replace(**{'old': 'a'}) }}", "`*` and `**` arguments are not allowed"),
        ("{{ range(_loop_vars=1) }}", "`_loop_vars` is no argument's name"),
        ("{{ [1][0:1, 2] }}", "a slice stands alone in its brackets"),
        ("{{ 1e999 }}", "a number is too large"),
        ("{{ 9223372036854775808 }}", "an integer does not fit in 64 bits"),
        ("{{ " + "9" * 5000 + " }}", "the template can't be read"),
        ("{% for x in [] recursive %}{% endfor %}", "`recursive` loops are not allowed"),
        (
            "{% macro m() %}{% endmacro %}",
            "`{% macro %}` is not allowed in templates; there are if, for, set, with and raw",
        ),
        ("{% call x() %}{% endcall %}", "`{% call %}` is not allowed"),
        ("{% filter upper %}a{% endfilter %}", "`{% filter %}` is not allowed"),
        ("{% set a %}b{% endset %}", "`{% set ... endset %}` is not allowed"),
        ("{% block a %}{% endblock %}", "`{% block %}` is not allowed"),
        ("{% extends 'a' %}", "`{% extends %}` is not allowed"),
        ("{% include 'a' %}", "`{% include %}` is not allowed"),
        ("{% import 'a' as b %}", "`{% import %}` is not allowed"),
        ("{% from 'a' import b %}", "`{% from ... import %}` is not allowed"),
        ("{% autoescape true %}a{% endautoescape %}", "`{% autoescape %}` is not allowed"),
        ("{% set a.b = 1 %}", "attributes can't be set"),
        ("{% do 1 %}", "Encountered unknown tag 'do'"),
        ("{{ " + "(" * 30 + "1" + ")" * 30 + " }}", "brackets are nested deeper than 25 levels"),
        ("{{ " + "not " * 60 + "1 }}", "the template is nested deeper than 40 levels"),
        ("{{ 1" + "|string" * 60 + " }}", "the template is nested deeper than 40 levels"),
        ("{{ " + "not " * 5000 + "1 }}", "nested too deeply"),
        ("{% if 1 %}" + "{% elif 2 %}" * 50 + "{% endif %}", "more than 40 `elif` in a row"),
        ("{% if 1 %}" * 50 + "{% endif %}" * 50, "the template is nested deeper than 40 levels"),
        ("{{ 1 }}" + "x" * 70_000, "a template has at most 65536 characters"),
    ],
)
def test_what_is_no_template_is_refused_when_it_is_compiled(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize("length", [10, 25])
def test_nesting_within_the_limits_compiles_and_renders(length: int) -> None:
    assert render("{{ " + "(" * length + "1" + ")" * length + " }}") == 1
    assert render("{{ " + "not " * (length // 2 * 2) + "1 }}") is True
    assert render("{% for a in [1] %}" * 10 + "x" + "{% endfor %}" * 10) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "{{ 9223372036854775807 + 1 }}",
        "{{ 2 ** 63 }}",
        "{{ -9223372036854775807 - 2 }}",
        "{{ '99999999999999999999' | int }}",
        "{{ [9223372036854775807, 1] | sum }}",
        "{{ '99999999999999999999' | from_json }}",
        "{{ 1e308 * 10 }}",
        "{{ 'nan' | float }}",
        "{{ 'Infinity' | float }}",
        "{{ (-8) ** 0.5 }}",
        "{{ 2.0 ** 10000 }}",
        "{{ '[NaN]' | from_json }}",
        '{{ "\\ud800" }}',
        'a{{ "\\udfff" }}',
        '{{ {"\\ud800": 1} }}',
    ],
)
def test_what_json_or_64_bits_do_not_have_is_an_error(text: str) -> None:
    assert failure(text)


def test_every_result_is_pure_json() -> None:
    found = render(
        "{{ [inputs['items'] | groupby('name'), range(2) | map('string'), inputs.hosts | reverse, (1, 2)] }}"
    )
    assert found == [
        [["x", [CONTEXT["inputs"]["items"][0]]], ["y", [CONTEXT["inputs"]["items"][1]]]],
        ["0", "1"],
        ["c", "a", "b"],
        [1, 2],
    ]

    def check(value: Any) -> None:
        assert type(value) in (type(None), bool, int, float, str, list, dict)
        assert not isinstance(value, float) or math.isfinite(value)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(item)

    check(found)


def test_several_templates_make_one_mapping_under_one_set_of_limits() -> None:
    first, second = compile_value("{{ inputs.n }}"), compile_value("{{ inputs.text }}!")
    assert first is not None
    assert second is not None
    both = Template.mapping({"a": first, "b": second})
    assert both.render(CONTEXT) == {"a": 3, "b": "Grüße!"}
    assert [reference.keys for reference in both.references] == [("n",), ("text",)]
