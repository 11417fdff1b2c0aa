"""What the doctor finds and repairs."""

from __future__ import annotations

from ....principal import Principal
from ..parameters import NoParameters
from ..surface import Reply, Surface


async def examine(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.examine(principal))


async def fix(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    """What was found, with what has been done about it."""
    return Reply(200, await surface.replica.examine(principal, fix=True))
