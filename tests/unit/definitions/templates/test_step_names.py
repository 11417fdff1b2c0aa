"""Step names with hyphens and digits in templates are names, not subtractions."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.definitions import compile_value
from leasehold.definitions.templates import ValueCompiler

from .seen import CONTEXT, failure, render

STEPS = ("fetch", "gather-context", "2nd-try", "a", "a-b", "a-b-c", "x-1e5", "0")


def context() -> dict[str, Any]:
    steps = {name: {"result": name, "n": 7} for name in STEPS}
    return {**CONTEXT, "steps": steps, "inputs": {"b": 2, "steps": {"a": 10}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ steps.gather-context.result }}", "gather-context"),
        ("{{ steps . gather-context . result }}", "gather-context"),
        ("{{ steps.gather - context.result }}", "gather-context"),
        ("{{ steps.gather -context.result }}", "gather-context"),
        ("{{steps.gather-context.result}}", "gather-context"),
        ("{{ steps['gather-context'].result }}", "gather-context"),
        ("{{ steps['gather-context']['result'] }}", "gather-context"),
        ("{{ steps.2nd-try.result }}", "2nd-try"),
        ("{{ steps.x-1e5.result }}", "x-1e5"),
        ("{{ steps.0.result }}", "0"),
        ("{{ steps.a.result }}", "a"),
        ("{{ steps.a-b.result }}", "a-b"),
        ("{{ steps.a-b-c.result }}", "a-b-c"),
        ("{{ steps.a.n - 1 }}", 6),
        ("{{ steps.a.n-1 }}", 6),
        ("{{ steps.a-b.n-inputs.b }}", 5),
        ("{{ 9-steps.a.n }}", 2),
        ("{{ -steps.a-b.n }}", -7),
        ("{{ inputs.steps.a-inputs.b }}", 8),
        ("{% if steps.gather-context.result %}yes{% endif %}", "yes"),
        ("{% set s = steps.gather-context.result %}{{ s }}", "gather-context"),
        ("{% for x in [steps.a-b.n, steps.a.n] %}{{ x }}{% endfor %}", "77"),
        ("{{ steps.gather-context.result | replace('-', steps.a-b.n) }}", "gather7context"),
        ("{{ 'steps.gather-context' }}", "steps.gather-context"),
        ('{{ "it is steps.a-b" ~ steps.a-b.n }}', "it is steps.a-b7"),
        ("text steps.gather-context {{ steps.gather-context.n }}", "text steps.gather-context 7"),
        ("{# steps.nope-nope #}{{ steps.a.n }}", 7),
        ("{{ steps.gather-context.result if true else steps.a-b.result }}", "gather-context"),
        ("{{- steps.gather-context.result -}}", "gather-context"),
    ],
)
def test_a_known_step_name_is_that_step(text: str, value: Any) -> None:
    assert render(text, context(), steps=STEPS) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ steps.gather-context.result }}", "found it"),
        ("{{ steps.2nd-try.result }}", 5),
        ("{{ steps.2nd-try.result - 1 }}", 4),
        ("{{ steps.fetch.result.hits }}", [1, 2, 3]),
    ],
)
def test_without_known_names_every_hyphenated_word_is_a_step_name(text: str, value: Any) -> None:
    assert render(text) == value


def test_an_unknown_hyphenated_name_is_taken_whole() -> None:
    template = compile_value("{{ steps.gather-contxt.result }}", steps=("gather-context", "other"))
    assert template is not None
    assert [(reference.name, reference.keys) for reference in template.references] == [
        ("steps", ("gather-contxt", "result"))
    ]
    assert failure("{{ steps.gather-contxt.result }}") == "there is no `gather-contxt`; did you mean `gather-context`?"


def test_a_set_variable_of_another_name_is_no_step() -> None:
    assert render("{% set mysteps = {'a': 5} %}{{ mysteps.a-inputs.n }}") == "2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ signals.ticket-closed.by }}", "me"),
        ("{{ signals . ticket - closed . by }}", "me"),
        ("{{ signals['ticket-closed'].by }}", "me"),
        ("{{ signals.go.n - 1 }}", 6),
        ("{{ signals.go.n-inputs.b }}", 5),
        ("{{ inputs.signals.go-1 }}", 2),
        ("{{ signals.nobody-waits | default('none') }}", "none"),
    ],
)
def test_the_name_of_a_signal_may_hold_hyphens_too(text: str, value: Any) -> None:
    signals = {"ticket-closed": {"by": "me"}, "go": {"n": 7}}
    given = {**CONTEXT, "signals": signals, "inputs": {"b": 2, "signals": {"go": 3}}}
    template = ValueCompiler((), ("ticket-closed", "go")).compile(text)
    assert template is not None
    assert template.render(given) == value
