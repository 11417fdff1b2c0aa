"""Blocks of steps: where they stand, what they are given, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.definitions import DefinitionError, load
from leasehold.definitions.blueprints import Expansion, blocks_of

from tests.unit.definitions.builders import marked

from .written_out import attempt, refusal, written_out

NOTIFY = """
blocks:
  notify:
    parameters:
      text: {type: string, required: true}
      channel: {type: string, default: soc}
    steps:
      - {name: send, executor: http, input: {text: "${{ parameters.text }}", channel: "${{ parameters.channel }}"}}
"""


def using(step: str, blocks: str = NOTIFY) -> str:
    """A definition whose only step is this one, on line 3."""
    return f"name: x\nsteps:\n  - {step}{blocks}"


def case(text: str = "hi", channel: str = "soc") -> dict[str, Any]:
    """The block as a case."""
    return {"notify": [{"name": "send", "executor": "http", "input": {"text": text, "channel": channel}}]}


def test_a_step_that_uses_a_block_is_a_switch_with_the_block_as_its_case() -> None:
    text = using("{name: tell, use: notify, with: {text: hi}, depends_on: [], if: true}")
    assert written_out(text) == {
        "name": "x",
        "steps": [{"name": "tell", "switch": "{{ 'notify' }}", "cases": case(), "depends_on": [], "if": True}],
    }


def test_without_a_name_the_step_is_called_as_its_block() -> None:
    (step,) = written_out(using("{use: notify, with: {text: hi}}"))["steps"]
    assert step["name"] == "notify"


def test_a_block_may_be_used_wherever_steps_stand() -> None:
    use = "[{use: notify, with: {text: hi}}]"
    text = f"""
name: x
steps:
  - {{name: a, foreach: "{{{{ [] }}}}", steps: {use}}}
  - {{name: b, switch: "{{{{ 1 }}}}", cases: {{one: {use}}}, else: {use}}}
  - {{name: c, parallel: {{left: {use}, right: []}}}}
  - {{name: d, executor: x, on_failure: {use}}}
  - {{name: e, use: notify, with: {{text: hi}}, on_failure: {use}}}
on_failure: {use}
on_cancel: {use}
{NOTIFY}"""
    found = written_out(text)
    one = [{"name": "notify", "switch": "{{ 'notify' }}", "cases": case()}]
    a, b, c, d, e = found["steps"]
    places = [a["steps"], b["cases"]["one"], b["else"], c["parallel"]["left"], d["on_failure"], e["on_failure"]]
    assert places == [one] * 6
    assert (found["on_failure"], found["on_cancel"], e["cases"]) == (one, one, case())


def test_payloads_that_look_like_a_use_are_left_alone() -> None:
    text = using("{name: a, executor: x, input: {steps: [{use: notify}]}}")
    assert written_out(text)["steps"] == [{"name": "a", "executor": "x", "input": {"steps": [{"use": "notify"}]}}]


def test_a_block_may_use_others_and_hand_its_values_on() -> None:
    blocks = (
        NOTIFY
        + """
  page:
    parameters: {who: {type: string, required: true}}
    steps:
      - {name: first, use: notify, with: {text: "call ${{ parameters.who }}", channel: "${{ parameters.who }}"}}
