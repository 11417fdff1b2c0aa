"""What must hold between the parts of a definition, checked on the document itself, so that an error in one part does
not hide those in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ..compiling import condition_of
from ..errors import Violation
from ..graph import Graph, build, outlines
from ..inputs.faults import faults
from ..inputs.patterns import compiled_pattern
from ..inputs.spec import InputSpec
from ..later import later_kind
from ..source.nodes import Document
from ..templates import Limits, Template, ValueCompiler, has_template, path_text
from .scope import Scope, input_names

Path = tuple[str | int, ...]

PATTERNS_MAX = 1_000
_STEP_TEMPLATES = ("if", "input", "with", "model")


def check(document: Document, managed_prefix: str | None, limits: Limits) -> tuple[list[Violation], ValueCompiler]:
    """Everything that the models can't see; and the compiled templates, for the plan.

    `managed_prefix` is what names may not begin with; None lets every name pass.
    """
    raw: Mapping[str, Any] = document.root.value
    steps = outlines(raw.get("steps"))
    graph, graph_faults = build(steps)
    values = ValueCompiler(list(graph.depends_on), limits=limits, locate=document.locator)
    violations = list(_name(raw, document, managed_prefix))
    for fault in graph_faults:
        path = ("steps", fault.index, *fault.keys)
        line, column = _item_place(document, path)
        violations.append(Violation(path_text(path), fault.message, line, column, fault.found, nearest=fault.near))
    violations += _declared(raw, document)
    violations += _Templates(document, values, Scope(graph, input_names(raw)), graph).violations(raw)
    return violations, values


def _name(raw: Mapping[str, Any], document: Document, managed_prefix: str | None) -> Iterator[Violation]:
    name = raw.get("name")
    if managed_prefix and isinstance(name, str) and name.startswith(managed_prefix):
        message = f"found `{name[:100]}`; names that begin with `{managed_prefix}` are reserved for managed definitions"
        node = document.root.at(("name",))
        yield Violation("name", message, node.line, node.column, name[:100])


def _item_place(document: Document, path: Path) -> tuple[int, int]:
    """Where a value stands, or the key above it where there is no such value."""
    node = document.root.at(path)
    return node.line, node.column


def _declared(raw: Mapping[str, Any], document: Document) -> Iterator[Violation]:
    """Declarations of inputs, and of the fields of approvals' forms."""
    size = 0
    for path, declared in _declarations(raw):
        try:
            spec = InputSpec.model_validate(declared)
        except ValidationError:
            continue  # the models' own pass tells what is wrong with it
        for keys, message in faults(spec):
            place = (*path, *keys)
            node = document.root.at(place)
            about_value = message.startswith("found")
            line, column = (node.line, node.column) if about_value else document.root.key_place(place)
            yield Violation(path_text(place), message, line, column)
        size += _pattern_size(spec)
    if size > PATTERNS_MAX:
        line, column = document.root.key_place(("inputs",))
        message = (
            f"with their repetitions written out the patterns have {size} parts; at most {PATTERNS_MAX} are allowed"
        )
        yield Violation("inputs", message, line, column)


def _declarations(raw: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    inputs = raw.get("inputs")
    if isinstance(inputs, dict):
        for name, declared in inputs.items():
            yield ("inputs", name), declared
    steps = raw.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        approval = step.get("approval") if isinstance(step, dict) else None
        form = approval.get("form") if isinstance(approval, dict) else None
        for name, declared in form.items() if isinstance(form, dict) else ():
            yield ("steps", index, "approval", "form", name), declared


def _pattern_size(spec: InputSpec) -> int:
    inner = _pattern_size(spec.items) if spec.items is not None else 0
    if spec.pattern is None:
        return inner
    try:
        return inner + compiled_pattern(spec.pattern).size
    except ValueError:
        return inner


class _Templates:
    """The templates of one document: each compiled, and what it speaks of looked up."""

    def __init__(self, document: Document, values: ValueCompiler, scope: Scope, graph: Graph) -> None:
        self._document = document
        self._values = values
        self._scope = scope
        self._graph = graph

    def violations(self, raw: Mapping[str, Any]) -> Iterator[Violation]:
        steps = raw.get("steps")
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(step, dict) and later_kind(step) is None:
                yield from self._of_step(index, step)
        if isinstance(raw.get("outputs"), dict):
            yield from self._of_value(raw["outputs"], ("outputs",), None)

    def _of_step(self, index: int, step: Mapping[str, Any]) -> Iterator[Violation]:
        name = step.get("name")
        known = name if isinstance(name, str) and name in self._graph.depends_on else None
        for key in _STEP_TEMPLATES:
            value, path = step.get(key), ("steps", index, key)
            if key == "if":
                yield from self._of_condition(condition_of(value), path, known)
            elif key == "with" and isinstance(value, dict):
                for inner, part in value.items():
                    yield from self._of_value(part, (*path, inner), known)
            else:
                yield from self._of_value(value, path, known)

    def _of_condition(self, value: Any, path: Path, step: str | None) -> Iterator[Violation]:
        if not isinstance(value, str) or not value.startswith("{{"):
            return  # a boolean, or refused by the model
        template, violations = self._compiled(value, path, step)
        yield from violations
        if template is not None and not template.lone:
            node = self._document.root.at(path)
            allowed = 'one expression: "{{ ... }}"'
            message = f"found text with templates in it, which always counts as true; allowed: {allowed}"
            yield Violation(path_text(path), message, node.line, node.column, "text", allowed)

    def _of_value(self, value: Any, path: Path, step: str | None) -> Iterator[Violation]:
        yield from self._keys(value, path)
        if has_template(value):
            yield from self._compiled(value, path, step)[1]

    def _compiled(self, value: Any, path: Path, step: str | None) -> tuple[Template | None, list[Violation]]:
        template, references, violations = self._values.attempt(value, path)
        return template, [*violations, *self._scope.violations(references, step)]

    def _keys(self, value: Any, path: Path) -> Iterator[Violation]:
        """Keys of mappings are never templates; one that looks like it is a mistake."""
        if isinstance(value, dict):
            for key, item in value.items():
                if has_template(key):
                    line, column = self._document.root.key_place((*path, key))
                    yield Violation(path_text((*path, key)), "templates stand in values, not in keys", line, column)
                yield from self._keys(item, (*path, key))
        elif isinstance(value, list):
            for at, item in enumerate(value):
                yield from self._keys(item, (*path, at))
