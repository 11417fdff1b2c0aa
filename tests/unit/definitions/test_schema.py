"""The JSON Schema for editors says what the models say."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from leasehold.definitions import json_schema
from leasehold.definitions.checks.later import DEFINITION_KEYS
from leasehold.definitions.definition import Definition
from leasehold.definitions.source.documents import read_documents
from leasehold.definitions.steps import STEP_MODELS

SCHEMA = json_schema()


def document(text: str) -> Any:
    _, (read,), violations = read_documents(text)
    assert violations == []
    return read.root.value


def every_field(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        return [found for item in schema for found in every_field(item)]
    if not isinstance(schema, dict):
        return []
    own = list(schema["properties"].items()) if isinstance(schema.get("properties"), dict) else []
    return own + [found for item in schema.values() for found in every_field(item)]


def test_the_schema_is_itself_valid() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)


def test_every_field_is_described() -> None:
    assert [name for name, field in every_field(SCHEMA) if not field.get("description")] == []


def test_the_keys_are_those_of_the_models_and_later_ones_are_absent() -> None:
    assert set(SCHEMA["properties"]) == {field.alias or name for name, field in Definition.model_fields.items()} | {
        "blocks"
    }
    assert not set(SCHEMA["properties"]) & DEFINITION_KEYS
    assert SCHEMA["additionalProperties"] is False
    for model in STEP_MODELS.values():
        step = SCHEMA["$defs"][model.__name__]
        assert set(step["properties"]) == {field.alias or name for name, field in model.model_fields.items()}
        assert step["additionalProperties"] is False


def test_every_default_fits_its_own_field() -> None:
    for name, field in every_field(SCHEMA):
        if "default" in field:
            own = {"$defs": SCHEMA["$defs"], **field}
            assert jsonschema_rs.validator_for(own).is_valid(field["default"]), name


def test_nothing_may_be_null_but_free_values() -> None:
    assert '"null"' not in jsonschema_rs.canonical.json.to_string(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "{name: A, steps: [{name: a, executor: x}]}",
        "{name: x, steps: []}",
        "{name: x}",
        "{name: x, version: 0, steps: [{name: a, executor: x}]}",
        "{name: x, budgets: 5, steps: [{name: a, executor: x}]}",
        "{name: x, max_duration: 30, steps: [{name: a, executor: x}]}",
        "{name: x, max_duration: 1h30m, steps: [{name: a, executor: x}]}",
        "{name: x, priority: urgent, steps: [{name: a, executor: x}]}",
        "{name: x, description: null, steps: [{name: a, executor: x}]}",
        "{name: x, inputs: {a: {type: int}}, steps: [{name: a, executor: x}]}",
        "{name: x, steps: [{name: a}]}",
        "{name: x, steps: [{name: a, executor: x, foreach: []}]}",
        "{name: x, steps: [{name: a, executor: x, retry: {max: -1}}]}",
        "{name: x, steps: [{name: a, executor: x, retry: {backoff: no}}]}",
        "{name: x, steps: [{name: a, executor: x, if: 5}]}",
        "{name: x, steps: [{name: a, executor: x, timeout: P1Y}]}",
        "{name: x, inputs: {a-b: {type: string}}, steps: [{name: a, executor: x}]}",
        "{name: x, budgets: {calls: 5}, steps: [{name: a, executor: x}]}",
        "{name: x, concurrency: {limit: 5}, steps: [{name: a, executor: x}]}",
        "{name: x, on_failure: [], steps: [{name: a, executor: x}]}",
        "{name: x, steps: [{name: a, executor: x, wait: 5s}]}",
        "{name: x, steps: [{name: a, wait: 5}]}",
        "{name: x, steps: [{name: a, wait: 5s, retry: {max: 1}}]}",
        "{name: x, steps: [{name: a, foreach: [1]}]}",
        "{name: x, steps: [{name: a, foreach: [1], workflow: w, steps: [{name: b, executor: x}]}]}",
        "{name: x, steps: [{name: a, foreach: [1], steps: [{name: b, executr: x}]}]}",
        "{name: x, steps: [{name: a, parallel: {L: [{name: b, executor: x}]}}]}",
        "{name: x, steps: [{name: a, parallel: {l: [{name: b, executor: x}]}, wait_for: most}]}",
        "{name: x, steps: [{name: a, switch: y, cases: {a.b: [{name: b, executor: x}]}}]}",
        "{name: x, steps: [{name: a, while: y, steps: [{name: b, wait: 5}]}]}",
        "{name: x, steps: [{name: a, workflow: y, version: latest}]}",
        "{name: x, steps: [{name: a, executor: y, on_failure: retry}]}",
        "{name: x, steps: [{name: a, executor: y, on_failure: [{name: b}]}]}",
        "{name: x, steps: [{name: a, executor: y, compensate: {input: 5}}]}",
        "{name: x, steps: [{name: a, executor: y, compensate: {executor: a, workflow: b}}]}",
        "{name: x, steps: [{name: a, set: {a-b: 1}}]}",
        "{name: x, steps: [{name: a, succeed: 5}]}",
    ],
)
def test_what_load_refuses_by_form_the_schema_refuses_too(text: str) -> None:
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid(document(text))
