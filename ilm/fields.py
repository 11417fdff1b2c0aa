"""The few field types that the mappings use, each with the reason for its parameters.

All of them exist in every Elasticsearch from 8.15 on, the embedded one included.
"""

from __future__ import annotations

from typing import Any

Mapping = dict[str, Any]

# Longer values stay in `_source` and are not indexed: Lucene refuses a term above 32,766 bytes, and one oversized label
# must not stop an instance. Counted in characters, of up to four bytes each.
IGNORE_ABOVE = 1024


def keyword(*, doc_values: bool = True) -> Mapping:
    """An exact value or a list of them. Without `doc_values` it can be searched, but not sorted or aggregated."""
    return {"type": "keyword", "ignore_above": IGNORE_ABOVE, **({} if doc_values else {"doc_values": False})}


def long() -> Mapping:
    return {"type": "long"}


def integer() -> Mapping:
    return {"type": "integer"}


def double() -> Mapping:
    return {"type": "double"}


def boolean(*, doc_values: bool = True) -> Mapping:
    """Without `doc_values` it can be searched, but not sorted or aggregated."""
    return {"type": "boolean", **({} if doc_values else {"doc_values": False})}


def date() -> Mapping:
    """An ISO 8601 time in UTC."""
    return {"type": "date"}


def text(*, copy_of_lines: str | None = None) -> Mapping:
    """Full text of any length. Without norms: payloads are searched for words, not ranked by length.

    With `copy_of_lines` the field feeds the full text of that other field and is not searched itself.
    """
    if copy_of_lines is not None:
        return {"type": "text", "index": False, "copy_to": copy_of_lines}
    return {"type": "text", "norms": False}


def alias(path: str) -> Mapping:
    """Another name for a field, in queries only."""
    return {"type": "alias", "path": path}


def stored() -> Mapping:
    """Any JSON, kept in `_source` and never looked into: no key of it becomes a field."""
    return {"type": "object", "enabled": False}


def group(**properties: Mapping) -> Mapping:
    """Fields under a common name: `group(id=...)` as `workflow` is `workflow.id`."""
    return {"properties": properties}


def closed(version: int, properties: Mapping) -> Mapping:
    """A whole mapping in which nothing is dynamic: keys that are not listed stay in `_source`, unindexed."""
    return {"dynamic": False, "_meta": {"leasehold": {"schema": version}}, "properties": properties}
