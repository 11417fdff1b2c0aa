"""How history ages, and the policies that say so."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from .....ilm.policies import FAMILIES
from ....principal import Principal
from ..parameters import NoParameters
from ..surface import Reply, Surface

Family = Annotated[
    str,
    Meta(
        pattern=f"^({'|'.join(FAMILIES)})$",
        description="The family of history: what rolls and ages together.",
        extra_json_schema={"x-allowed": " or ".join(FAMILIES), "examples": ["steps"]},
    ),
]


class FamilyParameters(Struct, frozen=True):
    family: Family


class PolicyChangeParameters(Struct, frozen=True):
    family: Family
    revision: (
        Annotated[
            int, Meta(ge=0, description="Only if the policy stands at this revision; 0: only if it never changed.")
        ]
        | UnsetType
    ) = UNSET
    yes: (
        Annotated[
            Literal["true", "false"],
            Meta(description="`true`: although the audit trail is kept less long by it."),
        ]
        | UnsetType
    ) = UNSET


async def status(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.lifecycle())


async def get(surface: Surface, principal: Principal, parameters: FamilyParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.policy(parameters.family))


async def put(surface: Surface, principal: Principal, parameters: PolicyChangeParameters, body: bytes) -> Reply:
    """The policy that is in force then."""
    revision = None if parameters.revision is UNSET else parameters.revision
    return Reply(
        200,
        await surface.replica.put_policy(
            principal, parameters.family, body, revision=revision, yes=parameters.yes == "true"
        ),
    )


async def delete(surface: Surface, principal: Principal, parameters: PolicyChangeParameters, body: None) -> Reply:
    """The policy that is in force then, which is the default."""
    revision = None if parameters.revision is UNSET else parameters.revision
    return Reply(
        200,
        await surface.replica.reset_policy(
            principal, parameters.family, revision=revision, yes=parameters.yes == "true"
        ),
    )
