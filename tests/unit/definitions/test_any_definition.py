"""Whatever stands in a definition's place, as values: it loads and compiles, or is refused with places."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.definitions import Definition, DefinitionError, Violation, json_schema, load
from leasehold.definitions.checks.later import DEFINITION_KEYS
from leasehold.definitions.steps import STEP_MODELS, CommonStep, Compensate

VALIDATOR = jsonschema_rs.validator_for(json_schema())

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["a", "b", "x", "5m", "30s", "0s", "PT1S", "string", "integer", "fail", "high"]),
    st.sampled_from(
        ["{{ inputs.a }}", "{{ steps.a.result }}", "{{ steps.b-c.result }}", "{{", "{% if", "{{ now | date }}"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
)


def keys_of(*models: type[Definition | CommonStep | Compensate]) -> list[str]:
    return sorted(
        {*(field.alias or name for model in models for name, field in model.model_fields.items()), "nonsense"}
    )


specs = st.dictionaries(
    st.sampled_from(["type", "required", "default", "pattern", "enum", "min", "max", "items", "what"]),
    anything,
    max_size=4,
)
retries = st.dictionaries(
    st.sampled_from(["max", "backoff", "initial", "factor", "jitter", "on"]), anything, max_size=3
)
names = st.sampled_from(["a", "b", "b-c", "A"])
templates = st.sampled_from(
    [
        *("{{ inputs.a }}", "{{ item }}", "{{ index }}", "{{ error.type }}", "{{ steps.a.result }}"),
        *("{{ steps.b-c.status }}", "{{ steps | length }}", "{{ vars.a }}", "{{ memory.a }}", "{{ signals.b-c }}"),
    ]
)
step_keys = st.sampled_from(keys_of(*STEP_MODELS.values(), Compensate)).filter(lambda key: key != "name")
loose_keys = st.dictionaries(step_keys, st.one_of(anything, retries, templates), max_size=2)


Steps = st.SearchStrategy[dict[str, Any]]


def listed(inner: Steps) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of steps with names of their own, in most of them."""
    rename = st.integers(0, 9)
    lists = st.lists(inner, min_size=1, max_size=2)
    return st.builds(
        lambda found, luck: [{**step, "name": f"s{at}-{at}"} for at, step in enumerate(found)] if luck else found,
        lists,
        rename,
    )


def of_kinds(inner: Steps, written: st.SearchStrategy[str], extra: Steps) -> Steps:
    """Steps of every kind, now and then with a key too many."""
    lists = listed(inner)
    values = st.one_of(written, st.integers(-9, 9), st.dictionaries(st.sampled_from(["a", "b"]), written, max_size=2))
    branches = st.dictionaries(st.sampled_from(["l", "r-1"]), lists, min_size=1, max_size=2)
    kinds: list[dict[str, st.SearchStrategy[Any]]] = [
        {"executor": st.just("x"), "input": values},
        {"executor": st.just("x"), "on_failure": lists},
        {"executor": st.just("x"), "compensate": st.fixed_dictionaries({"executor": st.just("y"), "input": values})},
        {"foreach": st.one_of(written, st.just([1])), "steps": lists},
        {"foreach": written, "workflow": st.just("w"), "input": values},
        {"parallel": branches, "wait_for": st.sampled_from(["all", "any", 1, 2])},
        {"switch": written, "cases": branches, "else": lists},
        {"while": written, "steps": lists},
        {"workflow": st.just("w"), "version": st.sampled_from(["active", 2, 0])},
        {"wait": st.just("1s")},
        {"until": written},
        {"wait_for_signal": st.just("b-c"), "timeout": st.just("1h")},
        {"set": st.fixed_dictionaries({"a": values})},
        {"remember": st.fixed_dictionaries({"a": values})},
        {"fail": written},
        {"succeed": st.one_of(st.just(True), st.fixed_dictionaries({"a": values}))},
    ]
    sound = st.one_of([st.fixed_dictionaries({"name": names, **keys}) for keys in kinds])
    return st.builds(lambda step, more: {**more, **step}, sound, extra)


def heads_of(written: st.SearchStrategy[str], inner: Steps) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"memory": st.just({"key": "a"})},
        optional={
            "idempotency": st.just("{{ inputs.a }}"),
            "concurrency": st.fixed_dictionaries({"key": written}),
            "budgets": st.dictionaries(st.sampled_from(["llm_calls", "cost", "steps"]), st.integers(1, 9), max_size=2),
            "on_failure": listed(inner),
            "on_cancel": listed(inner),
        },
    )


plain = st.builds(lambda name, more: {**more, "name": name, "executor": "x"}, names, loose_keys)
steps = st.recursive(plain, lambda inner: of_kinds(inner, templates, loose_keys), max_leaves=4)
safe_templates = st.sampled_from(
    [
        *("{{ inputs.a }}", "{{ item | default(1) }}", "{{ index | default(2) }}", "{{ now }}", "{{ steps | length }}"),
        *("{{ vars.a | default(1) }}", "{{ memory.a }}", "{{ signals.b-c }}", "{{ error | default(3) }}"),
    ]
)
nothing: Steps = st.just({})
sound_steps = st.recursive(
    st.fixed_dictionaries({"name": st.just("a"), "executor": st.just("x"), "input": safe_templates}),
    lambda inner: of_kinds(inner, safe_templates, nothing),
    max_leaves=6,
)
definitions = st.builds(
    lambda more, head, body: {"name": "x", **more, **head, "steps": body},
    st.dictionaries(
        st.sampled_from([*keys_of(Definition), *sorted(DEFINITION_KEYS)]),
        st.one_of(anything, st.dictionaries(st.sampled_from(["a", "b"]), specs, max_size=2)),
        max_size=2,
    ),
    st.one_of(nothing, heads_of(templates, steps)),
    st.one_of(st.lists(steps, max_size=3), anything),
)
sound_definitions = st.builds(
    lambda head, body: {"name": "x", **head, "steps": body},
    heads_of(st.just("{{ inputs.a }}"), sound_steps),
    listed(sound_steps),
)


def loaded(value: Any) -> Definition | tuple[Violation, ...]:
    try:
        (definition,) = load(json.dumps(value))
    except DefinitionError as refusal:
        return refusal.violations
    return definition


@settings(max_examples=150, deadline=None)
@given(st.one_of(definitions, sound_definitions))
def test_any_value_loads_or_is_refused_at_a_place(value: Any) -> None:
    found = loaded(value)
    if isinstance(found, tuple):
        assert found
        assert all(violation.line == 1 and violation.column for violation in found)
        return
    assert found.compile().name == "x"
    assert found.content_hash() == load(found.source)[0].content_hash()


@settings(max_examples=150, deadline=None)
@given(sound_definitions)
def test_what_loads_fits_the_schema_and_its_plan_hangs_together(value: Any) -> None:
    found = loaded(value)
    if isinstance(found, tuple):
        return
    VALIDATOR.validate(json.loads(json.dumps(value)))
    plan = found.compile()
    for path, step in plan.steps.items():
        assert step.path == path
        assert plan.step(path.replace(".", "[0]." if "[" not in path else ".")) is step
        assert (step.flow is None) is (step.executor != "")
        assert step.block is not None
        assert step.path == step.block.prefix + step.name
        assert step.block.owner == ("" if step.outer is None else step.outer.path)
        assert set(step.depends_on) <= step.ancestors
        if not step.name.endswith(".compensate"):
            assert step.name in step.block.names
            assert (step.name in step.block.roots) is (not step.depends_on)
    assert Definition.model_validate(value).compile().steps.keys() == plan.steps.keys()
