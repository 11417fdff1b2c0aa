"""What must hold between the parts of a definition, checked on the document itself, so that an error in one part does
not hide those in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from ..errors import Violation
from ..inputs.faults import faults
from ..inputs.patterns import compiled_pattern
from ..inputs.spec import InputSpec
from ..outline import STEPS_MAX, Place, Tree, places, read_tree
from ..outline.places import stripped
from ..source.nodes import Document
from ..templates import Limits, Template, ValueCompiler, has_template, path_text
from .rules import rule_violations
from .scope import Scope, View

Path = tuple[str | int, ...]

VIOLATIONS_MAX = 1_000
PATTERNS_MAX = 1_000
_START_TEXTS = (("idempotency",), ("memory", "key"), ("concurrency", "key"))


def check(
    document: Document, managed_prefix: str | None, limits: Limits
) -> tuple[list[Violation], ValueCompiler, Tree]:
    """Everything that the models can't see; and the compiled templates and the tree of the steps, for the plan.

    `managed_prefix` is what names may not begin with; None lets every name pass.
    """
    raw: Mapping[str, Any] = document.root.value
    tree = read_tree(raw)
    values = ValueCompiler(tree.step_names(), tree.signal_names(), limits=limits, locate=document.locator)
    violations = [
        *_name(raw, document, managed_prefix),
        *islice(rule_violations(tree, document, raw), VIOLATIONS_MAX),
        *_declared(raw, tree, document),
    ]
    if tree.count <= STEPS_MAX:  # of more steps some were not read, and would seem not to exist
        violations += islice(_Templates(document, values, Scope(tree, raw), tree).violations(raw), VIOLATIONS_MAX)
    return violations, values, tree


def _name(raw: Mapping[str, Any], document: Document, managed_prefix: str | None) -> Iterator[Violation]:
    name = raw.get("name")
    if managed_prefix and isinstance(name, str) and name.startswith(managed_prefix):
        message = f"found `{name[:100]}`; names that begin with `{managed_prefix}` are reserved for managed definitions"
        node = document.root.at(("name",))
        yield Violation("name", message, node.line, node.column, name[:100])


def _declared(raw: Mapping[str, Any], tree: Tree, document: Document) -> Iterator[Violation]:
    """Declarations of inputs, and of the fields of approvals' forms."""
    size = 0
    for path, declared in _declarations(raw, tree):
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


def _declarations(raw: Mapping[str, Any], tree: Tree) -> Iterator[tuple[Path, Any]]:
    inputs = raw.get("inputs")
    if isinstance(inputs, dict):
        for name, declared in inputs.items():
            yield ("inputs", name), declared
    for step in tree.walk():
        approval = step.raw.get("approval")
        form = approval.get("form") if isinstance(approval, dict) else None
        for name, declared in form.items() if isinstance(form, dict) else ():
            yield (*step.at, "approval", "form", name), declared


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

    def __init__(self, document: Document, values: ValueCompiler, scope: Scope, tree: Tree) -> None:
        self._document = document
        self._values = values
        self._scope = scope
        self._tree = tree

    def violations(self, raw: Mapping[str, Any]) -> Iterator[Violation]:
        for step in self._tree.walk():
            for place in places(step):
                view = self._scope.of(step, place.sight)
                if place.expression:
                    yield from self._of_expression(place, view)
                else:
                    yield from self._of_value(place.value, place.at, view)
        if isinstance(raw.get("outputs"), dict):
            yield from self._of_value(raw["outputs"], ("outputs",), self._scope.of(None))
        for path in _START_TEXTS:
            text = self._document.root.at(path).value
            if isinstance(text, str) and has_template(text):
                yield from self._compiled(stripped(text), path, View(start_key=".".join(path)))[1]

    def _of_expression(self, place: Place, view: View) -> Iterator[Violation]:
        if not isinstance(place.value, str) or not place.value.startswith("{{"):
            return  # a boolean, or refused by the model
        template, violations = self._compiled(place.value, place.at, view)
        yield from violations
        if template is not None and not template.lone:
            node = self._document.root.at(place.at)
            allowed = 'one expression: "{{ ... }}"'
            why = "which is no list" if place.at[-1] == "foreach" else "which always counts as true"
            message = f"found text with templates in it, {why}; allowed: {allowed}"
            yield Violation(path_text(place.at), message, node.line, node.column, "text", allowed)

    def _of_value(self, value: Any, path: Path, view: View) -> Iterator[Violation]:
        yield from self._keys(value, path)
        if has_template(value):
            yield from self._compiled(value, path, view)[1]

    def _compiled(self, value: Any, path: Path, view: View) -> tuple[Template | None, list[Violation]]:
        template, references, violations = self._values.attempt(value, path)
        found = islice(self._scope.violations(references, view), VIOLATIONS_MAX)
        return template, [*violations, *found]

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
