"""Fields of history with a name of the Elastic Common Schema hold what it says, or the page says why they differ."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.ilm import instances, steps, trail

from tests.kit.markdown import ROOT, table

from .test_history_page import mapped

# Of ECS 8: fields of the sets that ours have names of, as far as we use them or might; `match_only_text` is text here.
ECS = {
    "@timestamp": "date",
    "error.code": "keyword",
    "error.id": "keyword",
    "error.message": "text",
    "error.stack_trace": "text",
    "error.type": "keyword",
    "event.action": "keyword",
    "event.category": "keyword",
    "event.duration": "long",
    "event.end": "date",
    "event.hash": "keyword",
    "event.id": "keyword",
    "event.kind": "keyword",
    "event.outcome": "keyword",
    "event.reason": "keyword",
    "event.sequence": "long",
    "event.start": "date",
    "labels": "object",
    "organization.id": "keyword",
    "organization.name": "keyword",
    "service.name": "keyword",
    "source.ip": "ip",
    "tags": "keyword",
    "trace.id": "keyword",
    "transaction.id": "keyword",
    "user.id": "keyword",
    "user.name": "keyword",
    "user.roles": "keyword",
}
SETS = {name.partition(".")[0] for name in ECS}
INDICES = {
    "workflow-steps": steps.FIELDS,
    "workflow-instances": instances.FIELDS,
    "workflow-events": trail.EVENTS,
    "workflow-audit": trail.AUDIT,
}
PAGE = (ROOT / "docs/history.md").read_text(encoding="utf-8")
DIFFERENT = {cells[0].strip("`") for cells in table(PAGE.partition("## Elastic Common Schema")[2], "field")}


@pytest.mark.parametrize("fields", INDICES.values(), ids=INDICES)
def test_what_has_a_name_in_a_set_of_the_common_schema_is_its_field_or_on_the_page(fields: dict[str, Any]) -> None:
    types = dict(mapped(fields))
    targets = {name: target_of(fields, name) for name in types}
    named = {name: types[targets[name]] for name in types if name.partition(".")[0] in SETS}
    assert {name for name, type in named.items() if ECS.get(name) != type} <= DIFFERENT


def test_what_the_page_calls_different_is_not_the_same() -> None:
    everywhere = {name: type for fields in INDICES.values() for name, type in mapped(fields)}
    assert {name for name in DIFFERENT if name in ECS and everywhere.get(name) == ECS[name]} == set()


def target_of(fields: dict[str, Any], name: str) -> str:
    """The field that an alias stands for, or the field itself."""
    spec: dict[str, Any] = {"properties": fields}
    for part in name.split("."):
        spec = spec["properties"][part]
    return str(spec["path"]) if spec.get("type") == "alias" else name
