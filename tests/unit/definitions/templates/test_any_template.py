"""Whatever stands in a string: it is no template, is refused, or renders to pure JSON or a TemplateError."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.definitions import DefinitionError, Limits, Template, TemplateError, compile_value
from leasehold.definitions.templates.conditions import TESTS
from leasehold.definitions.templates.filters.table import FILTERS
from leasehold.definitions.templates.methods import RANGE

from .seen import CONTEXT

words = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "-",
            "+",
            "*",
            "**",
            "/",
            "//",
            "%",
            "~",
            "|",
            ".",
            ",",
            ":",
            "=",
            "==",
            "<",
            "!=",
        ),
        *(
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "'",
            '"',
            "\\",
            "\n",
            " ",
            "_",
            "__class__",
            "1",
            "0",
            "10",
            "9" * 30,
            "1e9",
            "1e999",
        ),
        *(
            "if",
            "else",
            "elif",
            "endif",
            "for",
            "in",
            "endfor",
            "set",
            "with",
            "endwith",
            "raw",
            "endraw",
            "is",
            "not",
            "and",
        ),
        *(
            "inputs",
            "steps",
            "instance",
            "now",
            "n",
            "text",
            "hosts",
            "items",
            "fetch",
            "gather-context",
            "result",
            "a",
            "x",
        ),
        *(
            "loop",
            "index",
            "true",
            "none",
            "macro",
            "include",
            "import",
            "block",
            "call",
            "filter",
            "recursive",
            "range",
        ),
    ]
)
soup = st.lists(st.one_of(words, st.sampled_from(sorted(FILTERS)), st.text(max_size=2)), max_size=25).map(" ".join)

atoms = st.sampled_from(
    [
        *("1", "-2", "2.5", "'a'", "'ab,c'", "'5m'", "true", "none", "[]", "[3, 1]", "{}", "{'a': [1]}", "range(3)"),
        *("inputs.n", "inputs.text", "inputs.hosts", "inputs['items']", "inputs.nested", "inputs.zzz", "now", "steps"),
    ]
)
names = st.sampled_from(sorted(name for name in FILTERS if not name.endswith("!")))


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or"])
    methods = st.sampled_from(
        ["upper", "split", "replace", "join", "get", "items", "keys", "index", "count", "format", "pop"]
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("({} | {})".format, inner, names),
        st.builds("({} | {}({}))".format, inner, names, inner),
        st.builds("({} | {}({}, {}))".format, inner, names, inner, inner),
        st.builds("({} | map('{}', {}) | list)".format, inner, names, inner),
        st.builds("({} is {}({}))".format, inner, st.sampled_from(sorted(TESTS)).filter(str.isalpha), inner),
        st.builds("{}.{}({})".format, inner, methods, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:]".format, inner, inner),
        st.builds("{{{}: {}}}".format, inner, inner),
    )


expressions = st.recursive(atoms, larger, max_leaves=6)


def check(text: str) -> None:
    template: Template | None = None
    try:
        template = compile_value(text, limits=Limits(operations=20_000))
    except DefinitionError as refusal:
        message = refusal.violations[0].message
        template = None
        assert_words(message)
    if template is None:
        return
    result: Any = None
    try:
        result = template.render(CONTEXT)
    except TemplateError as failure:
        assert_words(str(failure))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def assert_words(message: str) -> None:
    assert message
    assert len(message) < 2_000
    assert " at 0x" not in message


@settings(max_examples=150, deadline=None)
@given(soup)
def test_any_words_of_templates_compile_or_are_refused(text: str) -> None:
    check(text)


@settings(max_examples=250, deadline=None)
@given(expressions)
def test_any_expression_renders_to_json_or_fails_in_words(expression: str) -> None:
    before = json.dumps(CONTEXT)
    check(f"{{{{ {expression} }}}}")
    check(f"x {{% for i in {expression} %}}{{{{ i }}}}{{% endfor %}}")
    assert json.dumps(CONTEXT) == before


def test_nothing_else_can_be_called_than_methods_and_range() -> None:
    assert [name for name, value in CONTEXT.items() if callable(value)] == []
    assert RANGE.name == "range"
