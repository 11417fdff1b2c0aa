"""Rows of the trail as links of a chain, and the rows that chains need for themselves. Pure.

A row's hash is SHA-256 over the canonical JSON (keys sorted, no spaces, UTF-8) of `{"_id": ..., "_source": ...}`, its
source without `chain.hash`. So an exported line can be checked as it stands, and a row can't be passed off as another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

OPENED = "audit.open"
VOIDED = "audit.void"

FIRST_PREVIOUS = ""
"""What the first row of a chain names as the hash of the row before."""

_canonical = msgspec.json.Encoder(order="deterministic").encode


class Sealed(Struct, frozen=True, gc=False):
    """A row under its number: `source` is its JSON with `chain`, the bytes of which never change from here on."""

    id: str
    seq: int
    source: bytes
    hash: str


class Void(Struct, frozen=True):
    """A number that no row has: it was refused, or stands already as another writer's. `hash` was the refused row's."""

    writer: str
    seq: int
    hash: str
    id: str
    reason: str


class HeadName(Struct, frozen=True):
    """How far a chain went, as another chain's first row names it."""

    writer: str
    index: str
    seq: int
    hash: str


class Head(Struct, frozen=True, tag_field="kind", tag="chain"):
    """`seq` and `hash`: the last row that was confirmed, 0 for none. Up to row `announced` there may be more.

    `index`: the concrete index of the chain; `at_ms`: when this was written.
    """

    writer: str
    index: str
    at_ms: int
    created_at_ms: int
    seq: int = 0
    hash: str = FIRST_PREVIOUS
    announced: int = 0
    announced_hash: str = FIRST_PREVIOUS

    @property
    def id(self) -> str:
        return f"chain:{self.writer}"


def seal(id: str, row: bytes, *, writer: str, seq: int, previous: str) -> Sealed:
    """The row as number `seq` of the writer's chain. Raises: MsgspecError where the row is no JSON object."""
    source = msgspec.json.decode(row, type=dict[str, Any])
    chain = {"writer": writer, "seq": seq, "previous": previous}
    source["chain"] = chain
    chain["hash"] = found = hash_of(id, source)
    return Sealed(id, seq, _canonical(source), found)


def hash_of(id: str, source: dict[str, Any]) -> str:
    """The hash that a row of that id and source is to have in `chain.hash`, whatever it has there."""
    chain = {name: value for name, value in source["chain"].items() if name != "hash"}
    return hashlib.sha256(_canonical({"_id": id, "_source": {**source, "chain": chain}})).hexdigest()


def chain_hash_of(source: bytes) -> str | None:
    """The hash that a stored row says it has; None for a row without a chain."""
    try:
        return msgspec.json.decode(source, type=_Chained).chain.hash
    except msgspec.MsgspecError:
        return None


def open_row(*, replica_id: str, index: str, heads: Sequence[HeadName], now_ms: int) -> bytes:
    """The first row of a chain."""
    return _own_row(OPENED, replica_id, {"index": index, "heads": heads}, now_ms)


def void_row(*, replica_id: str, voids: Iterable[Void], now_ms: int) -> bytes:
    """Says which numbers of this chain, or of an earlier one of the same process, no row has."""
    return _own_row(VOIDED, replica_id, {"voids": list(voids)}, now_ms)


def own_row_id(writer: str, seq: int) -> str:
    return f"chain:{writer}:{seq}"


def _own_row(action: str, replica_id: str, details: dict[str, Any], now_ms: int) -> bytes:
    return msgspec.json.encode(
        {
            "@timestamp": datetime.fromtimestamp(now_ms / 1_000, UTC),
            "event": {"action": action, "outcome": "success"},
            "user": {"name": f"(replica {replica_id})"},
            "tenant": "*",
            "space": "*",
            "details": details,
        }
    )


class _ChainHash(Struct):
    hash: str


class _Chained(Struct):
    chain: _ChainHash
