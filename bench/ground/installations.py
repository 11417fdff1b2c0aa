"""Installations of their own within a run's cluster: a backlog that one measurement changes is not met by the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import structs

from .cluster import Cluster


@asynccontextmanager
async def installation(cluster: Cluster, name: str) -> AsyncIterator[Cluster]:
    """The same cluster under a prefix of its own within the run's; what was made there is removed with the context."""
    settings = structs.replace(cluster.settings, index_prefix=f"{cluster.prefix}-{name}")
    part = Cluster(cluster.store, settings, embedded=cluster.embedded)
    try:
        yield part
    finally:
        await part.clear()
