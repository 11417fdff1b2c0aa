"""The YAML that is stored: whatever the value, reading it gives the same again, and people can read it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.definitions import DefinitionError
from leasehold.definitions.blueprints import values_of
from leasehold.definitions.blueprints.writing import written
from leasehold.definitions.source.documents import read_documents

TRICKY = (
    *(
        "on",
        "~",
        "",
        "0x1F",
        "1.",
        "+.5",
        ".inf",
        "...",
        "---",
        "null",
        "1e5",
        "0o17",
        "=",
        "<<",
        "2026-03-01",
        "12:30",
    ),
    *(
        "a: b",
        "a:",
        "a #b",
        "#",
        "- a",
        "-",
        "?",
        "%a",
        "@a",
        "`",
        "!x",
        "&x",
        "*x",
        "|",
        ">",
        "[a",
        "{a",
        "a, b",
        " a",
        "a ",
    ),
    *(
        "a\nb",
        "a\n",
        "a\n\n",
        "\na",
        " a\nb",
        "\ta",
        "a\r\nb",
        "a\n  b\n c",
        "a \nb ",
        "\n",
        "é\x85",
        "\u2028",
        "\ufeff",
    ),
    *("'", '"', "'\"", "\\n", "\x00", "\U0001f600", "{{ x }}", "a" * 300),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(TRICKY)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_what_is_written_reads_as_the_same(value: dict[str, object]) -> None:
    _, documents, violations = read_documents(written(value))
    assert violations == []
    assert [document.root.value for document in documents] == [value]


def test_what_is_written_is_for_people() -> None:
    value = {
        "name": "x",
        "labels": {},
        "steps": [
            {"name": "a", "depends_on": ["b", "c"], "input": {"text": "one\n two\n", "if": "{{ a == 'b' }}"}},
            [],
        ],
    }
    assert (
        written(value)
        == """name: x
labels: {}
steps:
  - name: a
    depends_on: [b, c]
    input:
      text: |
        one
         two
      if: "{{ a == 'b' }}"
  - []
"""
    )


@pytest.mark.parametrize("text", ["[1]", "a: 1\n---\nb: 1\n", "a: [", "text"])
def test_values_are_one_mapping(text: str) -> None:
    with pytest.raises(DefinitionError):
        values_of(text)


def test_values_may_be_none_at_all() -> None:
    assert values_of("") == {}
