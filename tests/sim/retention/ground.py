"""Replicas that clear often and early, so that what is rare in life happens all the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from leasehold.core.lanes.lane import Lane
from leasehold.core.metrics import Metrics
from leasehold.core.retention.retention import Retention
from leasehold.core.settings import RetentionSettings, Settings

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import SETTINGS, Scheduler, scheduler

KEPT_MS = 20_000
NEVER_MS = 10**12


def clearing(*, lanes: int = 1, port: int = 0, **changes: Any) -> Settings:
    """Settings under which a pass of retention comes by itself only where `every_ms` says so."""
    retention = msgspec.structs.replace(RetentionSettings(every_ms=NEVER_MS, keys_kept_ms=KEPT_MS), **changes)
    found = msgspec.structs.replace(
        SETTINGS, retention=retention, lanes=msgspec.structs.replace(SETTINGS.lanes, lanes=lanes)
    )
    return msgspec.structs.replace(found, server=msgspec.structs.replace(SETTINGS.server, port=port)) if port else found


@asynccontextmanager
async def member(
    cluster: ModelElasticsearch, peers: ModelPeers, name: str, port: int, **changes: Any
) -> AsyncIterator[Scheduler]:
    """One replica of several, which reach each other."""
    settings = clearing(port=port, **changes)
    async with scheduler(cluster, settings=settings, replica_id=name, seed=port, owning=False, peers=peers) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s


def retention_of(s: Scheduler) -> Retention:
    return s.replica._engine.retention


def lane_of(s: Scheduler) -> Lane:
    """The replica's one lane."""
    (lane,) = s.replica._engine.lanes.values()
    return lane


def cleared(metrics: Metrics, kind: str) -> float:
    """How many documents of a kind were counted as cleared."""
    return metrics.registry.get_sample_value("leasehold_retention_cleared_total", {"kind": kind}) or 0.0
