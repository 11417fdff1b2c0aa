"""What stands in files of their own: values for a blueprint, and blocks for many definitions."""

from __future__ import annotations

from typing import Any

from ..errors import DefinitionError, Violation
from ..source.documents import read_documents
from ..words import kind
from .expanding import blocks_in, is_library
from .spec import header_of
from .using import Block


def values_of(source: str | bytes, *, origin: str = "<yaml>") -> dict[str, Any]:
    """The values that a YAML text gives to parameters: one mapping. Raises: DefinitionError."""
    text, documents, violations = read_documents(source)
    if not violations and len(documents) > 1:
        place = documents[1].root.line, documents[1].root.column
        violations.append(Violation("", "found a second document; values are one mapping", *place))
    for document in documents[:1]:
        if not isinstance(document.root.value, dict):
            place = document.root.line, document.root.column
            violations.append(Violation("", f"found {kind(document.root.value)}; values are one mapping", *place))
    if violations:
        raise DefinitionError(violations, origin=origin, source=text)
    return dict(documents[0].root.value) if documents else {}


def blocks_of(source: str | bytes, *, origin: str = "<yaml>") -> dict[str, Block]:
    """The blocks of a YAML text whose documents hold nothing else. Raises: DefinitionError."""
    text, documents, violations = read_documents(source)
    found: dict[str, Block] = {}
    for document in documents:
        if not is_library(document):
            place = document.root.line, document.root.column
            violations.append(Violation("", "found a document without `blocks`, or with more than these", *place))
            continue
        header, faults = header_of(document.root)
        violations += faults
        if header is not None:
            found |= blocks_in(header, document.root, shared=True)
    if not documents and not violations:
        violations.append(Violation("", "found no blocks: the text is empty", 1, 1))
    if violations:
        raise DefinitionError(violations, origin=origin, source=text)
    return found
