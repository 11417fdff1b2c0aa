"""Which version of a definition is active, back to the one before, and a canary beside it."""

from __future__ import annotations

from .....claim.wire.versions import ActivateBody, CanaryBody, MigrateBody, RollbackBody
from ....principal import Principal
from ..surface import Reply, Surface
from .on_definitions import DefinitionParameters


async def get(surface: Surface, principal: Principal, parameters: DefinitionParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.versions(principal, parameters.name))


async def activate(
    surface: Surface, principal: Principal, parameters: DefinitionParameters, body: ActivateBody
) -> Reply:
    return Reply(200, await surface.replica.activate_version(principal, parameters.name, body))


async def roll_back(
    surface: Surface, principal: Principal, parameters: DefinitionParameters, body: RollbackBody | None
) -> Reply:
    return Reply(200, await surface.replica.roll_back_version(principal, parameters.name, body or RollbackBody()))


async def begin_canary(
    surface: Surface, principal: Principal, parameters: DefinitionParameters, body: CanaryBody
) -> Reply:
    return Reply(200, await surface.replica.begin_canary(principal, parameters.name, body))


async def end_canary(surface: Surface, principal: Principal, parameters: DefinitionParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.end_canary(principal, parameters.name))


async def migrate(surface: Surface, principal: Principal, parameters: DefinitionParameters, body: MigrateBody) -> Reply:
    return Reply(200, await surface.replica.migrate(principal, parameters.name, body))
