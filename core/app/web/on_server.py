"""What the server says about itself."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ...errors import Unavailable
from ...principal import Principal
from ...replica import LaneView, ReplicaView
from .parameters import NoParameters
from .surface import JSON, Reply, Surface

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok", "ready"]


class LaneList(Struct, frozen=True):
    lanes: list[LaneView]


class ReplicaList(Struct, frozen=True):
    replicas: list[ReplicaView]


async def lanes(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, LaneList(await surface.replica.lanes()))


async def replicas(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, ReplicaList(await surface.replica.replicas()))


async def healthz(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, Health("ok"))


async def readyz(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    """Raises: Unavailable while no lane has an owner that this replica knows, or the server stops."""
    if surface.stopping or not surface.replica.ready():
        raise Unavailable("this replica is stopping" if surface.stopping else "no lane has an owner yet")
    return Reply(200, Health("ready"))


async def metrics(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, surface.metrics.exposition(), METRICS_TYPE)


async def openapi(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, surface.openapi, JSON)
