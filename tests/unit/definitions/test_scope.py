"""What templates may speak of, told when a definition is loaded."""

from __future__ import annotations

import pytest
from leasehold.definitions import DefinitionError, load

from .builders import fault, faults, marked, one, with_steps

STEPS = (
    "{name: first, executor: x}",
    "{name: left-side, executor: x}",
    "{name: right, executor: x, depends_on: [first]}",
)


def last(keys: str, *, depends_on: str = "[left-side]", head: str = "") -> str:
    return with_steps(*STEPS, f"{{name: last, executor: x, depends_on: {depends_on}, {keys}}}", head=head)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("steps.frist.result", "there is no step `frist`; did you mean `first`?"),
        ("steps.left-sied.result", "there is no step `left-sied`; did you mean `left-side`?"),
        ("steps['left_side'].result", "there is no step `left_side`; did you mean `left-side`?"),
        ("steps.zzz.result", "there is no step `zzz`; there are `first`, `left-side`, `right`, `last`"),
        ("steps.last.result", "`last` can't see itself: it has not run yet when its templates are evaluated"),
        ("steps.right.result",
         "`right` does not run before `last`, so its result is not there yet; "
         "add `right` to the `depends_on` of `last`"),
        ("steps.first.rezult", "a step has no `rezult`; there are `result`, `status`"),
        ("inputs.hosst", "there is no input `hosst`; did you mean `hosts`?"),
        ("inputs.zzz.a", "there is no input `zzz`; `inputs` declares `hosts`"),
        ("instance.tennant", "there is no fact of an instance `tennant`; did you mean `tenant`?"),
        ("input.hosts", "there is no name `input`; did you mean `inputs`?"),
        ("zzz", "there is no name `zzz`; there are `inputs`, `trigger`, `steps`, `instance`, `now`"),
        ("null", "there is no name `null`"),
        ("item", "`item` is there inside a `foreach` only"),
        ("index + 1", "`index` is there inside a `foreach` or a `while` only"),
        ("error.type", "`error` is there only in `on_failure`, `on_cancel`, and in a `compensate` outside of"),
        ("memory.x", "`memory` is there only in a definition that says whose: add `memory: {key: ...}` to it"),
        ("secrets.token", "`secrets` is not supported yet in templates"),
        ("vars.x | upper", "there is no variable `x`; `set` steps set none"),
    ],
)  # fmt: skip
def test_what_a_step_may_not_speak_of_is_refused(template: str, message: str) -> None:
    head = "inputs: {hosts: {type: array}}"
    for text in (
        f'input: "{{{{ ¦{template} }}}}"',
        f'with: {{a: ["{{{{ ¦{template} }}}}"]}}',
        f'if: "{{{{ ¦{template} }}}}"',
    ):
        source, line, column = marked(last(text, head=head))
        violation = fault(source)
        assert violation.message.startswith(message)
        assert violation.line == line
        assert violation.column in (column, column - 3)  # the word where it stands as it is said, else its braces


@pytest.mark.parametrize(
    "template",
    [
        "steps.first.result",
        "steps.left-side.error.type",
        "steps['left-side'].attempts",
        "steps[inputs.hosts[0]].result",
        "steps.first",
        "steps | length",
        "inputs.hosts[0]",
        "inputs.zzz | default(1)",
        "inputs.zzz.a is defined",
        "inputs.zzz if inputs.zzz is defined else 1",
        "inputs",
        "zzz | default(1)",
        "trigger.anything.at.all",
        "instance.tenant ~ now",
        "range(3)",
    ],
)
def test_what_exists_or_may_be_absent_passes(template: str) -> None:
    one(last(f'input: "{{{{ {template} }}}}"', head="inputs: {hosts: {type: array}}"))


def test_what_runs_after_a_step_is_told_so() -> None:
    text = with_steps('{name: a, executor: x, input: "{{ steps.b.result }}"}', "{name: b, executor: x}")
    assert fault(text).message == "`b` does not run before `a` but after it, so its result is not there yet"


def test_a_guard_does_not_make_a_later_step_visible() -> None:
    text = with_steps('{name: a, executor: x, input: "{{ steps.b.result | default(1) }}"}', "{name: b, executor: x}")
    assert "does not run before" in fault(text).message


def test_outputs_see_every_step_and_no_other() -> None:
    head = 'outputs: {a: "{{ steps.right.result }}", b: "{{ steps.left-side.status }}"}'
    one(with_steps(*STEPS, head=head))
    assert fault(with_steps(*STEPS, head='outputs: {a: "{{ steps.lefd-side.result }}"}')).nearest == "left-side"


def test_without_declared_inputs_any_input_may_be_spoken_of() -> None:
    one(last('input: "{{ inputs.whatever }}"'))
    assert fault(last('input: "{{ inputs.whatever }}"', head="inputs: {}")).message == (
        "there is no input `whatever`; `inputs` declares none"
    )


def test_names_that_a_template_sets_itself_are_its_own() -> None:
    one(last("""input: "{% set a = 1 %}{% for k, v in inputs.items() %}{{ k ~ v ~ a ~ loop.index }}{% endfor %}" """))
    one(last("""input: "{% with b = 2 %}{{ b }}{% endwith %}" """))


def test_a_loop_outside_of_loops_is_no_name() -> None:
    assert fault(last('input: "{{ loop.index }}"')).message.startswith("there is no name `loop`")


def test_in_a_circle_only_the_circle_is_told() -> None:
    text = with_steps(
        '{name: a, executor: x, depends_on: [b], input: "{{ steps.b.result }}"}',
        '{name: b, executor: x, input: "{{ steps.a.result }}"}',
    )
    assert [violation.message for violation in faults(text)] == ["steps depend on each other in a circle: a -> b -> a"]


def test_more_templates_than_the_limit_are_refused_once() -> None:
    many = ", ".join(['"{{ now }}"'] * 1_100)
    violation = fault(with_steps(f"{{name: a, executor: x, input: [{many}]}}"))
    assert (violation.path, violation.message) == (
        "steps[0].input[1000]",
        "more than 1000 strings with templates, the limit",
    )


def test_a_compensation_inside_a_foreach_sees_no_error_since_its_input_is_made_when_the_item_is_done() -> None:
    text = """
name: x
steps:
  - name: each
    foreach: [1]
    steps: [{name: a, executor: e, compensate: {executor: e, input: "{{ error.type }}"}}]
"""
    with pytest.raises(DefinitionError) as refused:
        load(text)
    (violation,) = refused.value.violations
    assert (violation.line, violation.message[:28]) == (6, "`error` is there only in `on")
    load(text.replace("error.type", "error.type | default('')"))


def test_an_approval_is_seen_by_the_input_of_its_own_step_alone() -> None:
    step = "name: x\nsteps: [{name: a, executor: e, requires_approval: true, %s}]"
    load(step % 'input: "{{ approval.form.ticket }}", with: {by: "{{ approval.by }}"}')
    for keys in ('if: "{{ approval.by }}"', 'input: "{{ approval.who }}"'):
        with pytest.raises(DefinitionError, match="approval"):
            load(step % keys)
    with pytest.raises(DefinitionError, match="with `requires_approval: true`"):
        load('name: x\nsteps: [{name: a, executor: e, input: "{{ approval.by }}"}]')
