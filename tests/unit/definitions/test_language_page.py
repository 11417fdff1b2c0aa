"""Every example of the language's page is a definition that loads, compiles, and fits the JSON Schema for editors."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema_rs
import pytest
from leasehold.definitions import json_schema, load
from leasehold.definitions.checks.later import DEFINITION_KEYS
from leasehold.definitions.checks.scope import INSTANCE_FACTS, STEP_FACTS
from leasehold.definitions.definition import Definition
from leasehold.definitions.source.documents import read_documents
from leasehold.definitions.steps import KINDS, ExecutorStep, RetrySpec
from leasehold.definitions.templates import CONTEXT_NAMES, LATER_NAMES
from leasehold.definitions.templates.filters.table import FILTERS

PAGE = (Path(__file__).parents[3] / "docs" / "language.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_loads_and_compiles(example: str) -> None:
    for definition in load(example):
        assert definition.compile().steps


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_fits_the_json_schema(example: str) -> None:
    _, documents, _ = read_documents(example)
    for document in documents:
        jsonschema_rs.validator_for(json_schema()).validate(document.root.value)


@pytest.mark.parametrize("model", [Definition, ExecutorStep, RetrySpec])
def test_the_page_names_every_key(model: type[Definition | ExecutorStep | RetrySpec]) -> None:
    missing = [
        field.alias or name for name, field in model.model_fields.items() if f"`{field.alias or name}`" not in PAGE
    ]
    assert missing == []


def test_the_page_names_every_filter_and_every_name_of_the_context() -> None:
    words = [name for name in FILTERS if not name.endswith("!")]
    words += [*CONTEXT_NAMES, *STEP_FACTS, *INSTANCE_FACTS, *LATER_NAMES, *KINDS]
    words += DEFINITION_KEYS - {"secrets"}
    assert [word for word in words if f"`{word}" not in PAGE] == []
