"""What our closed sandbox gives for an expression is what Jinja2 itself gives."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import StrictUndefined, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from leasehold.definitions import TemplateError, compile_value

JINJA2 = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
SEEN = {"inputs": {"n": 3, "f": 0.5, "t": "ab", "l": [2, 1, 3], "m": {"k": [1]}, "e": [], "no": None}}

atoms = st.sampled_from(
    [
        *("0", "1", "7", "2.5", "'a'", "'xyz'", "''", "true", "false", "none", "[]", "[1, 'a']", "{'k': 2}"),
        *("inputs.n", "inputs.f", "inputs.t", "inputs.l", "inputs.m.k", "inputs.e", "inputs.no", "inputs.l[0]"),
    ]
)


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["+", "-", "*", "/", "//", "%", "==", "!=", "<", ">=", "in", "not in", "and", "or"])
    filters = st.sampled_from(
        [
            *(
                "length",
                "first",
                "last",
                "sort",
                "reverse | list",
                "upper",
                "lower",
                "title",
                "sum",
                "max",
                "min",
                "abs",
            ),
            *("int", "float", "unique | list", "list", "default(1)", "batch(2) | list", "slice(2) | list", "round(1)"),
            *("trim", "capitalize"),
            *("map('abs') | list", "select('odd') | list", "reject('none') | list", "items | list", "dictsort"),
        ]
    )
    # On texts alone: what is no text is written as JSON by ours and as Python by Jinja2.
    text_filters = st.sampled_from(
        ["truncate(4)", "wordcount", "center(6)", "indent(2)", "replace('a', 'b')", "join('-')", "urlencode", "string"]
    )
    texts = st.sampled_from(["inputs.t", "'one two three'", "'a\\nb\\n\\nc'", "('x' * 9)", "''"])
    tests = st.sampled_from(["none", "string", "number", "odd", "mapping", "sequence", "defined", "boolean", "integer"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("({} | {})".format, inner, filters),
        st.builds("({} | {})".format, texts, text_filters),
        st.builds("({} is {})".format, inner, tests),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{}[1:]".format, inner),
        st.builds("{}[0]".format, inner),
    )


def as_json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return {key: as_json(item) for key, item in value.items()} if isinstance(value, dict) else value


@settings(max_examples=300, deadline=None)
@given(st.recursive(atoms, larger, max_leaves=5))
def test_a_value_of_ours_is_the_value_of_jinja2(expression: str) -> None:
    template = compile_value(f"{{{{ {expression} }}}}")
    assert template is not None
    try:
        ours = template.render(SEEN)
    except TemplateError:
        return
    try:
        with warnings.catch_warnings():
            # Python warns of `0[0]` in what Jinja2 makes of it.
            warnings.simplefilter("ignore", SyntaxWarning)
            theirs = as_json(JINJA2.compile_expression(expression, undefined_to_none=False)(**SEEN))
    except TypeError:
        return  # filters of ours take any value as text where some of Jinja2's do not
    except UndefinedError:
        # `default` of ours is the value of whatever is missing on the way, Jinja2's of the last step alone.
        assert "default" in expression
        return
    assert ours == theirs
    assert type(ours) is type(theirs)
