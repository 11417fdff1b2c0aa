"""Jinja2's immutable sandbox, closed further: what a running template can reach is values, and what we wrote for them.

Attributes are keys of mappings and the few methods of `methods`; nothing of Python's own objects is ever read, and
only those methods and `range` can be called. Every operator, call and filter pays at the rendering's meter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.lexer import Lexer
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing, pass_context

from ..words import did_you_mean, kind, nearest
from .conditions import TESTS
from .context import meter_of
from .filters.table import FILTERS
from .lexing import HyphenLexer
from .methods import Callee, method
from .operations import calculated, negated, text_of

_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"})
_OPERATORS = frozenset({"+", "-", "*", "/", "//", "%", "**"})
_COMPARED_KEYS = 1_000
_NAME_CHARS = 100


class Absent(StrictUndefined):
    """A name that does not exist: an error wherever it is used, but for `default` and `is defined`."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name, owner = str(self._undefined_name)[:_NAME_CHARS], self._undefined_obj
        if owner is missing:
            return f"`{name}` does not exist"
        if isinstance(owner, Mapping):
            keys = [key for key, _ in zip(owner, range(_COMPARED_KEYS), strict=False) if isinstance(key, str)]
            return f"there is no `{name}`{did_you_mean(nearest(name, keys))}"
        if isinstance(owner, list | tuple) and isinstance(self._undefined_name, int):
            return f"there is no item {name} in a list of {len(owner)}"
        return f"{kind(owner)} has no `{name}`"


@pass_context
def _finalize(context: Context, value: Any) -> str:
    return text_of(meter_of(context), value)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates of definitions. Immutable once made, so one serves every thread.

    `steps` and `signals` are the names that may stand behind `steps.` and `signals.` with hyphens; None: any word.
    """

    intercepted_binops = _OPERATORS
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, steps: Collection[str] | None = None, signals: Collection[str] | None = None) -> None:
        super().__init__(
            undefined=Absent,
            finalize=_finalize,
            keep_trailing_newline=True,
            optimized=False,  # the optimizer evaluates constant parts while compiling, where nothing is metered
            cache_size=0,
        )
        self._lexer = HyphenLexer(self, {"steps": steps, "signals": signals})
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        self.globals = {}

    @property
    def lexer(self) -> Lexer:
        return self._lexer

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A mapping's key, a method, or, of what does not exist, the same absence."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Undefined):
            return obj
        found = method(obj, attribute)
        if found is not None:
            return found
        if isinstance(obj, LoopContext):
            return self._of_loop(obj, attribute)
        if isinstance(obj, tuple) and attribute in getattr(obj, "_fields", ()):
            return getattr(obj, attribute)  # what `groupby` makes
        return self._nothing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A mapping's key or a list's or text's item."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(argument, Undefined):
            raise argument._undefined_exception(argument._undefined_message)
        if not isinstance(argument, str | int | float) and argument is not None:
            raise TypeError(f"{kind(argument)} is neither a key nor an index")
        if isinstance(obj, Mapping | list | tuple | str):
            try:
                return obj[argument]  # type: ignore[index]
            except (TypeError, LookupError):
                pass
        return self._nothing(obj, argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - so that templates may use any keyword
        kwargs.pop("_loop_vars", None)
        kwargs.pop("_block_vars", None)
        if isinstance(__obj, Undefined):
            raise __obj._undefined_exception(__obj._undefined_message)
        if type(__obj) is not Callee:
            raise SecurityError(f"{kind(__obj)} can't be called")
        meter = meter_of(__context)
        meter.charge(4)
        return __obj.call(meter, args, kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return calculated(meter_of(context), operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return negated(operator, arg)

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """For `map`, whose filter is a text that may be made at run time."""
        if not isinstance(name, str) or name not in FILTERS or name.endswith("!"):
            raise SecurityError(f"there is no filter `{name[:50]}`" if isinstance(name, str) else "a filter has a name")
        return super().call_filter(name, *args, **kwargs)

    def _of_loop(self, loop: LoopContext, attribute: str) -> Any:
        if attribute in _LOOP:
            return getattr(loop, attribute)
        if attribute == "cycle":
            return Callee("loop.cycle", lambda meter, *values: loop.cycle(*values))
        return self._nothing(loop, attribute)

    def _nothing(self, obj: Any, name: Any) -> Any:
        if isinstance(name, str) and name.startswith("__"):
            return self.undefined(f"`{name}` of {kind(obj)} can't be read", obj, name, exc=SecurityError)
        return self.undefined(obj=obj, name=name)
