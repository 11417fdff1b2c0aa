"""The audit trail: listed for whoever may see what it is about, exported for those who answer for all of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ....audit.exporting import TOKEN_MAX_CHARACTERS
from ....es.audit_rows import AuditFilter
from ....principal import Principal
from ..moments import Moment, moment_ms
from ..surface import Reply, Surface

NDJSON = "application/x-ndjson"

_LISTED = 50

Word = Annotated[str, Meta(min_length=1, max_length=1_024)]


class AuditParameters(Struct, frozen=True):
    action: Annotated[Word, Meta(description="Of this action, such as `cancel`.")] | UnsetType = UNSET
    user: Annotated[Word, Meta(description="By this principal.")] | UnsetType = UNSET
    instance: Annotated[Word, Meta(description="About this instance.")] | UnsetType = UNSET
    workflow: Annotated[Word, Meta(description="About this workflow or its instances.")] | UnsetType = UNSET
    tenant: Annotated[Word, Meta(description="Of this tenant; for callers who act for all of them.")] | UnsetType = (
        UNSET
    )
    outcome: (
        Annotated[Literal["success", "failure"], Meta(description="`failure`: what was refused, or is not valid.")]
        | UnsetType
    ) = UNSET
    since: Annotated[Moment, Meta(description="Then or later.")] | UnsetType = UNSET
    until: Annotated[Moment, Meta(description="Before that.")] | UnsetType = UNSET
    size: Annotated[int, Meta(ge=1, le=1_000, description="Rows on one page.")] = _LISTED
    next: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1_024,
                description="The `next` of the page before, with everything else as it was.",
            ),
        ]
        | UnsetType
    ) = UNSET


class ExportParameters(Struct, frozen=True):
    next: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=TOKEN_MAX_CHARACTERS,
                pattern="^[A-Za-z0-9_.=-]*$",
                extra_json_schema={"x-allowed": "a token as an export gave it"},
                description="The token that the last line of the page before holds.",
            ),
        ]
        | UnsetType
    ) = UNSET


async def page(surface: Surface, principal: Principal, parameters: AuditParameters, body: None) -> Reply:
    """One page of the trail, the newest first."""
    now_ms = surface.replica.now_ms()
    which = AuditFilter(
        action=_given(parameters.action),
        user=_given(parameters.user),
        instance=_given(parameters.instance),
        workflow=_given(parameters.workflow),
        tenant=_given(parameters.tenant),
        outcome=_given(parameters.outcome),
        since_ms=None if parameters.since is UNSET else moment_ms(parameters.since, now_ms),
        until_ms=None if parameters.until is UNSET else moment_ms(parameters.until, now_ms),
    )
    next = _given(parameters.next)
    return Reply(200, await surface.replica.audit(principal, which, size=parameters.size, next=next))


async def export(surface: Surface, principal: Principal, parameters: ExportParameters, body: None) -> Reply:
    """One page of the whole trail, as lines of JSON."""
    return Reply(200, await surface.replica.export_audit(principal, _given(parameters.next)), NDJSON)


def _given(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value
