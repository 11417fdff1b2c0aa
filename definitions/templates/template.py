"""A JSON-like value with templates in any of its strings, compiled once and rendered often."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from ..errors import DefinitionError, TemplateError, Violation
from .meter import LIMITS, LimitExceeded, Limits, Meter
from .references import Locate, Reference
from .texts import Evaluate, TextCompiler

Key = str | int
_OPENINGS = ("{{", "{%", "{#")


class Template:
    """A JSON-like value with templates in any of its strings, compiled. A string that is one expression keeps its type.

    `references` is what its templates speak of; `lone` says that it is one string that is one expression. A template
    knows nothing of time or chance: what it renders depends on the context alone.
    """

    __slots__ = ("_evaluate", "_limits", "lone", "references")

    def __init__(
        self,
        evaluate: Evaluate,
        limits: Limits = LIMITS,
        references: tuple[Reference, ...] = (),
        *,
        lone: bool = False,
    ) -> None:
        self._evaluate = evaluate
        self._limits = limits
        self.references = references
        self.lone = lone

    def render(self, context: Mapping[str, Any]) -> Any:
        """The value with every template evaluated: pure JSON, parts of which may be the context's own objects.

        Raises: TemplateError, also when a limit stops it.
        """
        try:
            return self._evaluate(context, Meter(self._limits))
        except LimitExceeded as error:  # by a part without a template, which has no place of its own
            raise TemplateError(str(error)) from error

    @classmethod
    def mapping(cls, parts: Mapping[str, Template]) -> Template:
        """One template out of several: a mapping, rendered under one set of limits, those of its first part."""
        pairs = [(key, part._evaluate) for key, part in parts.items()]
        limits = next((part._limits for part in parts.values()), LIMITS)
        references = tuple(reference for part in parts.values() for reference in part.references)
        return cls(lambda context, meter: {key: part(context, meter) for key, part in pairs}, limits, references)


class ValueCompiler:
    """Compiles the values of one definition, each path once; `count` is how many strings it has compiled.

    `steps` and `signals`: the names of the definition, which may hold hyphens; None: any. `locate`, given a value's
    path, returns what finds lines of that string in the YAML, or None where that is unknown. From the string after
    `count_max` on, strings are refused instead of compiled.
    """

    def __init__(
        self,
        steps: Collection[str] | None = None,
        signals: Collection[str] | None = None,
        *,
        limits: Limits = LIMITS,
        locate: Callable[[tuple[Key, ...]], Locate | None] | None = None,
        count_max: int = 1_000,
    ) -> None:
        self._texts = TextCompiler(steps, signals, limits)
        self._limits = limits
        self._locate = locate
        self._made: dict[tuple[Key, ...], Template] = {}
        self._count_max = count_max
        self.count = 0

    def compile(self, value: Any, path: tuple[Key, ...] = ()) -> Template | None:
        """The value as a template; None where no template occurs in it.

        Raises: DefinitionError with a violation for each string that is no valid template.
        """
        if not has_template(value):
            return None
        return self.compile_always(value, path)

    def compile_always(self, value: Any, path: tuple[Key, ...] = ()) -> Template:
        """The value as a template, whether one occurs in it or not; once for each path. Raises: DefinitionError."""
        made = self._made.get(path) if path else None
        if made is None:
            made, _, violations = self.attempt(value, path)
            if made is None:
                raise DefinitionError(violations)
        return made

    def attempt(self, value: Any, path: tuple[Key, ...]) -> tuple[Template | None, list[Reference], list[Violation]]:
        """The template, unless a string is no valid one; what all of them speak of; and what is wrong with them."""
        references: list[Reference] = []
        violations: list[Violation] = []
        evaluate = self._value(value, path, references, violations)
        if violations:
            return None, references, violations
        lone = isinstance(value, str) and self._texts.lone
        self._made[path] = Template(evaluate, self._limits, tuple(references), lone=lone)
        return self._made[path], references, []

    def _value(
        self, value: Any, path: tuple[Key, ...], references: list[Reference], violations: list[Violation]
    ) -> Evaluate:
        if not has_template(value):
            return _static(value)
        if isinstance(value, str):
            return self._text(value, path, references, violations)
        if isinstance(value, list):
            parts = [self._value(item, (*path, at), references, violations) for at, item in enumerate(value)]
            return lambda context, meter: [part(context, meter) for part in parts]
        pairs = [(key, self._value(item, (*path, key), references, violations)) for key, item in value.items()]
        return lambda context, meter: {key: part(context, meter) for key, part in pairs}

    def _text(
        self, text: str, path: tuple[Key, ...], references: list[Reference], violations: list[Violation]
    ) -> Evaluate:
        self.count += 1
        locate = None if self._locate is None else self._locate(path)
        if self.count > self._count_max:
            line, column = (None, None) if locate is None else locate(1, "")
            message = f"more than {self._count_max} strings with templates, the limit"
            if self.count == self._count_max + 1:
                violations.append(Violation(path_text(path), message, line, column))
            return _static(None)
        try:
            return self._texts.compile(text, path_text(path), locate, references)
        except DefinitionError as error:
            violations.extend(error.violations)
            return _static(None)


def compile_value(value: Any, *, steps: Collection[str] | None = None, limits: Limits = LIMITS) -> Template | None:
    """A JSON-like value as a template; None where no template occurs in any of its strings.

    `steps` are the names that `steps.<name>` may mean; None takes any word, hyphens included. Raises: DefinitionError.
    """
    return ValueCompiler(steps, limits=limits).compile(value)


def has_template(value: Any) -> bool:
    """Whether a template occurs in any string of the value; keys of mappings are never templates."""
    if isinstance(value, str):
        return any(opening in value for opening in _OPENINGS)
    if isinstance(value, list):
        return any(map(has_template, value))
    return isinstance(value, dict) and any(map(has_template, value.values()))


def path_text(path: tuple[Key, ...]) -> str:
    """A path as messages write it: `steps[2].input.query`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key}" if text else key
    return text


def _static(value: Any) -> Evaluate:
    size_bytes = len(msgspec.json.encode(value))

    def evaluate(context: Mapping[str, Any], meter: Meter) -> Any:
        meter.output(size_bytes)
        return value

    return evaluate
