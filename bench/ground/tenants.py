"""Tenants' documents, written as somebody would who knows nothing of Leasehold but its index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...ilm import IndexNames
from .cluster import Cluster


async def write_tenant(cluster: Cluster, name: str, document: Mapping[str, Any]) -> None:
    """Write a tenant's document straight to Elasticsearch. Raises: BenchError when it does not take it."""
    await cluster.ask("PUT", f"/{IndexNames(cluster.prefix).tenants}/_doc/{name}", document)
