"""From YAML text to definitions, or to everything that is wrong with it."""

from __future__ import annotations

from pydantic import ValidationError

from .blueprints import Expansion, expanded
from .checks.checking import VIOLATIONS_MAX, check
from .checks.explaining import violations_of
from .definition import MANAGED_PREFIX, Definition
from .errors import DefinitionError, Violation
from .source.documents import read_documents
from .source.nodes import Document
from .templates import LIMITS, Limits
from .words import kind

_NOTHING = Expansion()


def load(
    source: str | bytes,
    *,
    origin: str = "<yaml>",
    managed: bool = False,
    limits: Limits = LIMITS,
    expansion: Expansion = _NOTHING,
) -> list[Definition]:
    """The definitions of a YAML text, one a document, in order; at least one.

    `origin` names the text in messages; `managed` lets names begin with `system-`; `limits` are those of every
    rendering of the templates; `expansion` is what the blueprints in the text need from outside. Templates are compiled
    on the way: a definition of ten steps takes about 15 ms, the largest that is accepted a few seconds, all of it
    spent in Python. Raises: DefinitionError with every violation.
    """
    text, documents, violations = read_documents(source)
    documents, found_expanding = expanded(documents, expansion)
    violations += found_expanding
    definitions: list[Definition] = []
    for document in documents:
        definition, found = _definition(document, managed, limits)
        violations += found
        if definition is not None:
            definitions.append(definition)
    violations += _doubled(definitions, documents)
    if not documents and not violations:
        violations.append(Violation("", "found no definition: the text is empty", 1, 1))
    if violations:
        ordered = sorted(violations, key=lambda violation: (violation.line or 0, violation.column or 0))
        raise DefinitionError(_unique(ordered)[:VIOLATIONS_MAX], origin=origin, source=text)
    return definitions


def validate_text(source: str | bytes, *, origin: str = "<yaml>") -> str | None:
    """What is wrong with a YAML text, for a terminal; None when nothing is."""
    try:
        load(source, origin=origin)
    except DefinitionError as error:
        return str(error)
    return None


def _definition(document: Document, managed: bool, limits: Limits) -> tuple[Definition | None, list[Violation]]:
    raw = document.root.value
    if not isinstance(raw, dict):
        node = document.root
        return None, [Violation("", f"found {kind(raw)}; a definition is a mapping", node.line, node.column, kind(raw))]
    violations, values, tree = check(document, None if managed else MANAGED_PREFIX, limits)
    try:
        definition = Definition.model_validate(raw)
    except ValidationError as error:
        return None, [*violations_of(error, Definition, document.root), *violations]
    if violations:
        return None, violations
    return definition.loaded(document.source, raw, values, tree), []


def _doubled(definitions: list[Definition], documents: list[Document]) -> list[Violation]:
    """Two documents of one file that are the same version of the same name."""
    seen: set[tuple[str, int]] = set()
    violations = []
    for definition in definitions:
        key = (definition.name, definition.version)
        if key in seen:
            document = next(other for other in reversed(documents) if _is(other, key))
            node = document.root.at(("name",))
            message = f"version {key[1]} of `{key[0]}` stands twice in this text"
            violations.append(Violation("name", message, node.line, node.column, key[0]))
        seen.add(key)
    return violations


def _is(document: Document, key: tuple[str, int]) -> bool:
    raw = document.root.value
    return isinstance(raw, dict) and (raw.get("name"), raw.get("version", 1)) == key


def _unique(violations: list[Violation]) -> list[Violation]:
    return list(dict.fromkeys(violations))
