"""Heads of definitions that hold rows of the audit trail for too long.

Index: definitions. No sort. Relies on its own refresh interval (1 s). Cost: one range over the few heads with rows.
"""

from __future__ import annotations

from typing import Any


def unaudited_heads_body(until_ms: int) -> dict[str, Any]:
    """Those whose oldest row waits since then; their sources are not read."""
    return {
        "query": {"bool": {"filter": [{"range": {"unaudited_since_ms": {"lte": until_ms}}}]}},
        "_source": False,
        "size": 1_000,
        "track_total_hits": False,
    }
