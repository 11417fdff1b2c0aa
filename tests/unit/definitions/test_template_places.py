"""Templates are told by the YAML's line and column, whatever kind of scalar they stand in, at load and at run time."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
from leasehold.definitions import TemplateError, load

from .builders import fault, marked, one

CONTEXT: dict[str, Any] = {"inputs": {}, "steps": {}, "trigger": {}, "instance": {}, "now": ""}


def in_step(input_: str) -> str:
    """A definition whose only step has this input, given from the second column of its lines on."""
    return "name: x\nsteps:\n  - name: a\n    executor: x\n    input:" + textwrap.indent(
        textwrap.dedent(input_), "      "
    )


SCALARS = [
    ' "¦{{ 1 + }}"\n',
    " '¦{{ 1 + }}'\n",
    ' {a: {b: ["x", "¦{{ 1 + }}"]}}\n',
    "\n- ok\n- a: 'it''s ¦{{ 1 + }}'\n",
    '\ntext: "a \\"b\\" \\u00e9 ¦{{ 1 + }}"\n',
    "\ntext: |\n  first\n  second ¦{{ 1 + }}\n",
    "\ntext: |-\n\n  {{ 1 }}\n\n    ¦{{ 1 + }}\n  last\n",
    "\ntext: |2+\n    {{ 1 }}\n    ¦{{ 1 + }}\n\n",
    "\ntext: >\n  folded\n  text {{ 1 }}\n\n  ¦{{ 1 + }}\n",
    "\ntext: >-\n  one\n  two ¦{{ 1 + }} three\n  four\n",
    '\ntext: "over\n  several\n  lines ¦{{ 1 + }}"\n',
    "\ntext: plain ¦{{ 1 + }}\n",
    "\ntext: over\n  several ¦{{ 1 + }}\n  lines\n",
    "\ntext: &anchor '¦{{ 1 + }}'\n",
    "\ntext: |\n  {{ 1 +\n     ¦+ }}\n",
]


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_syntax_error_is_told_at_its_template_in_any_scalar(scalar: str) -> None:
    text, line, column = marked(in_step(scalar))
    violation = fault(text)
    assert violation.message.startswith("template syntax: ")
    assert (violation.line, violation.column) == (line, column)


@pytest.mark.parametrize(
    "scalar",
    [
        ' "{{ ¦steps.nope.result }}"\n',
        ' "{{ 1 }} {{ 2 + ¦steps.nope.result }}"\n',
        "\ntext: |\n  {{ 1 }}\n  {% if ¦steps.nope.result %}{% endif %}\n",
        "\ntext: |\n  {{ 1\n     + ¦steps.nope.result }}\n",
        "\ntext: >\n  a\n  b {{ ¦steps.nope.result }}\n",
        "\n- \"{{ 1 }}\"\n- '{{ [1, ¦steps.nope.result] }}'\n",
    ],
)
def test_an_unknown_step_is_told_at_the_word(scalar: str) -> None:
    text, line, column = marked(in_step(scalar))
    violation = fault(text)
    assert violation.message == "there is no step `nope`; there are `a`"
    assert (violation.line, violation.column) == (line, column)


def test_an_unknown_filter_is_told_at_the_word() -> None:
    text, line, column = marked(in_step("\ntext: |\n  {{ 1 | string }}\n  {{ 1 | ¦strin }}\n"))
    violation = fault(text)
    assert (violation.line, violation.column, violation.nearest) == (line, column, "string")


def test_the_path_leads_into_the_value() -> None:
    assert fault(in_step(' {a: {b: ["x", "{{ 1 + }}"]}}\n')).path == "steps[0].input.a.b[1]"


@pytest.mark.parametrize(
    "scalar",
    [
        ' "¦{{ inputs.nope }}"\n',
        ' "¦{{ inputs.nope + 1 }}"\n',
        "\ntext: |\n  first\n  ¦{{ inputs.nope }}\n",
        "\ntext: |\n  {% for x in [1] %}\n  ok\n  ¦{{ x + inputs.nope }}\n  {% endfor %}\n",
        "\ntext: >\n  first\n  ¦{{ inputs.nope }}\n  last\n",
        "\n- 1\n- a: ['{{ 1 }}', '¦{{ inputs.nope }}']\n",
    ],
)
def test_a_failure_at_run_time_names_the_line_and_the_path(scalar: str) -> None:
    text, line, _ = marked(in_step(scalar))
    template = one(text).compile().steps["a"].input
    assert template is not None
    with pytest.raises(TemplateError) as caught:
        template.render(CONTEXT)
    assert caught.value.line == line
    assert caught.value.path.startswith("steps[0].input")
    assert str(caught.value) == "there is no `nope`"
    assert caught.value.violations[0].line == line


def test_a_failure_in_the_second_document_of_a_file_is_told_by_its_own_source() -> None:
    text = "name: first\nsteps: [{name: a, executor: x}]\n---\n" + in_step(' "{{ inputs.nope }}"\n')
    stored = load(text)[1].source
    template = one(stored).compile().steps["a"].input
    assert template is not None
    with pytest.raises(TemplateError) as caught:
        template.render(CONTEXT)
    assert "inputs.nope" in stored.splitlines()[(caught.value.line or 0) - 1]
