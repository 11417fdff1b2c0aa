"""How many steps of a tenant and capability come before one, in the index of one lane.

Index: one lane. No sort, no hits. Relies on the last refresh, so it lags by what has changed since. Cost: the terms'
posting lists and a range of ranks.
"""

from __future__ import annotations

from typing import Any


def ready_before_body(*, tenant: str, capability: str, rank: int) -> dict[str, Any]:
    """The number of instances with such a step of a lower rank, as `total`."""
    filters = [{"term": {"tenant": tenant}}, {"term": {"ready": capability}}, {"range": {"rank": {"lt": rank}}}]
    return {"query": {"bool": {"filter": filters}}, "size": 0, "track_total_hits": True}
