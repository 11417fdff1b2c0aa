"""A bare lane: an index with a lane's mapping and settings that no scheduler knows of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...ilm.schema import COMMON_SETTINGS, CURRENT
from .cluster import Cluster


@asynccontextmanager
async def bare_lane(cluster: Cluster, name: str) -> AsyncIterator[str]:
    """The index's name. It is removed with the context."""
    (family,) = (family for family in CURRENT.families if family.name == "lane")
    index = f"{cluster.prefix}-{name}"
    settings = {"index": {**COMMON_SETTINGS, **family.settings}}
    await cluster.ask("PUT", f"/{index}", {"settings": settings, "mappings": CURRENT.mapping(family)})
    try:
        await cluster.ask("GET", f"/_cluster/health/{index}?wait_for_status=yellow&timeout=30s")
        yield index
    finally:
        await cluster.store.request("DELETE", f"/{index}")
