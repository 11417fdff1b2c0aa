"""YAML 1.2 becomes values; what JSON and safety do not allow is refused at its place; nothing else ever comes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from leasehold.definitions import DefinitionError, Violation, load
from leasehold.definitions.source.documents import DEPTH_MAX, SOURCE_MAX_BYTES, VALUES_MAX, read_documents
from leasehold.definitions.source.nodes import LINE_BREAK
from leasehold.definitions.source.scalars import plain_scalar

from .builders import fault, one


def value(text: str) -> Any:
    _, documents, violations = read_documents(text)
    assert violations == []
    return documents[0].root.value


def wrong(text: str | bytes) -> Violation:
    _, _, violations = read_documents(text)
    assert len(violations) == 1, violations
    return violations[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("-12", -12),
        ("+5", 5),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("12:30:45", "12:30:45"),
        ("2026-03-01", "2026-03-01"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        (".", "."),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, expected: Any) -> None:
    found = plain_scalar(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", [".nan", "-.inf", "1e999", "9223372036854775808", "-9223372036854775809", "9" * 5000])
def test_numbers_that_json_or_64_bits_do_not_have_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|64 bits"):
        plain_scalar(text)


def test_on_and_no_are_words_as_keys_and_values() -> None:
    assert value("on: no\noff: [yes]\n") == {"on": "no", "off": ["yes"]}


def test_quoted_scalars_are_text_and_blocks_keep_their_lines() -> None:
    assert value("a: '1'\nb: \"tr\\u0075e\"\nc: |\n  x\n   y\nd: >-\n  x\n  y\n") == {
        "a": "1",
        "b": "true",
        "c": "x\n y\n",
        "d": "x y",
    }


def test_anchors_and_aliases_give_the_same_value() -> None:
    assert value("a: &x [1, {b: 2}]\nc: *x\n") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: !!str 1\n", "tags are not allowed: found !!str", 1, 4),
        ("a:\n  b: !!python/object/apply:os.system [id]\n", "found !!python/object/apply:os.system", 2, 6),
        ("! x\n", "tags are not allowed", 1, 1),
        ("a: 1\nb: 2\na: 3\n", "`a` stands twice in one mapping; the first is on line 1", 3, 1),
        ("x: {b: 1, b: 2}\n", "`b` stands twice", 1, 11),
        ("a: 1\n<<: {b: 2}\n", "merge keys (`<<`) are not part of YAML 1.2", 2, 1),
        ("1: a\n", 'a key must be a string, not 1; quote it: "1"', 1, 1),
        ("? [a]\n: b\n", "a key must be a string, not a list", 1, 3),
        ("true: a\n", "a key must be a string, not true", 1, 1),
        ("cases: {true: a}\n", "a key must be a string, not true", 1, 9),
        ("- input: {cases: {1: a}}\n", "a key must be a string, not 1", 1, 19),
        ("- cases: {[a]: b}\n", "a key must be a string, not a list", 1, 11),
        ("- cases: {1: a, '1': b}\n", "`1` stands twice", 1, 17),
        ("a: *b\n", "found *b, but no `&b` ends before it", 1, 4),
        ("a: &b [*b]\n", "found *b, but no `&b` ends before it", 1, 8),
        ("a: .inf\n", ".inf is not a JSON number", 1, 4),
        ("a: 18446744073709551616\n", "does not fit in 64 bits", 1, 4),
        ('a: "\\ud800"\n', "half of a surrogate pair", 1, 4),
        ("%YAML 1.1\n---\na: 1\n", "found YAML 1.1; definitions are YAML 1.2", 2, 1),
        ("a: [1\n", "YAML syntax: ", 2, 1),
        ("a: 'x\n", "YAML syntax: found unexpected end of stream", 2, 1),
        ("a: b: c\n", "mapping values are not allowed here", 1, 5),
        ("a:\n\t- b\n", "YAML syntax: ", 2, 1),
        ("x: 1\n  y: 2\n", "YAML syntax: mapping values are not allowed here", 2, 4),
        ("a: \x00\n", "found character U+0000, which YAML does not allow", 1, 4),
        ("@x\n", "YAML syntax: ", 1, 1),
    ],
)
def test_what_is_not_allowed_is_refused_at_its_line_and_column(text: str, message: str, line: int, column: int) -> None:
    violation = wrong(text)
    assert message in violation.message
    assert (violation.line, violation.column) == (line, column)


def test_bytes_that_are_no_utf_8_are_refused_at_their_place() -> None:
    violation = wrong("name: ä\nx: ".encode() + b"\xff")
    assert (violation.message, violation.line, violation.column) == (
        "found byte 0xff, which is not UTF-8; definitions are UTF-8",
        2,
        4,
    )


def test_a_byte_order_mark_is_passed_over() -> None:
    assert one(b"\xef\xbb\xbfname: x\nsteps: [{name: a, executor: x}]\n").name == "x"


def test_half_a_surrogate_in_a_text_is_refused() -> None:
    assert "not UTF-8" in wrong("name: \ud800").message


def test_deep_nesting_is_refused_wherever_the_depth_comes_from() -> None:
    assert value("[" * DEPTH_MAX + "]" * DEPTH_MAX) is not None
    assert "nested deeper than 64 levels" in wrong("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)).message
    assert "nested deeper" in wrong("[" * 20_000).message
    assert "nested deeper" in wrong("- " * 2_000).message
    half = "[" * 40, "]" * 40
    assert "nested deeper" in wrong(f"a: &a {half[0]}{half[1]}\nb: {half[0]}*a{half[1]}\n").message


def test_an_alias_bomb_is_stopped_by_its_size_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "with its aliases written out" in wrong("\n".join(lines)).message
    assert "with its aliases written out" in wrong(f"a: &a {'x' * 200_000}\nb: [{', '.join(['*a'] * 10)}]\n").message


def test_size_and_count_are_bounded() -> None:
    assert f"at most {SOURCE_MAX_BYTES} are allowed" in wrong("#" * (SOURCE_MAX_BYTES + 1)).message
    assert f"more than {VALUES_MAX} values" in wrong("- a\n" * (VALUES_MAX + 1)).message


def test_each_document_has_its_own_source_and_empty_ones_are_left_out() -> None:
    text = "# first\na: 1\n---\n---\n# second\nb: 2\n...\n%YAML 1.2\n---\nc: 3\n"
    _, documents, violations = read_documents(text)
    assert violations == []
    assert [document.root.value for document in documents] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert documents[0].source == "# first\na: 1\n"
    assert "# second" in documents[1].source
    for document in documents:
        _, again, _ = read_documents(document.source)
        assert [copy.root.value for copy in again] == [document.root.value]


def test_what_stands_before_an_error_of_syntax_is_read_all_the_same() -> None:
    _, documents, violations = read_documents("a: 1\n---\nb: [\n")
    assert [document.root.value for document in documents] == [{"a": 1}]
    assert [violation.line for violation in violations] == [4]


def test_an_empty_text_is_told_so() -> None:
    for text in ("", "# nothing\n", "---\n...\n", "null\n"):
        assert fault(text).message == "found no definition: the text is empty"


@pytest.mark.parametrize("text", ["[1]", "x", "3", "- name: a\n"])
def test_a_document_that_is_no_mapping_is_told_so(text: str) -> None:
    assert fault(text).message.endswith("a definition is a mapping")


def loads_or_refuses(source: str | bytes) -> None:
    """Nothing but a DefinitionError comes out, and every violation points into the text."""
    error: DefinitionError | None = None
    try:
        load(source)
    except DefinitionError as refusal:
        error = refusal
    if error is None:
        return
    assert error.violations
    assert str(error)
    lines = LINE_BREAK.split(source if isinstance(source, str) else source.decode("utf-8", "replace"))
    for violation in error.violations:
        assert violation.message
        assert violation.line is not None
        assert violation.column is not None
        assert 1 <= violation.line <= len(lines) + 1
        assert violation.column >= 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfea\x00")
@example(b"\x85: [")
@example(b"---\n--- |\n...\n%")
@example(b"&a *a")
@example(b"!<tag:yaml.org,2002:str> a")
@example(b"? ? ? ?")
def test_any_bytes_load_or_are_refused(source: bytes) -> None:
    loads_or_refuses(source)


yaml_marks = st.sampled_from([*"{}[]:,-?!&*|>'\"%@`#~ \n\t", "\n  ", "- ", ": ", "name: x", "steps:", "{{", "}}"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(yaml_marks, st.text(max_size=3)), max_size=40).map("".join))
def test_any_text_made_of_yaml_marks_loads_or_is_refused(source: str) -> None:
    loads_or_refuses(source)


def test_the_names_of_cases_are_values_as_text() -> None:
    text = "steps:\n  - cases: {true: a, False: b, 1: c, 0x10: d, 1.50: e, null: f, ~x: g, on: h, '2': i}\n"
    _, (read,), violations = read_documents(text)
    assert violations == []
    cases = read.root.value["steps"][0]["cases"]
    assert list(cases) == ["true", "false", "1", "16", "1.5", "null", "~x", "on", "2"]
    assert read.root.key_place(("steps", 0, "cases", "false")) == (2, 22)
