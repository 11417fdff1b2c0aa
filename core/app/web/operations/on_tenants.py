"""The documents of tenants, and the deployment's."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from ....principal import Principal
from ...authentication import NAME_ALLOWED, NAME_PATTERN
from ..surface import Reply, Surface

_LISTED = 100

TenantName = Annotated[
    str,
    Meta(
        pattern=NAME_PATTERN,
        description="The tenant's name; `*` for the deployment's document.",
        extra_json_schema={"x-allowed": NAME_ALLOWED, "examples": ["acme"]},
    ),
]
Revision = Annotated[
    str,
    Meta(
        pattern="^(none|[0-9]{1,19}-[0-9]{1,19})$",
        description="Only if the document stands at this revision; `none`: only if there is none.",
        extra_json_schema={"x-allowed": "a revision as the document's, such as 12-1, or none", "examples": ["12-1"]},
    ),
]


class TenantParameters(Struct, frozen=True):
    id: TenantName


class TenantChangeParameters(Struct, frozen=True):
    id: TenantName
    revision: Revision | UnsetType = UNSET


class TenantsParameters(Struct, frozen=True):
    after: (
        Annotated[str, Meta(min_length=1, max_length=128, description="The `next` of the page before.")] | UnsetType
    ) = UNSET
    size: Annotated[int, Meta(ge=1, le=1_000, description="Tenants on one page, 100 by default.")] | UnsetType = UNSET


async def page(surface: Surface, principal: Principal, parameters: TenantsParameters, body: None) -> Reply:
    """One page of the tenants that have a document."""
    after = "" if parameters.after is UNSET else parameters.after
    size = _LISTED if parameters.size is UNSET else parameters.size
    return Reply(200, await surface.replica.tenants(principal, after=after, size=size))


async def get(surface: Surface, principal: Principal, parameters: TenantParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.tenant(principal, parameters.id))


async def put(surface: Surface, principal: Principal, parameters: TenantChangeParameters, body: bytes) -> Reply:
    """The document, after it is written."""
    revision = None if parameters.revision is UNSET else parameters.revision
    view, created = await surface.replica.put_tenant(principal, parameters.id, body, revision=revision)
    return Reply(201 if created else 200, view)


async def delete(surface: Surface, principal: Principal, parameters: TenantChangeParameters, body: None) -> Reply:
    revision = None if parameters.revision is UNSET else parameters.revision
    await surface.replica.delete_tenant(principal, parameters.id, revision=revision)
    return Reply(204)
