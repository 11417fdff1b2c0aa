"""Single fields of a document as commands take them: what is set, what goes, and back again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.app.commands.failures import CommandFailed
from leasehold.core.app.commands.tenancy.fields import assigned, assignment, fields_of

KEYS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES = st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.just("30s")
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=3),
    lambda inner: st.dictionaries(KEYS, VALUES | inner, min_size=1, max_size=3),
    max_leaves=8,
)


def applied(document: dict[str, Any], *given: str) -> dict[str, Any]:
    for one in given:
        document = assigned(document, *assignment(one))
    return document


@given(DOCUMENTS)
def test_a_document_is_made_again_from_its_fields(document: dict[str, Any]) -> None:
    assert applied({}, *fields_of(document)) == document


@pytest.mark.parametrize(
    ("given_field", "path", "value"),
    [
        ("weight=3", ("weight",), 3),
        ("claim_rate.per_s=0.5", ("claim_rate", "per_s"), 0.5),
        ("paused=true", ("paused",), True),
        ("breaker.open_for=30s", ("breaker", "open_for"), "30s"),
        ("unknown_tenants=refuse", ("unknown_tenants",), "refuse"),
        ('capabilities."es.query".max_running_steps=4', ("capabilities", "es.query", "max_running_steps"), 4),
        ('start_rate={"per_s": 5}', ("start_rate",), {"per_s": 5}),
        ("weight=", ("weight",), None),
        ("weight=null", ("weight",), None),
        ('"a=b"=1', ("a=b",), 1),
    ],
)
def test_a_field_is_a_path_and_a_value(given_field: str, path: tuple[str, ...], value: Any) -> None:
    assert assignment(given_field) == (path, value)


@pytest.mark.parametrize("wrong", ["weight", "", "=3", ".weight=3", "a..b=3", "a.=3", 'a"b"=3', '"a=3'])
def test_what_is_no_field_gets_a_sentence_with_an_example(wrong: str) -> None:
    with pytest.raises(CommandFailed, match="write path=value"):
        assignment(wrong)


def test_other_fields_stay_and_what_gets_empty_goes() -> None:
    document = {"weight": 2, "claim_rate": {"per_s": 5, "burst": 9}}
    assert applied(document, "claim_rate.burst=") == {"weight": 2, "claim_rate": {"per_s": 5}}
    assert applied(document, "claim_rate.burst=", "claim_rate.per_s=") == {"weight": 2}
    assert applied(document, "start_rate.per_s=") == document
    assert document == {"weight": 2, "claim_rate": {"per_s": 5, "burst": 9}}


def test_a_field_of_what_has_none_is_refused() -> None:
    with pytest.raises(CommandFailed, match="claim_rate is 5, which has no field per_s"):
        applied({"claim_rate": 5}, "claim_rate.per_s=3")
