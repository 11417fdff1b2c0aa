"""What an author gets who has made a mistake in one of the kinds of steps, or in what stands inside them."""

from __future__ import annotations

import time

import pytest
from leasehold.definitions.outline import NESTING_MAX, STEPS_MAX

from .builders import fault, faults, marked, one, with_steps

IN = "steps: [{name: b, executor: x}]"


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        # which kind it is
        ("¦{name: a}", ".executor", "`executor` is missing; a step has it, or one of `foreach`, `parallel`, `switch`"),
        ("{name: a, ¦for_each: [1], steps: []}", ".for_each", "unknown key `for_each`; did you mean `foreach`?"),
        ("{name: a, ¦executer: x}", ".executer", "unknown key `executer`; did you mean `executor`?"),
        ("{name: a, executor: x, ¦wait: 5s}", ".wait",
         "found `executor` and `wait`; a step is of one kind: make two steps of it"),
        ("{name: a, foreach: [1], ¦executor: x}", ".executor",
         "found `foreach` and `executor`; a step is of one kind: put a step with `executor` under `steps:`"),
        ("{name: a, workflow: x, ¦while: '{{ now }}'}", ".while",
         "found `workflow` and `while`; a step is of one kind: put a step with `workflow` under `steps:`"),
        ("{name: a, ¦cases: {}}", ".cases", "`cases` belongs to steps with `switch`, which this one does not have"),
        ("{name: a, ¦steps: []}", ".steps", "`steps` belongs to steps with `foreach` or `while`, which this one"),
        ("{name: a, executor: x, ¦max_parallel: 5}", ".max_parallel",
         "`max_parallel` belongs to steps with `foreach`, and this one has `executor`; steps with `executor` have `na"),
        ("{name: a, wait: 5s, ¦retry: {max: 1}}", ".retry",
         "`retry` belongs to steps with `executor`, `foreach` or `workflow`, and this one has `wait`; "
         "steps with `wait` have `name`, `wait`, `depends_on`, `if`"),
        ("{name: a, wait: 5s, ¦on_failure: continue}", ".on_failure", "`on_failure` belongs to steps with `executor`"),
        ("{name: a, workflow: x, ¦with: {}}", ".with", "`with` belongs to steps with `executor`, and this one has"),
        ("{name: a, wait: 5s, ¦iff: true}", ".iff", "unknown key `iff`; did you mean `if`?"),
        (f"{{name: a, foreach: [1], ¦executr: x, {IN}}}", ".executr",
         "unknown key `executr`; did you mean `executor`? a step is of one kind, and this one has `foreach`"),
        # foreach
        (f"{{name: a, foreach: ¦inputs.a, {IN}}}", ".foreach",
         'found "inputs.a"; allowed: a list, or one expression: "{{ ... }}"'),
        (f"{{name: a, foreach: ¦5, {IN}}}", ".foreach", 'found 5; allowed: a list, or one expression: "{{ ... }}"'),
        (f"{{name: a, foreach: ¦'{{{{ now }}}}{{{{ now }}}}', {IN}}}", ".foreach",
         "found text with templates in it, which is no list; allowed: one expression"),
        ("¦{name: a, foreach: [1]}", ".steps", "`steps` is missing; a foreach has it, or `workflow`"),
        (f"{{name: a, foreach: [1], {IN}, ¦workflow: w}}", ".workflow", "found `steps` and `workflow`; a foreach has"),
        (f"{{name: a, foreach: [1], {IN}, ¦input: 5}}", ".input", "`input` goes with `workflow`"),
        ("{name: a, foreach: [1], steps: ¦[]}", ".steps", "found a list without entries; allowed: at least 1 entry"),
        ("{name: a, foreach: [1], steps: ¦{}}", ".steps", "found a mapping without entries; allowed: a list"),
        ("{name: a, foreach: [1], steps: [¦x]}", ".steps[0]", 'found "x"; allowed: a mapping'),
        (f"{{name: a, foreach: [1], {IN}, max_parallel: ¦0}}", ".max_parallel", "found 0; allowed: at least 1"),
        (f"{{name: a, foreach: [1], {IN}, on_item_failure: ¦skip}}", ".on_item_failure",
         'found "skip"; allowed: `fail`, `continue`'),
        ("{name: a, foreach: [1], steps: [{name: b, ¦wait_for_signal: s}]}", ".steps[0].wait_for_signal",
         "`wait_for_signal` can't stand inside a `foreach`, whose items run apart; call a sub-workflow for each item"),
        ("{name: a, foreach: [1], steps: [{name: b, while: '{{ now }}', steps: [{name: c, ¦succeed: true}]}]}",
         ".steps[0].steps[0].succeed", "`succeed` can't stand inside a `foreach`"),
        ("{name: a, foreach: [1], steps: [{name: b, ¦set: {a: 1}}]}", ".steps[0].set",
         "`set` can't stand inside a `foreach`, whose items run apart; let it follow the `foreach`, and take the valu"),
        # parallel
        ("{name: a, parallel: ¦{}}", ".parallel", "found a mapping without entries; allowed: at least 1 entry"),
        ("{name: a, parallel: ¦[]}", ".parallel", "found a list without entries; allowed: a mapping"),
        ("{name: a, parallel: {¦L: [{name: b, executor: x}]}}", ".parallel.L", "found the name `L`; allowed: a-z, 0-9"),
        ("{name: a, parallel: {l: [{name: b, executor: ¦5}]}}", ".parallel.l[0].executor", "found 5; allowed: a strin"),
        ("{name: a, parallel: {l: [{name: b, executor: x}]}, ¦wait_for: 2}", ".wait_for",
         "found 2; there is 1 branch to wait for"),
        ("{name: a, parallel: {l: [{name: b, executor: x}]}, wait_for: ¦most}", ".wait_for",
         'found "most"; allowed: all, any, or how many branches, at least 1'),
        ("{name: a, parallel: {l: [{name: b, executor: x}, {name: ¦b, executor: y}]}}", ".parallel.l[1].name",
         "`b` is the name of l[0] as well; names are unique"),
        ("{name: a, parallel: {l: [{name: b, executor: x, depends_on: [¦c]}], r: [{name: c, executor: y}]}}",
         ".parallel.l[0].depends_on[0]", "`c` stands in another list of steps; `depends_on` names those of its own"),
        # switch
        ("{name: a, switch: ¦verdict, cases: {x: [{name: b, executor: x}]}}", ".switch",
         'found "verdict"; allowed: a template: "{{ ... }}"'),
        ("¦{name: a, switch: '{{ now }}'}", ".cases", "`cases` is missing"),
        ("{name: a, switch: '{{ now }}', cases: ¦[]}", ".cases", "found a list without entries; allowed: a mapping"),
        ("{name: a, switch: '{{ now }}', ¦cases: {else: [{name: b, executor: x}]}}", ".cases",
         "`else` can't be the name of a case; `else` stands next to `cases`"),
        ("{name: a, switch: '{{ now }}', cases: {¦a.b: [{name: b, executor: x}]}}", ".cases.a.b",
         "found the name `a.b`; allowed: at least 1 and at most 128 characters, none of them . : / ~ % [ or ]"),
        ("{name: a, switch: '{{ now }}', cases: {1: [{name: b, wait: ¦1}]}}", ".cases.1[0].wait", "found 1; allowed:"),
        ("{name: a, switch: '{{ now }}', cases: {x: [{name: b, wait: 1s}]}, else: [{name: b, ¦wate: 1s}]}",
         ".else[0].wate", "unknown key `wate`; did you mean `wait`?"),
        # while
        (f"{{name: a, while: ¦true, {IN}}}", ".while", 'found true; allowed: one expression: "{{ ... }}"'),
        (f"{{name: a, while: ¦'{{{{ now }}}} x {{{{ now }}}}', {IN}}}", ".while",
         "found text with templates in it, which always counts as true"),
        ("¦{name: a, while: '{{ now }}'}", ".steps", "`steps` is missing"),
        (f"{{name: a, while: '{{{{ now }}}}', {IN}, max_iterations: ¦0}}", ".max_iterations", "found 0; allowed: at l"),
        # workflow
        ("{name: a, workflow: ¦Isolate Host}", ".workflow", 'found "Isolate Host"; allowed: a-z, 0-9 and -'),
        ("{name: a, workflow: x, version: ¦latest}", ".version",
         'found "latest"; allowed: active, or the number of a version, at least 1'),
        ("{name: a, workflow: x, version: ¦'3'}", ".version", 'found "3"; allowed: active, or the number'),
        # wait, until, signal
        ("{name: a, wait: ¦5}", ".wait", "found 5; allowed: a duration such as 250ms, 30s, 5m, 4h, 7d or PT30S; write"),
        ("{name: a, wait: ¦0s}", ".wait", 'found "0s"; allowed: a duration that is not zero'),
        ("{name: a, wait: ¦'{{ inputs.a }}'}", ".wait",
         'found "{{ inputs.a }}": a duration is fixed: templates are not evaluated here'),
        ("{name: a, until: ¦15m}", ".until", 'found "15m"; allowed: a timestamp such as 2026-03-01T12:00:00Z, or one'),
        ("{name: a, until: ¦tomorrow}", ".until", 'found "tomorrow"; allowed: a timestamp'),
        ("{name: a, until: ¦1772366400000}", ".until", "found 1772366400000; allowed: a timestamp"),
        ("{name: a, wait: 1s, ¦timeout: 5s}", ".timeout", "`timeout` belongs to steps with `executor`"),
        ("{name: a, wait_for_signal: ¦'{{ now }}'}", ".wait_for_signal", 'found "{{ now }}"; allowed: a-z, 0-9 and -'),
        ("{name: a, wait_for_signal: s, ¦on_timeout: continue}", ".on_timeout", "`on_timeout` has no effect without"),
        ("{name: a, wait_for_signal: s, timeout: 1s, on_timeout: ¦skip}", ".on_timeout",
         'found "skip"; allowed: `fail`, `continue`'),
        # set, remember, fail, succeed
        ("{name: a, set: ¦severity}", ".set", 'found "severity"; allowed: a mapping'),
        ("{name: a, set: {¦my-name: 1}}", ".set.my-name", "found the name `my-name`; allowed: letters, digits and _"),
        ("{name: a, ¦remember: {a: 1}}", ".remember",
         "`remember` has no effect in a definition without a memory: add `memory: {key: ...}` to it"),
        ("{name: a, fail: ¦{type: x}}", ".fail", "found a mapping; allowed: a string"),
        ("{name: a, succeed: ¦done}", ".succeed",
         'found "done"; allowed: a mapping, the outputs, or true for those of the definition'),
        # on_failure, compensate, cost
        ("{name: a, executor: x, on_failure: ¦retry}", ".on_failure",
         'found "retry"; allowed: fail, continue, or a list of steps'),
        ("{name: a, executor: x, on_failure: ¦[]}", ".on_failure", "found a list without entries; allowed: at least 1"),
        ("{name: a, executor: x, on_failure: [{name: b, ¦wayt: 1s}]}", ".on_failure[0].wayt",
         "unknown key `wayt`; did you mean `wait`?"),
        ("{name: a, executor: x, compensate: ¦{input: 5}}", ".compensate.executor",
         "`executor` is missing; a compensation has it, or `workflow`"),
        ("{name: a, executor: x, compensate: {executor: y, ¦workflow: z}}", ".compensate.workflow",
         "found `executor` and `workflow`; a compensation is one of both"),
        ("{name: a, executor: x, compensate: {workflow: z, ¦permissions: [a]}}", ".compensate.permissions",
         "`permissions` goes with `executor`, which this compensation does not have"),
        ("{name: a, executor: x, compensate: {executor: z, ¦version: 3}}", ".compensate.version",
         "`version` goes with `workflow`"),
        ("{name: a, executor: x, compensate: {executor: z, ¦if: true}}", ".compensate.if", "unknown key `if`; allowed"),
        ("{name: a, executor: x, compensate: {executor: z, retry: {max: ¦-1}}}", ".compensate.retry.max",
         "found -1; allowed: at least 0"),
        (f"{{name: a, foreach: [1], {IN}, ¦compensate: {{executor: x}}}}", ".compensate",
         "`compensate` belongs to steps with `executor` or `workflow`, and this one has `foreach`"),
        ("{name: a, executor: x, cost: ¦-1}", ".cost", "found -1; allowed: at least 0"),
        ("{name: a, executor: x, cost: ¦cheap}", ".cost", 'found "cheap"; allowed: a number'),
    ],
)  # fmt: skip
def test_a_mistake_in_a_step_of_any_kind_is_told_with_its_place(step: str, path: str, message: str) -> None:
    text, line, column = marked(with_steps(step))
    violation = fault(text)
    assert violation.message.startswith(message)
    assert (violation.path, violation.line, violation.column) == (f"steps[0]{path}", line, column)


