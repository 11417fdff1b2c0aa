"""A bulk's lines, read as Elasticsearch reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from leasehold.core.errors import StoreRejected
from leasehold.core.ports import Version

from .model_documents import ModelDoesNotKnow
from .model_index import Operation

LONGEST_ID_BYTES = 512


def parse_bulk(lines: Sequence[bytes], index: str | None) -> list[Operation]:
    """A bulk's lines as operations. Raises: StoreRejected(400) for what Elasticsearch refuses as a whole."""
    if not lines:
        raise StoreRejected("request body is required", 400, "parse_exception")
    operations: list[Operation] = []
    at = 0
    while at < len(lines):
        action, options = _action(lines[at], at)
        at += 1
        source: bytes | None = None
        if action != "delete":
            if at == len(lines):
                # Elasticsearch drops a last action without its source, and says nothing.
                break
            source = lines[at]
            at += 1
        operations.append(_operation(action, options, index, source))
    if not operations:
        raise StoreRejected("Validation Failed: no requests added", 400, "action_request_validation_exception")
    return operations


def _action(line: bytes, at: int) -> tuple[str, dict[str, Any]]:
    try:
        ((action, options),) = msgspec.json.decode(line).items()
    except (msgspec.DecodeError, AttributeError, ValueError) as error:
        raise StoreRejected(f"Malformed action/metadata line [{at + 1}]", 400, "illegal_argument_exception") from error
    if action == "update":
        raise ModelDoesNotKnow("partial updates: hot writes are full documents")
    if action not in ("create", "index", "delete"):
        raise StoreRejected(f"Malformed action/metadata line [{at + 1}]", 400, "illegal_argument_exception")
    return action, options


def _operation(action: Any, options: dict[str, Any], index: str | None, source: bytes | None) -> Operation:
    known = {"_index", "_id", "if_seq_no", "if_primary_term", "version", "version_type"}
    if options.keys() - known or options.get("version_type", "external_gte") != "external_gte":
        raise ModelDoesNotKnow(f"bulk options {options}")
    id = options.get("_id")
    name = options.get("_index", index)
    if id is None or name is None:
        raise ModelDoesNotKnow("items without an id or an index")
    if len(id.encode()) > LONGEST_ID_BYTES:
        raise StoreRejected("Validation Failed: id is too long", 400, "action_request_validation_exception")
    if_version = None
    if "if_seq_no" in options:
        if action == "create":
            reason = "create operations do not support compare and set"
            raise StoreRejected(reason, 400, "action_request_validation_exception")
        if_version = Version(options["if_seq_no"], options["if_primary_term"])
    return Operation(action, name, id, source, if_version, options.get("version"))