"""
    )
    (step,) = written_out(using("{name: wake, use: page, with: {who: ada}}", blocks))["steps"]
    (inner,) = step["cases"]["page"]
    assert (inner["name"], inner["cases"]) == ("first", case("call ada", "ada"))


def test_a_template_as_value_is_not_checked_before_it_is_known() -> None:
    blocks = NOTIFY.replace(
        "{type: string, default: soc}", '{type: string, enum: [soc, "{{ inputs.c }}"], default: soc}'
    )
    text = using('{name: t, use: notify, with: {text: "{{ inputs.t }}", channel: "{{ inputs.d }}"}}', blocks)
    (step,) = written_out(text)["steps"]
    assert step["cases"] == case("{{ inputs.t }}", "{{ inputs.d }}")


def test_a_block_does_not_see_the_parameters_of_the_blueprint_around_it() -> None:
    text = "blueprint: b\nparameters: {other: {type: string, default: a}}\n" + using(
        "{use: notify, with: {text: hi}}", NOTIFY.replace("parameters.text", "parameters.other")
    )
    assert "there is no parameter `other`; there are: `text`, `channel`" in refusal(text).message


def test_a_blueprint_chooses_a_block_and_what_it_is_given() -> None:
    text = "blueprint: b\nparameters: {how: {type: string}, what: {type: object}}\n" + using(
        '{name: tell, use: "${{ parameters.how }}", with: "${{ parameters.what }}"}'
    )
    (step,) = written_out(text, how="notify", what={"text": "hi", "channel": "c"})["steps"]
    assert step["cases"] == case("hi", "c")


def test_documents_of_one_text_share_the_blocks_of_one_that_has_nothing_else() -> None:
    text = f"description: For all.{NOTIFY}---\nname: a\nsteps: [{{use: notify, with: {{text: a}}}}]\n---\n" + (
        "name: b\nsteps: [{use: notify, with: {text: b}}]\n"
    )
    made, violations = attempt(text)
    assert violations == []
    assert [one["steps"][0]["cases"] for one in made] == [case("a"), case("b")]


def test_blocks_of_another_file_stand_at_the_place_of_their_use() -> None:
    text, line, column = marked("name: x\nsteps:\n  - {name: tell, use: ¦notify, with: {text: hi}}\n")
    assert written_out(text, blocks=NOTIFY)["steps"][0]["cases"] == case()
    with pytest.raises(DefinitionError) as caught:
        load(text, expansion=Expansion(blocks=blocks_of(NOTIFY.replace("executor: http", "executr: http"))))
    assert {(found.line, found.column) for found in caught.value.violations} == {(line, column)}
    assert caught.value.violations[0].path.startswith("steps[0].cases.notify[0]")


def test_own_blocks_come_before_those_of_other_files() -> None:
    other = NOTIFY.replace("default: soc", "default: elsewhere")
    assert written_out(using("{use: notify, with: {text: hi}}"), blocks=other)["steps"][0]["cases"] == case()


def test_what_is_wrong_in_a_block_is_told_at_its_own_place() -> None:
    blocks, line, column = marked(NOTIFY.replace("name: send", "name: send, timeout: ¦soon"))
    with pytest.raises(DefinitionError) as caught:
        load(using("{name: t, use: notify, with: {text: hi}}", blocks))
    (found,) = caught.value.violations
    assert (found.path, found.line, found.column) == ("steps[0].cases.notify[0].timeout", line + 2, column)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{use: ¦notfy}", "there is no block `notfy`; did you mean `notify`?"),
        ("{use: ¦5}", "found a number; allowed: the name of a block"),
        ("{use: ¦notify}", "the parameter `text` of the block `notify` is missing; it is required: a string"),
        ("{use: notify, with: {text: ¦5}}", "found 5; allowed: a string"),
        (
            "{use: notify, with: {text: a, ¦chanel: b}}",
            "`chanel`, which is none of the block `notify`; did you mean `channel`",
        ),
        ("{use: notify, with: ¦[a]}", "found a list; the parameters of a block are a mapping"),
        ("{use: notify, with: {text: a}, ¦executor: http}", "found `executor` beside `use`; a step is one of both"),
    ],
)
def test_a_use_that_can_not_be_is_refused_where_it_stands(step: str, message: str) -> None:
    text, line, column = marked(using(step))
    found = refusal(text)
    assert message in found.message
    assert (found.line, found.column) == (line, column)


def test_a_use_without_any_block_says_where_to_define_one() -> None:
    assert "there is no block `a`; define it under `blocks`" in refusal("name: x\nsteps: [{use: a}]\n").message


def test_blocks_in_a_circle_are_refused_with_the_circle() -> None:
    text, line, column = marked(
        using(
            "{use: a}",
            "\nblocks:\n  a: {steps: [{use: b}]}\n  b: {steps: [{name: x, use: c}]}\n  c: {steps: [{use: ¦b}]}\n",
        )
    )
    found = refusal(text)
    assert found.message == "blocks use each other in a circle: b -> c -> b"
    assert (found.line, found.column) == (line, column)


def test_blocks_that_multiply_are_refused_before_they_are_large() -> None:
    lines = [f"  b{at}: {{steps: [{{name: l, use: b{at + 1}}}, {{name: r, use: b{at + 1}}}]}}" for at in range(14)]
    blocks = "\n".join(["", "blocks:", *lines, "  b14: {steps: [{name: a, executor: x}]}", ""])
    assert "has more than 20000 values, the limit; use fewer blocks" in refusal(using("{use: b0}", blocks)).message


def test_blocks_that_are_nested_too_deep_are_refused() -> None:
    lines = [f"  b{at}: {{steps: [{{use: b{at + 1}}}]}}" for at in range(40)]
    blocks = "\n".join(["", "blocks:", *lines, "  b40: {steps: [{name: a, executor: x}]}", ""])
    assert "nested deeper than 64 levels" in refusal(using("{use: b0}", blocks)).message


def test_blocks_alone_are_no_definition() -> None:
    assert refusal(NOTIFY).message == "found blocks and no definition that uses them"


@pytest.mark.parametrize("text", ["", "name: x", "a: 1\n---\nblocks: {}\n", "[1]", "blocks: {a: {steps: []}}"])
def test_a_file_of_blocks_holds_nothing_else(text: str) -> None:
    with pytest.raises(DefinitionError):
        blocks_of(text)