@pytest.mark.parametrize(
    ("head", "path", "message"),
    [
        ("budgets: {¦calls: 5}", "budgets.calls", "unknown key `calls`; did you mean `llm_calls`?"),
        ("budgets: {cost: ¦free}", "budgets.cost", 'found "free"; allowed: a number'),
        ("budgets: {steps: ¦0}", "budgets.steps", "found 0; allowed: at least 1"),
        ("budgets: ¦5", "budgets", "found 5; allowed: a mapping"),
        ("¦max_llm_calls: 5\nbudgets: {llm_calls: 3}", "max_llm_calls",
         "found with `budgets.llm_calls`, of which it is the short form; keep one"),
        ("concurrency: ¦{limit: 2}", "concurrency.key", "`key` is missing"),
        ("concurrency: {key: a, limit: ¦0}", "concurrency.limit", "found 0; allowed: at least 1"),
        ("concurrency: {key: a, strategy: ¦wait}", "concurrency.strategy",
         'found "wait"; allowed: `queue`, `drop`, `cancel_running`, `replace_waiting`'),
        ("concurrency: {key: '¦{{ steps.a.result }}'}", "concurrency.key",
         "`concurrency.key` is evaluated before there is an instance, so it can't see `steps`; there are `inputs`, "
         "`trigger`"),
        ("idempotency: ¦5", "idempotency", "found 5; allowed: a string"),
        ("idempotency: '¦{{ now }}'", "idempotency", "`idempotency` is evaluated before there is an instance, so it"),
        ("idempotency: '¦{{ input.a }}'", "idempotency", "there is no name `input`; did you mean `inputs`?"),
        ("inputs: {}\nidempotency: '¦{{ inputs.a }}'", "idempotency", "there is no input `a`; `inputs` declares none"),
        ("idempotency: '¦{{ 1 + }}'", "idempotency", "template syntax: "),
        ("memory: ¦'{{ inputs.a }}'", "memory", 'found "{{ inputs.a }}"; allowed: a mapping'),
        ("memory: {key: '¦{{ memory.a }}'}", "memory.key", "`memory.key` is evaluated before there is an instance"),
        ("on_failure: ¦continue", "on_failure", 'found "continue"; allowed: a list'),
        ("on_failure: ¦[]", "on_failure", "found a list without entries; allowed: at least 1 entry"),
        ("on_failure: [{name: b, ¦succeed: true}]", "on_failure[0].succeed",
         "`succeed` can't stand in the definition's `on_failure`: how the instance ends is settled by then"),
        ("on_cancel: [¦{name: b}]", "on_cancel[0].executor", "`executor` is missing"),
        ("on_cancel: [{name: b, executor: x}, {name: ¦b, executor: x}]", "on_cancel[1].name",
         "`b` is the name of on_cancel[0] as well"),
        ("on_cancel: [{name: b, executor: x, depends_on: [¦a]}]", "on_cancel[0].depends_on[0]",
         "`a` stands in another list of steps"),
        ("¦onfailure: []", "onfailure", "unknown key `onfailure`; did you mean `on_failure`?"),
        ("¦vars: {}", "vars", "unknown key `vars`; allowed: `name`"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_for_the_whole_instance_is_told_with_its_place(head: str, path: str, message: str) -> None:
    text, line, column = marked(with_steps("{name: a, executor: x}", head=head))
    violation = fault(text)
    assert violation.message.startswith(message)
    assert (violation.path, violation.line) == (path, line)
    assert violation.column in (column, column + 3)  # a template's braces, or the word in them


def test_mistakes_inside_steps_do_not_hide_each_other() -> None:
    text = """\
name: x
steps:
  - name: each
    foreach: [1]
    ¦max_paralel: 2
    steps:
      - {name: a, executor: x, timeout: ¦5}
      - {name: b, ¦execute: x}
      - name: c
        parallel:
          left: [{name: d, executor: x, input: "{{ ¦steps.nope.result }}"}, {¦name: e}]
          right: [{name: ¦E, wait: ¦1}]
"""
    found = faults(text.replace("¦", "").replace("{name: e}", "{executor: e}"))
    places = {(violation.line, violation.path.split(".")[-1]) for violation in found}
    assert {
        (5, "max_paralel"),
        (7, "timeout"),
        (8, "execute"),
        (11, "input"),
        (11, "name"),
        (12, "name"),
        (12, "wait"),
    } == places


def test_a_circle_inside_a_block_is_told_there() -> None:
    text, line, column = marked(
        with_steps(
            "{name: e, foreach: [1], steps: [{name: a, executor: x, depends_on: ¦[b]}, {name: b, executor: x}]}",
        )
    )
    violation = fault(text)
    assert violation.message == "steps depend on each other in a circle: a -> b -> a"
    assert (violation.path, violation.line, violation.column) == ("steps[0].steps[0].depends_on", line, column)


def test_names_are_unique_within_their_list_only() -> None:
    one(with_steps("{name: a, foreach: [1], steps: [{name: a, executor: x}]}", "{name: b, executor: x}"))


def test_steps_inside_steps_count() -> None:
    inner = ", ".join(f"{{name: s{n}, executor: x}}" for n in range(STEPS_MAX - 1))
    one(with_steps(f"{{name: a, foreach: [1], steps: [{inner}]}}"))
    text = with_steps(f"{{name: a, foreach: [1], steps: [{inner}]}}", '{name: b, wait: 1s, if: "{{ steps.a.result }}"}')
    violation = fault(text)
    assert violation.message == "found more than 500 steps, those inside steps counted; move some into a sub-workflow"
    assert (violation.path, violation.line, violation.column) == ("steps", 2, 1)


def nested(levels: int) -> str:
    step = "{name: a, executor: x}"
    for _ in range(levels - 1):
        step = f"{{name: a, while: '{{{{ now }}}}', steps: [{step}]}}"
    return with_steps(step)


def test_steps_stand_inside_each_other_up_to_a_depth() -> None:
    assert len(one(nested(NESTING_MAX)).compile().steps) == NESTING_MAX
    violation = fault(nested(NESTING_MAX + 1))
    assert violation.message == ("steps stand inside each other deeper than 8 levels; move some into a sub-workflow")
    assert (violation.path, violation.line) == (f"steps[0]{'.steps[0]' * (NESTING_MAX - 1)}.steps", 3)


def test_aliases_do_not_get_around_the_bounds() -> None:
    lines = [
        "name: x",
        "steps:",
        "  - name: q",
        "    parallel:",
        "      l0: &l0 [{name: a, executor: x}, {name: b, wait: 1s}]",
    ]
    lines += [f"      l{n}: &l{n} [{{name: p, parallel: {{a: *l{n - 1}, b: *l{n - 1}}}}}]" for n in range(1, 12)]
    messages = " ".join(violation.message for violation in faults("\n".join(lines) + "\n"))
    assert "more than 500 steps" in messages
    assert "deeper than 8 levels" in messages


def hostile_texts() -> dict[str, str]:
    unknown = ",".join(f"zq{n}" for n in range(600))
    missing = [",".join(f"steps.z{at}x{n}" for n in range(3_000)) for at in range(9)]
    wide = ",".join(f"{{name: a{n}, executor: x}}" for n in range(400))
    return {
        "dependencies": with_steps(
            f"{{name: abcdefghij, executor: x, depends_on: &d [{unknown}]}}",
            *(f"{{name: abcdefghij{n}, executor: x, depends_on: *d}}" for n in range(250)),
        ),
        "references": with_steps(
            *(f'{{name: s{at}, executor: x, input: "{{{{ [{words}] }}}}"}}' for at, words in enumerate(missing))
        ),
        "branches": with_steps(
            f"{{name: q, parallel: {{a: &a [{wide}], {', '.join(f'b{n}: *a' for n in range(80))}}}}}"
        ),
    }


@pytest.mark.parametrize("name", hostile_texts())
def test_a_hostile_text_is_refused_soon(name: str) -> None:
    began = time.process_time()
    assert len(faults(hostile_texts()[name])) <= 1_000
    assert time.process_time() - began < 10
