"""Recordings of instances, and their replays."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from ....principal import Principal
from ..surface import Reply, Surface
from .on_definitions import Name
from .on_instances import InstanceParameters

RECORDINGS_MAX = 200
_RECORDINGS = 50


class ReplayParameters(InstanceParameters, frozen=True):
    version: (
        Annotated[int, Meta(ge=1, le=2**31 - 1, description="Another stored version; its own by default.")] | UnsetType
    ) = UNSET


class RecordingsParameters(Struct, frozen=True):
    name: Name
    after: (
        Annotated[str, Meta(min_length=1, max_length=128, description="The `next` of the page before.")] | UnsetType
    ) = UNSET
    size: (
        Annotated[int, Meta(ge=1, le=RECORDINGS_MAX, description=f"At most so many, {_RECORDINGS} by default.")]
        | UnsetType
    ) = UNSET


async def recording(surface: Surface, principal: Principal, parameters: InstanceParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.recording(principal, parameters.id))


async def recordings(surface: Surface, principal: Principal, parameters: RecordingsParameters, body: None) -> Reply:
    """Those of the instances of a workflow that ended last."""
    after = None if parameters.after is UNSET else parameters.after
    size = _RECORDINGS if parameters.size is UNSET else parameters.size
    return Reply(200, await surface.replica.recordings(principal, parameters.name, size=size, after=after))


async def replay(surface: Surface, principal: Principal, parameters: ReplayParameters, body: None) -> Reply:
    """Under its own version, or another stored one."""
    version = None if parameters.version is UNSET else parameters.version
    return Reply(200, await surface.replica.replay(principal, parameters.id, version=version))


async def replay_under(surface: Surface, principal: Principal, parameters: InstanceParameters, body: bytes) -> Reply:
    """Under the definition in the body."""
    return Reply(200, await surface.replica.replay(principal, parameters.id, source=body))
