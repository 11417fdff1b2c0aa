"""Parameters of a blueprint: what `${{ parameters.x }}` becomes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.definitions import DefinitionError, load
from leasehold.definitions.blueprints import Expansion

from tests.unit.definitions.builders import marked

from .written_out import attempt, blueprint, refusal, written_out

ANY = "x: {type: string}"


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("x: {type: string}", "logs-*"),
        ("x: {type: integer}", 5),
        ("x: {type: number}", 0.5),
        ("x: {type: boolean}", False),
        ("x: {type: array}", ["a", {"b": None}]),
        ("x: {type: object}", {"a": [1, 2]}),
        ("x: {type: duration}", "5m"),
        ("x: {type: string, default: null}", None),
    ],
)
def test_a_value_alone_keeps_its_type(declared: str, value: Any) -> None:
    assert written_out(blueprint('a: "${{ parameters.x }}"', declared), x=value) == {"a": value}


def test_a_value_within_text_becomes_text() -> None:
    body = 'a: "logs-${{ parameters.x }}-* and ${{parameters.y}}"'
    text = blueprint(body, ANY, "y: {type: array, default: [1, null, b]}")
    assert written_out(text, x="web") == {"a": 'logs-web-* and [1,null,"b"]'}


def test_a_value_within_an_expression_is_a_literal() -> None:
    body = "a: '{{ inputs.n > ${{ parameters.n }} and inputs.x == ${{ parameters.x }} and ${{ parameters.z }} }}'"
    text = blueprint(body, ANY, "n: {type: integer}", "z: {type: string, default: null}")
    assert written_out(text, x='a "b"', n=3) == {"a": '{{ inputs.n > 3 and inputs.x == "a \\"b\\"" and none }}'}


def test_a_value_within_quotes_of_an_expression_is_part_of_their_text() -> None:
    body = """a: "{{ 'logs-${{ parameters.x }}' ~ inputs.y }} it's ${{ parameters.x }}" """
    assert written_out(blueprint(body, ANY), x="o'b") == {"a": "{{ 'logs-o\\'b' ~ inputs.y }} it's o'b"}


def test_an_expression_as_value_joins_the_expression_around_it() -> None:
    body = "a: '{{ ${{ parameters.x }} | length }}'"
    assert written_out(blueprint(body, ANY), x="{{ inputs.a or inputs.b }}") == {
        "a": "{{ (inputs.a or inputs.b) | length }}"
    }


def test_keys_of_mappings_may_hold_values() -> None:
    text = blueprint('term: {"${{ parameters.x }}.keyword": 1}', ANY)
    assert written_out(text, x="host") == {"term": {"host.keyword": 1}}


def test_two_keys_may_not_become_the_same() -> None:
    found = refusal(blueprint('term: {"${{ parameters.x }}": 1, host: 2}', ANY), x="host")
    assert "`host` stands twice" in found.message


def test_keys_of_an_object_are_reached_by_their_path() -> None:
    text = blueprint('a: "${{ parameters.x.host.name }}:${{ parameters.x.port }}"', "x: {type: object}")
    assert written_out(text, x={"host": {"name": "web-1"}, "port": 80}) == {"a": "web-1:80"}


def test_defaults_count_where_nothing_is_given() -> None:
    text = blueprint('a: "${{ parameters.x }}"', "x: {type: object, default: {a: [1]}}")
    assert written_out(text) == {"a": {"a": [1]}}
    assert written_out(text, x={}) == {"a": {}}


def test_values_that_are_typed_are_read_as_their_declaration_says() -> None:
    text = blueprint('name: x\nsteps: [{name: a, executor: x, input: ["${{ parameters.x }}", "${{ parameters.n }}"]}]',
                     ANY, "n: {type: array}")  # fmt: skip
    (definition,) = load(text, expansion=Expansion(texts={"x": "5", "n": "[5, a]"}))
    assert definition.compile().steps["a"].static_input == ["5", [5, "a"]]


def test_outside_a_blueprint_the_mark_means_a_dollar_and_a_template() -> None:
    text = 'name: x\ninputs: {price: {type: integer}}\noutputs: {a: "${{ inputs.price }}"}\n'
    assert written_out(text)["outputs"] == {"a": "${{ inputs.price }}"}


@pytest.mark.parametrize(
    ("body", "declared", "given", "message"),
    [
        ("a: '${{ parameters.y }}'", ANY, {}, "there is no parameter `y`; there are: `x`"),
        ("a: '${{ parameters.x }}'", ANY, {}, "the parameter `x` was not given; give it a value, or"),
        ("a: '${{ inputs.x }}'", ANY, {}, "allowed: `${{ parameters.NAME }}`"),
        ("a: '${{ parameters.x'", ANY, {}, "found `${{ parameters.x`; allowed: `${{ parameters.NAME }}`"),
        ("a: '${{ parameters.x | upper }}'", ANY, {}, "filters and other names belong between `{{` and `}}`"),
        ("a: '${{ parameters.x.y }}'", ANY, {"x": "a"}, "there is no `y` in the parameter `x`, which is a string"),
        ("a: '${{ parameters.x.y }}'", "x: {type: object}", {"x": {"z": 1}}, "which has the keys `z`"),
    ],
)
def test_a_place_without_a_value_is_refused_where_it_stands(
    body: str, declared: str, given: dict[str, Any], message: str
) -> None:
    found = refusal(blueprint(body, declared), **given)
    assert message in found.message
    assert (found.path, found.line, found.column) == ("a", 4, 4)


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ("x: {type: integer}", {"x": "5"}, 'found "5"; allowed: an integer of at most 64 bits'),
        ("x: {type: integer, max: 3}", {"x": 5}, "found 5; allowed: at most 3"),
        ('x: {type: string, pattern: "^a"}', {"x": "b"}, "a string that matches ^a"),
        ("x: {type: string, required: true}", {}, "the parameter `x` of the blueprint `of-a-test` is missing"),
    ],
)
def test_a_value_against_its_declaration_is_refused_at_the_declaration(
    declared: str, given: dict[str, Any], message: str
) -> None:
    found = refusal(blueprint("a: '${{ parameters.x }}'", declared), **given)
    assert message in found.message
    assert (found.path, found.line, found.column) == ("parameters.x", 3, 3)


def test_an_unknown_parameter_is_refused_with_the_nearest() -> None:
    found = refusal(blueprint("a: 1", "index: {type: string}"), indx="a")
    assert "found the parameter `indx`, which is none of the blueprint `of-a-test`" in found.message
    assert found.nearest == "index"


def test_values_without_a_blueprint_are_refused() -> None:
    assert "there is no blueprint here" in refusal("name: x\nsteps: []\n", x=1).message


def test_parameters_without_a_blueprint_are_refused() -> None:
    found = refusal("name: x\nparameters: {a: {type: string}}\n")
    assert found.message.startswith("`parameters` are those of a blueprint or a block")
    assert (found.line, found.column) == (2, 1)


@pytest.mark.parametrize(
    "text",
    [
        "blueprint: ¦Bad Name\nname: x\n",
        "blueprint: a\nparameters: {x: {type: ¦text}}\n",
        "blueprint: a\nparameters: {x: {type: integer, ¦pattern: a}}\n",
        "blueprint: a\nparameters: {¦9x: {type: integer}}\n",
        "blueprint: a\nblocks: {x: {steps: ¦[]}}\n",
        "blueprint: a\nblocks: {x: {steps: [{}], ¦step: 1}}\n",
    ],
)
def test_a_header_that_makes_no_sense_is_refused_where_it_stands(text: str) -> None:
    plain, line, column = marked(text)
    found = refusal(plain)
    assert (found.line, found.column) == (line, column)


def test_what_is_wrong_with_the_rest_is_told_at_the_places_of_the_author() -> None:
    body = 'name: x\nsteps:\n  - name: a\n    executor: x\n    timeout: "${{ parameters.x }}"\n    inputs: 1'
    with pytest.raises(DefinitionError) as caught:
        load(blueprint(body, ANY), expansion=Expansion(values={"x": "soon"}))
    assert [(found.path, found.line, found.column) for found in caught.value.violations] == [
        ("steps[0].timeout", 8, 14),
        ("steps[0].inputs", 9, 5),
    ]


def test_a_template_that_is_wrong_is_told_at_its_own_place_behind_a_value() -> None:
    text, line, column = marked(
        blueprint(
            'name: x\nsteps:\n  - {name: a, executor: x, input: "${{ parameters.x }} {{ inputs.a }} {{ ¦nope }}"}', ANY
        )
    )
    with pytest.raises(DefinitionError) as caught:
        load(text, expansion=Expansion(values={"x": "a"}))
    (found,) = caught.value.violations
    assert (found.line, found.column) == (line, column)


def test_what_is_stored_is_the_definition_written_out() -> None:
    text = "# What for.\n" + blueprint("name: x-${{ parameters.x }}\nsteps: [{name: a, executor: x}]", ANY)
    (definition,) = load(text, expansion=Expansion(values={"x": "y"}))
    assert definition.source == (
        "# Rendered from the blueprint of-a-test.\nname: x-y\nsteps:\n  - name: a\n    executor: x\n"
    )
    (again,) = load(definition.source)
    assert again.source == definition.source
    assert again.content_hash() == definition.content_hash()
    assert load("name: x-y\nsteps: [{name: a, executor: x}]")[0].content_hash() == definition.content_hash()


def test_a_definition_that_grows_beyond_its_bounds_is_refused() -> None:
    text = blueprint("\n".join(f'a{at}: "${{{{ parameters.x }}}}"' for at in range(20)), ANY)
    assert "larger than 1048576 characters" in refusal(text, x="a" * 60_000).message
    assert "can't be stored: the text has" in refusal(text, x="a" * 30_000).message


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(63):
        deep = [deep]
    text = blueprint("a: [['${{ parameters.x }}']]", "x: {type: array}")
    assert refusal(text, x=deep).message.startswith("written out, the definition is nested deeper than 64 levels")


def test_marks_that_are_never_closed_take_no_time() -> None:
    _, violations = attempt(blueprint(f"a: '{'${{ ' * 50_000}'", ANY), x="a")
    assert violations[0].message.startswith("found `${{ ${{")
