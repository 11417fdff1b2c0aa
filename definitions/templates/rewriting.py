"""What of Jinja2 a template may use, and where it pays: the parsed template is checked and rewritten here.

Only the node types below pass; everything that can load, define, capture or recurse is refused, so a template's work
is its text times its loops. Loops, comparisons, concatenations and slices become filters of our own (their names hold
a `!`, which no template can write), since Jinja2 would compile them to plain Python, which nobody counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateAssertionError
from jinja2.visitor import NodeTransformer

from ..words import did_you_mean, listed, nearest
from .meter import INTEGER_MAX

EACH, COMPARE, CONCAT, SLICE = "each!", "compare!", "concat!", "slice!"

CONTEXT_NAMES = ("inputs", "trigger", "steps", "instance", "now", "vars", "signals")
"""What the machine gives to every template."""
PLACED_NAMES = ("item", "index", "error", "approval", "memory")
"""What it gives to some: inside a foreach or while, where a failure is seen to, to a step that was approved, where the
definition has a memory."""
LATER_NAMES = ("secrets",)
"""What later versions of the language will give."""

_STATEMENTS: dict[type[nodes.Node], str] = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter",
    nodes.AssignBlock: "set ... endset",
    nodes.Block: "block",
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from ... import",
    nodes.Scope: "autoescape",
}
_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.For,
    nodes.If,
    nodes.With,
    nodes.Assign,
    nodes.Name,
    nodes.Const,
    nodes.Tuple,
    nodes.List,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
    nodes.CondExpr,
    nodes.Filter,
    nodes.Test,
    nodes.Call,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Pow,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
)
_DEPTH = 40
_ELIFS = 40


class Refused(TemplateAssertionError):
    """The template uses something that is not allowed. `word` is what it wrote there, to find its column by."""

    def __init__(self, message: str, lineno: int, word: str = "", near: str | None = None) -> None:
        super().__init__(message + did_you_mean(near), lineno)
        self.word = word
        self.near = near


def rewrite(template: nodes.Template, filters: Collection[str], tests: Collection[str]) -> None:
    """Check a parsed template and make it pay for what it does, in place. Raises: Refused."""
    _Rewriting(filters, tests).visit(template)


class _Rewriting(NodeTransformer):
    def __init__(self, filters: Collection[str], tests: Collection[str]) -> None:
        self._filters = filters
        self._tests = tests
        self._depth = 0
        self._rules: dict[type[nodes.Node], Callable[[Any], nodes.Node]] = {
            nodes.Name: self._name,
            nodes.Const: self._const,
            nodes.For: self._for,
            nodes.If: self._if,
            nodes.Concat: self._concat,
            nodes.Compare: self._compare,
            nodes.Getitem: self._getitem,
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Call: self._call,
        }

    def get_visitor(self, node: nodes.Node) -> Callable[[Any], nodes.Node] | None:
        return self._rules.get(type(node))

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(node, _ALLOWED):
            raise Refused(_why_not(node), node.lineno)
        self._depth += 1
        if self._depth > _DEPTH:
            raise Refused(f"the template is nested deeper than {_DEPTH} levels", node.lineno)
        try:
            return super().visit(node, *args, **kwargs)
        finally:
            self._depth -= 1

    def _name(self, node: nodes.Name) -> nodes.Node:
        if node.name.startswith("_") or not node.name.isascii():
            raise Refused(f"`{node.name}` is no name: one begins with a letter a-z", node.lineno, node.name)
        if node.ctx != "load" and node.name in (*CONTEXT_NAMES, *LATER_NAMES, "loop"):
            raise Refused(f"`{node.name}` can't be set: it is given", node.lineno, node.name)
        return node

    def _const(self, node: nodes.Const) -> nodes.Node:
        value = node.value
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused("a number is too large", node.lineno)
        if isinstance(value, int) and abs(value) > INTEGER_MAX:
            raise Refused("an integer does not fit in 64 bits", node.lineno)
        return node

    def _for(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise Refused("`recursive` loops are not allowed", node.lineno, "recursive")
        weight = 1 + sum(map(_weight, [*node.body, *([node.test] if node.test else [])]))
        self.generic_visit(node)
        iterated: Any = node.iter
        node.iter = _metered(EACH, iterated, [nodes.Const(weight, lineno=node.lineno)])
        return node

    def _if(self, node: nodes.If) -> nodes.Node:
        if len(node.elif_) > _ELIFS:
            raise Refused(f"more than {_ELIFS} `elif` in a row", node.lineno, "elif")
        return self.generic_visit(node)

    def _concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _metered(CONCAT, node.nodes[0], node.nodes[1:])

    def _compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        operators = nodes.Const(" ".join(operand.op for operand in node.ops), lineno=node.lineno)
        return _metered(COMPARE, node.expr, [operators, *(operand.expr for operand in node.ops)])

    def _getitem(self, node: nodes.Getitem) -> nodes.Node:
        if not isinstance(node.arg, nodes.Slice):
            return self.generic_visit(node)
        nothing = nodes.Const(None, lineno=node.lineno)
        bounds = [bound or nothing for bound in (node.arg.start, node.arg.stop, node.arg.step)]
        value: nodes.Expr = self.visit(node.node)
        return _metered(SLICE, value, [self.visit(bound) for bound in bounds])

    def _filter(self, node: nodes.Filter) -> nodes.Node:
        _known("filter", node, self._filters)
        _plain_arguments(node)
        return self.generic_visit(node)

    def _test(self, node: nodes.Test) -> nodes.Node:
        _known("test", node, self._tests)
        _plain_arguments(node)
        return self.generic_visit(node)

    def _call(self, node: nodes.Call) -> nodes.Node:
        _plain_arguments(node)
        return self.generic_visit(node)


def _metered(name: str, node: nodes.Expr, args: list[nodes.Expr]) -> nodes.Filter:
    made = nodes.Filter(node, name, args, [], None, None, lineno=node.lineno)
    made.set_lineno(node.lineno)
    assert node.environment is not None
    made.set_environment(node.environment)
    return made


def _known(what: str, node: nodes.Filter | nodes.Test, names: Collection[str]) -> None:
    if node.name not in names:
        choices = [name for name in names if len(name) > 1 and name[-1] != "!"]
        near = nearest(node.name, choices)
        message = f"there is no {what} `{node.name}`"
        if near is None:
            message += f"; there are {listed(sorted(choices), 60)}"
        raise Refused(message, node.lineno, node.name, near)


def _plain_arguments(node: nodes.Filter | nodes.Test | nodes.Call) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise Refused("`*` and `**` arguments are not allowed", node.lineno)
    for keyword in node.kwargs:
        if isinstance(keyword, nodes.Keyword) and keyword.key.startswith("_"):
            raise Refused(f"`{keyword.key}` is no argument's name", node.lineno, keyword.key)


def _why_not(node: nodes.Node) -> str:
    if isinstance(node, nodes.NSRef):
        return "attributes can't be set"
    if isinstance(node, nodes.Slice):
        return "a slice stands alone in its brackets"
    statement = _STATEMENTS.get(type(node))
    if statement is not None:
        return f"`{{% {statement} %}}` is not allowed in templates; there are if, for, set, with and raw"
    return f"{type(node).__name__} is not allowed in templates"


def _weight(node: nodes.Node) -> int:
    """How many nodes run each time that this one runs; bodies of inner loops pay for themselves."""
    if isinstance(node, nodes.For):
        return 1 + _weight(node.iter)
    return 1 + sum(map(_weight, node.iter_child_nodes()))
