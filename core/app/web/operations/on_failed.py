"""Dead letters: instances that ended `failed`."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from .....claim.wire import Reason, RetryResults
from ....operations.steering.dead_letters import Filter
from ....orders import Retry
from ....principal import Principal
from ..parameters import DURATION_PATTERN, Duration, duration_ms
from ..surface import Reply, Surface

RETRIED_MAX = 1_000
"""So many instances are brought back in one request."""

_LISTED = 100

Workflow = Annotated[str, Meta(min_length=1, max_length=1024, description="Of this workflow only.")]
Since = Annotated[Duration, Meta(description="That failed no longer ago than this.")]
ErrorType = Annotated[str, Meta(min_length=1, max_length=256, description="That failed with this error type.")]
Label = Annotated[
    str,
    Meta(
        pattern="^[^=]{1,128}=.{0,1024}$",
        description="That have this label.",
        extra_json_schema={"x-allowed": "a label as key=value", "examples": ["team=soc"]},
    ),
]
SinceInBody = Annotated[str, Meta(pattern=DURATION_PATTERN, description="That failed no longer ago than this.")]
LabelInBody = Annotated[str, Meta(pattern="^[^=]{1,128}=.{0,1024}$", description="That have this label: `key=value`.")]


class FailedParameters(Struct, frozen=True):
    workflow: Workflow | UnsetType = UNSET
    since: Since | UnsetType = UNSET
    error_type: ErrorType | UnsetType = UNSET
    label: Label | UnsetType = UNSET
    after: (
        Annotated[str, Meta(min_length=1, max_length=2048, description="The `next` of the page before.")] | UnsetType
    ) = UNSET
    size: Annotated[int, Meta(ge=1, le=1_000, description="Instances on one page, 100 by default.")] | UnsetType = UNSET


class FailedRetryBody(Struct, frozen=True, omit_defaults=True):
    """Which dead letters to bring back, by the filters of the list, and how, as `_retry` takes it.

    At most `max` are taken, the newest first. `params` change single params of each.
    """

    workflow: Workflow | None = None
    since: SinceInBody | None = None
    error_type: ErrorType | None = None
    label: LabelInBody | None = None
    max: Annotated[int, Meta(ge=1, le=RETRIED_MAX)] = 100
    from_start: bool = False
    params: dict[str, Any] | None = None
    reason: Reason | None = None


async def failed(surface: Surface, principal: Principal, parameters: FailedParameters, body: None) -> Reply:
    """One page of the dead letters, newest first."""
    which = _filter(surface, parameters.workflow, parameters.since, parameters.error_type, parameters.label)
    after = None if parameters.after is UNSET else parameters.after
    size = _LISTED if parameters.size is UNSET else parameters.size
    return Reply(200, await surface.replica.failed(principal, which, after=after, size=size))


async def retry_failed(
    surface: Surface, principal: Principal, parameters: Struct, body: FailedRetryBody | None
) -> Reply:
    """Bring dead letters back; each has its own result."""
    given = body or FailedRetryBody()
    which = _filter(surface, given.workflow, given.since, given.error_type, given.label)
    order = Retry(from_start=given.from_start, params=given.params, reason=given.reason)
    results = await surface.replica.retry_failed(principal, which, at_most=given.max, order=order)
    return Reply(200, RetryResults(results))


def _filter(
    surface: Surface,
    workflow: str | UnsetType | None,
    since: str | UnsetType | None,
    error_type: str | UnsetType | None,
    label: str | UnsetType | None,
) -> Filter:
    since_ms = surface.replica.now_ms() - duration_ms(since) if isinstance(since, str) else None
    return Filter(workflow or None, since_ms, error_type or None, label or None)
