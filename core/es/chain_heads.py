"""Heads of the audit trail's chains.

Index: keys, or a point in time over it. Sorted by `_seq_no`, so by when each was written last. Relies on a refresh that
the caller has asked for. Cost: one term, and a sort over one document a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HEADS_A_PAGE = 5_000

_HEADS = {"bool": {"filter": [{"term": {"kind": "chain"}}]}}


def newest_chain_heads_body(size: int) -> dict[str, Any]:
    """Those that were written last, the newest first."""
    return {"query": _HEADS, "sort": [{"_seq_no": "desc"}], "size": size, "track_total_hits": False}


def chain_heads_body(pit_id: str, after: Sequence[Any] | None, *, keep_alive_ms: int) -> dict[str, Any]:
    """One page of all of them, those written longest ago first."""
    body: dict[str, Any] = {
        "pit": {"id": pit_id, "keep_alive": f"{keep_alive_ms}ms"},
        "query": _HEADS,
        "sort": [{"_seq_no": "asc"}],
        "size": HEADS_A_PAGE,
        "track_total_hits": False,
    }
    return body if after is None else body | {"search_after": list(after)}
