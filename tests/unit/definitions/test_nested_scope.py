"""What templates see that stand inside steps, in what follows a failure, and in compensations."""

from __future__ import annotations

import pytest

from .builders import fault, marked, one, with_steps

BEFORE = "{name: before, executor: x}"
AFTER = "{name: after, executor: x}"
S = "executor: x, input"


def text_of(step: str, head: str = "") -> str:
    return with_steps(BEFORE, step, AFTER, head=head)


@pytest.mark.parametrize(
    "step",
    [
        f"{{name: e, foreach: [1], steps: [{{name: s, {S}: '{{{{ item }}}}{{{{ index }}}}{{{{ steps.before }}}}'}}]}}",
        f"{{name: e, foreach: [1], steps: [{{name: s, executor: x}}, {{name: t, {S}: '{{{{ steps.s.result }}}}'}}]}}",
        f"{{name: e, foreach: [1], steps: [{{name: s, parallel: {{l: [{{name: t, {S}: '{{{{ item }}}}'}}]}}}}]}}",
        "{name: e, foreach: [1], steps: [{name: s, foreach: '{{ item.ports }}', steps: [{name: t, executor: x}]}]}",
        "{name: e, foreach: [1], workflow: w, input: '{{ item }}{{ index }}{{ steps.before.result }}'}",
        f"{{name: w, while: '{{{{ steps.s.result }}}}', steps: [{{name: s, {S}: '{{{{ index }}}}'}}]}}",
        "{name: w, while: '{{ steps.s.status + steps.before.status }}', steps: [{name: s, executor: x}]}",
        f"{{name: a, executor: x, on_failure: [{{name: h, {S}: '{{{{ error.type }}}}{{{{ steps.before.error }}}}'}}]}}",
        "{name: a, executor: x, on_failure: [{name: h, executor: x}, "
        f"{{name: i, {S}: '{{{{ steps.h.result }}}}{{{{ error.step }}}}'}}]}}",
        "{name: a, executor: x, compensate: {executor: x, "
        "input: '{{ steps.a.result }}{{ steps.before.result }}{{ error.message }}', with: {m: '{{ steps.a }}'}}}",
        "{name: e, foreach: [1], steps: [{name: before, executor: x}, "
        f"{{name: t, {S}: '{{{{ steps.before.result }}}}'}}]}}",
        "{name: n, set: {a: '{{ vars.b | default(1) }}'}}",
        f"{{name: s, {S}: '{{{{ signals.anything.at_all }}}}'}}",
        f"{{name: s, {S}: '{{{{ item | default(1) }}}}{{{{ memory is defined }}}}'}}",
        "{name: f, fail: '{{ steps.before.result }}'}",
        "{name: e, foreach: [], steps: [{name: s, executor: x}], if: \"{{ steps.before.result }}\"}",
    ],
)  # fmt: skip
def test_what_is_visible_passes(step: str) -> None:
    one(text_of(step))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{name: e, foreach: '{{ ¦item }}', steps: [{name: s, executor: x}]}",
         "`item` is there inside a `foreach` only"),
        ("{name: w, while: '{{ ¦index > 1 }}', steps: [{name: s, executor: x}]}",
         "`index` is there inside a `foreach` or a `while` only"),
        (f"{{name: w, while: '{{{{ now }}}}', steps: [{{name: s, {S}: '{{{{ ¦item }}}}'}}]}}",
         "`item` is there inside a `foreach` only"),
        (f"{{name: e, foreach: [1], steps: [{{name: s, {S}: '{{{{ ¦steps.e.result }}}}'}}]}}",
         "`e` is not done while the steps inside it run, so its result is not there yet"),
        (f"{{name: e, foreach: [1], steps: [{{name: s, {S}: '{{{{ ¦steps.after.result }}}}'}}]}}",
         "`after` does not run before `e` but after it, so its result is not there yet"),
        (f"{{name: e, foreach: [1], steps: [{{name: s, {S}: '{{{{ ¦steps.s.result }}}}'}}]}}",
         "`s` can't see itself"),
        (f"{{name: e, foreach: [1], steps: [{{name: s, {S}: '{{{{ ¦steps.t.result }}}}'}}, {{name: t, executor: x}}]}}",
         "`t` does not run before `s` but after it"),
        (f"{{name: p, parallel: {{l: [{{name: s, wait: 1s}}], r: [{{name: t, {S}: '{{{{ ¦steps.s.result }}}}'}}]}}}}",
         "`s` stands inside `p`, and can't be seen from outside; `steps.p.result` has what it gives"),
        (f"{{name: e, foreach: [1], steps: [{{name: s, {S}: '{{{{ ¦steps.befor.result }}}}'}}]}}",
         "there is no step `befor`; did you mean `before`?"),
        (f"{{name: a, executor: x, on_failure: [{{name: h, {S}: '{{{{ ¦steps.a.error }}}}'}}]}}",
         "`a` has failed where its `on_failure` runs, so it has no result; `error` says why"),
        (f"{{name: a, executor: x, on_failure: [{{name: h, {S}: '{{{{ ¦error.reason }}}}'}}]}}",
         "there is no fact of an error `reason`; there are `type`, `message`, `step`"),
        ("{name: a, executor: x, input: '{{ ¦error.type }}', compensate: {executor: x}}",
         "`error` is there only in `on_failure`, `on_cancel`, and in a `compensate` outside of"),
        ("{name: a, executor: x, compensate: {executor: x, input: '{{ ¦steps.after.result }}'}}",
         "`after` does not run before `a` but after it"),
        ("{name: a, executor: x, compensate: {executor: x, input: '{{ ¦item }}'}}",
         "`item` is there inside a `foreach` only"),
        (f"{{name: s, {S}: '{{{{ ¦vars.severty }}}}'}}", "there is no variable `severty`; did you mean `severity`?"),
        (f"{{name: s, {S}: '{{{{ ¦memory.last }}}}'}}",
         "`memory` is there only in a definition that says whose: add `memory: {key: ...}` to it"),
        (f"{{name: s, {S}: '{{{{ ¦secrets.token }}}}'}}", "`secrets` is not supported yet in templates"),
        (f"{{name: s, {S}: '{{{{ ¦steps.before.failures }}}}'}}",
         "a step that is no `foreach` has no `failures`; there are `result`, `status`"),
        ("{name: f, fail: '{{ ¦steps.after.result }}'}", "`after` does not run before `f`"),
        ("{name: f, until: '{{ ¦steps.after.result }}'}", "`after` does not run before `f`"),
        ("{name: f, set: {a: ['{{ ¦steps.after.result }}']}}", "`after` does not run before `f`"),
        ("{name: f, workflow: w, input: '{{ ¦steps.after.result }}'}", "`after` does not run before `f`"),
        ("{name: f, succeed: {a: '{{ ¦steps.after.result }}'}}", "`after` does not run before `f`"),
        ("{name: f, switch: '{{ ¦steps.after.result }}', cases: {a: [{name: b, wait: 1s}]}}",
         "`after` does not run before `f`"),
        ("{name: e, foreach: [1, '{{ ¦steps.after.result }}'], workflow: w}", "`after` does not run before `e`"),
        (f"{{name: e, switch: '{{{{ now }}}}', cases: {{a: [{{name: b, {S}: '¦{{{{ 1 + }}}}'}}]}}}}", "template"),
    ],
)  # fmt: skip
def test_what_is_not_visible_is_refused_with_its_place(step: str, message: str) -> None:
    text, line, column = marked(with_steps(BEFORE, step, AFTER, "{name: note, set: {severity: 1}}"))
    violation = fault(text)
    assert violation.message.startswith(message)
    assert violation.line == line
    assert violation.column in (column, column - 3)  # the word where it stands as it is said, else its braces


