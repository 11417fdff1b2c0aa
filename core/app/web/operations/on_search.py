"""Live and finished instances as one list."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from .....claim.wire.search import STATUSES
from ....errors import InvalidRequest
from ....es.instance_list import Filter
from ....operations.searching.tokens import TOKEN_MAX_CHARACTERS, Asked
from ....principal import Principal
from ..moments import MOMENT_ALLOWED, MOMENT_PATTERN, moment_ms
from ..surface import Reply, Surface

_LISTED = 50
_MOMENT_ALLOWED = {"x-allowed": MOMENT_ALLOWED}
_STATUS = "|".join(STATUSES)

Name = Annotated[str, Meta(min_length=1, max_length=1024)]


class SearchParameters(Struct, frozen=True):
    status: (
        Annotated[
            str,
            Meta(
                pattern=f"^({_STATUS})(,({_STATUS}))*$",
                description="In one of these statuses.",
                extra_json_schema={
                    "x-allowed": f"one or several of {', '.join(STATUSES)}, separated by commas",
                    "x-words": list(STATUSES),
                    "examples": ["failed,terminated"],
                },
            ),
        ]
        | UnsetType
    ) = UNSET
    workflow: Annotated[Name, Meta(description="Of this workflow.")] | UnsetType = UNSET
    version: Annotated[int, Meta(ge=1, le=2**31 - 1, description="Of this version of it.")] | UnsetType = UNSET
    tenant: Annotated[Name, Meta(description="Of this tenant; for callers who act for all of them.")] | UnsetType = (
        UNSET
    )
    space: Annotated[Name, Meta(description="In this space, of those that the caller acts in.")] | UnsetType = UNSET
    label: (
        Annotated[
            tuple[str, ...],
            Meta(
                max_length=16,
                description="With this label; given several times: with all of them.",
                extra_json_schema={"x-allowed": "labels as key=value, 16 at most", "examples": [["team=soc"]]},
            ),
        ]
        | UnsetType
    ) = UNSET
    correlation_id: Annotated[Name, Meta(description="Started with this correlation id.")] | UnsetType = UNSET
    started_by: Annotated[Name, Meta(description="Started by this principal.")] | UnsetType = UNSET
    parent: Annotated[Name, Meta(description="Children of this instance.")] | UnsetType = UNSET
    children: Annotated[bool, Meta(description="With the children of sub-workflow steps.")] = False
    error_type: (
        Annotated[str, Meta(min_length=1, max_length=256, description="That ended with this error type.")] | UnsetType
    ) = UNSET
    since: (
        Annotated[
            str,
            Meta(
                pattern=MOMENT_PATTERN,
                description="Started then or later.",
                extra_json_schema={**_MOMENT_ALLOWED, "examples": ["1h"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    until: (
        Annotated[
            str,
            Meta(
                pattern=MOMENT_PATTERN,
                description="Started before that.",
                extra_json_schema={**_MOMENT_ALLOWED, "examples": ["2026-01-31"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    finished_since: (
        Annotated[
            str,
            Meta(
                pattern=MOMENT_PATTERN,
                description="That ended then or later.",
                extra_json_schema={**_MOMENT_ALLOWED, "examples": ["15m"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    changed_since: (
        Annotated[
            str,
            Meta(
                pattern=MOMENT_PATTERN,
                description="That began, went on or ended then or later.",
                extra_json_schema={**_MOMENT_ALLOWED, "examples": ["10s"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    text: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1024,
                description="With all these words in one payload: inputs, outputs, an error's message.",
            ),
        ]
        | UnsetType
    ) = UNSET
    sort: Annotated[
        Literal["created", "finished", "duration"],
        Meta(description="By when they were started; `finished` and `duration` list those that have ended."),
    ] = "created"
    order: Annotated[Literal["desc", "asc"], Meta(description="`desc`: the newest, or longest, first.")] = "desc"
    size: Annotated[int, Meta(ge=1, le=1_000, description="Instances on one page.")] = _LISTED
    next: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=TOKEN_MAX_CHARACTERS,
                description="The `next` of the page before, with everything else as it was.",
            ),
        ]
        | UnsetType
    ) = UNSET


async def search(surface: Surface, principal: Principal, parameters: SearchParameters, body: None) -> Reply:
    """One page of the list."""
    asked = _asked(parameters, surface.replica.now_ms())
    following = _given(parameters.next)
    return Reply(200, await surface.replica.search(principal, asked, size=parameters.size, next=following))


def _asked(parameters: SearchParameters, now_ms: int) -> Asked:
    """Raises: InvalidRequest for what can't be a time, a label or an order of what is asked for."""
    labels = () if parameters.label is UNSET else parameters.label
    for label in labels:
        if not re.fullmatch("[^=]{1,128}=.{0,1024}", label, re.DOTALL):
            raise InvalidRequest(f"the query parameter label is {label[:80]!r}; allowed: a label as key=value")
    given = (parameters.since, parameters.until, parameters.finished_since, parameters.changed_since)
    times = [_given(time) for time in given]
    since_ms, until_ms, finished_since_ms, changed_since_ms = (
        None if time is None else moment_ms(time, now_ms) for time in times
    )
    which = Filter(
        statuses=() if parameters.status is UNSET else tuple(sorted(set(parameters.status.split(",")))),
        workflow=_given(parameters.workflow),
        version=None if parameters.version is UNSET else parameters.version,
        tenant=_given(parameters.tenant),
        space=_given(parameters.space),
        labels=tuple(sorted(set(labels))),
        correlation_id=_given(parameters.correlation_id),
        started_by=_given(parameters.started_by),
        parent=_given(parameters.parent),
        children=parameters.children,
        error_type=_given(parameters.error_type),
        since_ms=since_ms,
        until_ms=until_ms,
        finished_since_ms=finished_since_ms,
        changed_since_ms=changed_since_ms,
        text=_given(parameters.text),
    )
    if which.live_only and parameters.sort != "created":
        raise InvalidRequest(
            f"the query parameter sort is {parameters.sort!r}, which only instances that have ended have; the status"
            f" {parameters.status!r} names none of those: sort by created"
        )
    return Asked(which, parameters.sort, parameters.order, tuple(time or "" for time in times))


def _given(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value
