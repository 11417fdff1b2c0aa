"""A tenant's document out of a request's body, YAML or JSON, or all that is wrong with it, with its places."""

from __future__ import annotations

from typing import Any

from ....claim.wire import Violation
from ....definitions.source.documents import read_documents
from ....definitions.source.nodes import Node
from ....tenancy.documents import DocumentError, Fault
from ...errors import InvalidRequest, PayloadTooLarge
from ...tenants.stored import DOCUMENT_MAX_BYTES, rules_of
from ...violations import wire_violations


def document_in(tenant: str, source: bytes) -> dict[str, Any]:
    """A valid document. Raises: InvalidRequest with every violation; PayloadTooLarge."""
    if len(source) > DOCUMENT_MAX_BYTES:
        raise PayloadTooLarge("the document", len(source), DOCUMENT_MAX_BYTES)
    _, documents, violations = read_documents(source)
    if violations:
        raise InvalidRequest(violations[0].message, wire_violations(violations))
    if len(documents) > 1:
        raise InvalidRequest(f"found {len(documents)} documents; a tenant has one")
    root = documents[0].root if documents else Node({}, 1, 1)
    try:
        rules_of(tenant, root.value)
    except DocumentError as error:
        raise InvalidRequest(str(error), [_violation(fault, root) for fault in error.faults]) from None
    document: dict[str, Any] = root.value
    return document


def _violation(fault: Fault, root: Node) -> Violation:
    line, column = root.key_place(fault.path) if fault.path else (root.line, root.column)
    return Violation(fault.place, fault.message, line, column, fault.found, fault.allowed, fault.nearest)
