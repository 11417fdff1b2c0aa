"""Rows of history by their ids, with their sources or without.

Index: one history alias (an id is looked for in every index behind it). No sort. Relies on a refresh that began after
the rows that it must see were confirmed. Cost: one term lookup an id and segment, one source a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROWS_A_SEARCH = 100


def rows_by_id_body(ids: Sequence[str], *, sources: bool = True) -> dict[str, Any]:
    """At most `ROWS_A_SEARCH` ids; one that stands in two indices is two hits."""
    return {
        "query": {"ids": {"values": list(ids)}},
        "_source": sources,
        "size": 2 * ROWS_A_SEARCH,
        "track_total_hits": False,
    }
