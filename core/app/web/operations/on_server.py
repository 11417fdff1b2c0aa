"""What the server says about itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ....errors import Unavailable
from ....lanes.ownership.registry import LANES_AT_ONCE
from ....operations.lanes import LaneView
from ....principal import Principal
from ....replica import ReplicaView
from ..parameters import NoParameters
from ..surface import JSON, Reply, Surface

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok", "ready"]


class LaneList(Struct, frozen=True):
    lanes: list[LaneView]


class LanesToAdd(Struct, frozen=True):
    """How many lanes to add."""

    count: Annotated[int, Meta(ge=1, le=LANES_AT_ONCE)] = 1


class LaneParameters(Struct, frozen=True):
    lane: Annotated[str, Meta(pattern="^[0-9]{2,4}$", description="The lane's name.", examples=["03"])]


class RemoveLaneParameters(LaneParameters, frozen=True):
    early: (
        Annotated[
            Literal["true", "false"],
            Meta(description="`true`: now, although idempotency keys may still name instances of this lane."),
        ]
        | UnsetType
    ) = UNSET


class ReplicaList(Struct, frozen=True):
    replicas: list[ReplicaView]


async def lanes(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, LaneList(await surface.replica.lanes()))


async def add_lanes(surface: Surface, principal: Principal, parameters: NoParameters, body: LanesToAdd | None) -> Reply:
    """The lanes that were added."""
    return Reply(201, LaneList(await surface.replica.add_lanes((body or LanesToAdd()).count, by=principal)))


async def drain_lane(surface: Surface, principal: Principal, parameters: LaneParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.drain_lane(parameters.lane, by=principal))


async def remove_lane(surface: Surface, principal: Principal, parameters: RemoveLaneParameters, body: None) -> Reply:
    await surface.replica.remove_lane(parameters.lane, early=parameters.early == "true", by=principal)
    return Reply(204)


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
