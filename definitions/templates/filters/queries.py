"""JMESPath on values, counted: an expression can double its data at each stage, so its interpreter pays as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jmespath import compile as parse  # type: ignore[import-untyped]
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]
from jmespath.visitor import TreeInterpreter  # type: ignore[import-untyped]

from ...words import kind
from ..meter import Meter

_EXPRESSION_CHARS = 500
_BRACKETS_MAX = 30
_MESSAGE_CHARS = 200
_DEPTH_MAX = 60
_MAKING = frozenset({"flatten", "multi_select_list", "multi_select_dict"})


def query(meter: Meter, value: Any, expression: Any) -> Any:
    """What the expression finds in the value. Raises: LimitExceeded, ValueError for what is not JMESPath."""
    if not isinstance(expression, str):
        raise TypeError(f"jmespath takes an expression, not {kind(expression)}")
    if len(expression) > _EXPRESSION_CHARS:
        raise ValueError(f"a JMESPath expression has at most {_EXPRESSION_CHARS} characters, not {len(expression)}")
    if sum(map(expression.count, "([{!&*")) > _BRACKETS_MAX:
        raise ValueError(f"a JMESPath expression has at most {_BRACKETS_MAX} brackets and stars")
    meter.charge(len(expression) * 4)
    try:
        parsed = parse(expression).parsed
        _check_depth(parsed)
        return _Metered(meter).visit(parsed, value)
    except (JMESPathError, RecursionError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        text = str(error) or type(error).__name__
        raise ValueError(f"jmespath: {text.splitlines()[0][:_MESSAGE_CHARS]}") from None


def _check_depth(parsed: Mapping[str, Any]) -> None:
    """Bound the interpreter's recursion by the expression alone, not by the stack that happens to be above it."""
    level, depth = [parsed], 0
    while level:
        depth += 1
        if depth > _DEPTH_MAX:
            raise ValueError(f"the expression is nested deeper than {_DEPTH_MAX} levels")
        level = [child for node in level for child in node["children"] if isinstance(child, dict)]


class _Metered(TreeInterpreter):  # type: ignore[misc]
    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter
        self._functions: Any = _Functions(self._functions, meter)
        known: dict[str, Callable[[Any, Any], Any]] = TreeInterpreter.COMPARATOR_FUNC
        self.COMPARATOR_FUNC = {name: self._comparing(function) for name, function in known.items()}

    def visit(self, node: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        self._meter.charge(4)
        found = super().visit(node, *args, **kwargs)
        if node["type"] in _MAKING:
            self._meter.walk(found)
        elif isinstance(found, list):
            self._meter.charge(len(found))
        return found

    def _comparing(self, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def compare(left: Any, right: Any) -> Any:
            self._meter.walk(left)
            return function(left, right)

        return compare


class _Functions:
    """JMESPath's functions, each paying for its arguments first and for its result after."""

    def __init__(self, functions: Any, meter: Meter) -> None:
        self._known = functions
        self._meter = meter

    def call_function(self, name: str, args: list[Any]) -> Any:
        for argument in args:
            self._meter.walk(argument)
        if name == "join" and len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], list):
            self._meter.text(len(args[0]) * len(args[1]))
        made = self._known.call_function(name, args)
        self._meter.walk(made)
        return made
