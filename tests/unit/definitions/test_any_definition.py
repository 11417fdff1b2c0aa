"""Whatever stands in a definition's place, as values: it loads and compiles, or is refused with places."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.definitions import Definition, DefinitionError, Violation, load
from leasehold.definitions.checks.later import DEFINITION_KEYS
from leasehold.definitions.steps import STEP_MODELS, CommonStep, Compensate

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
named = st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "b-c", "A"]), "executor": st.just("x")})
steps = st.builds(
    lambda base, more: {**base, **more},
    named,
    st.dictionaries(
        st.sampled_from(keys_of(*STEP_MODELS.values(), Compensate)), st.one_of(anything, retries), max_size=3
    ).map(lambda more: {key: value for key, value in more.items() if key not in ("name", "executor")}),
)
definitions = st.builds(
    lambda more, body: {"name": "x", **more, "steps": body},
    st.dictionaries(
        st.sampled_from([*keys_of(Definition), *sorted(DEFINITION_KEYS)]),
        st.one_of(anything, st.dictionaries(st.sampled_from(["a", "b"]), specs, max_size=2)),
        max_size=3,
    ),
    st.one_of(st.lists(steps, max_size=3), anything),
)


@settings(max_examples=120, deadline=None)
@given(definitions)
def test_any_value_loads_or_is_refused_at_a_place(value: Any) -> None:
    source = json.dumps(value)
    definition: Definition | None = None
    violations: tuple[Violation, ...] = ()
    try:
        (definition,) = load(source)
    except DefinitionError as refusal:
        violations = refusal.violations
    if definition is None:
        assert violations
        assert all(violation.line == 1 and violation.column for violation in violations)
        return
    assert definition.compile().name == "x"
    assert definition.content_hash() == load(definition.source)[0].content_hash()