def test_the_failures_of_a_foreach_may_be_spoken_of() -> None:
    one(with_steps("{name: e, foreach: [1], workflow: w}", f"{{name: s, {S}: '{{{{ steps.e.failures | length }}}}'}}"))


def test_steps_for_the_instances_end_see_all_of_its_own_steps_and_why_it_ends() -> None:
    for key in ("on_failure", "on_cancel"):
        one(
            text_of(
                "{name: a, wait: 1s}", f"{key}: [{{name: h, {S}: '{{{{ error.step }}}}{{{{ steps.after.status }}}}'}}]"
            )
        )
        found = fault(text_of("{name: a, wait: 1s}", f"{key}: [{{name: h, {S}: '{{{{ steps.aftr.status }}}}'}}]"))
        assert found.message == "there is no step `aftr`; did you mean `after`?"


def test_outputs_do_not_see_into_steps() -> None:
    found = fault(text_of("{name: p, parallel: {l: [{name: s, executor: x}]}}", "outputs: {a: '{{ steps.s.result }}'}"))
    assert found.message == (
        "`s` stands inside `p`, and can't be seen from outside; `steps.p.result` has what it gives"
    )
    found = fault(
        text_of("{name: p, wait: 1s}", "outputs: {a: '{{ steps.h.result }}'}\non_cancel: [{name: h, wait: 1s}]")
    )
    assert found.message == "`h` stands in the definition's `on_cancel`; only steps there see it"


def test_with_a_memory_every_template_sees_it() -> None:
    one(text_of(f"{{name: s, {S}: '{{{{ memory.last | default(0) }}}}'}}", "memory: {key: a}"))
    one(text_of("{name: s, wait: 1s}", "memory: {key: a}\noutputs: {a: '{{ memory }}'}"))
