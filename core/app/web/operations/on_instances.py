"""Starting instances, reading them, and deciding about them."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from .....claim.wire import DecisionBody, ReasonBody, RetryBody, SignalBody, StartBody, StartItems, StartResults
from ....errors import Forbidden, InvalidRequest
from ....orders import AnyOrder, Pause, Resume, Retry, Signal, Skip
from ....principal import EVERY_TENANT, Principal
from ...authentication import TENANT_HEADER
from ..surface import Reply, Surface
from .on_definitions import Name

# W3C Trace Context, version 00 and what later versions keep of it. A malformed one is ignored, as that page asks.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII)

Traceparent = Annotated[
    str,
    Meta(
        description="W3C trace context of the caller; executors get it with the claim. A malformed one is ignored.",
        extra_json_schema={"x-header": "traceparent"},
    ),
]
IdempotencyKey = Annotated[
    str,
    Meta(
        pattern="^[!-~]([ -~]{0,1022}[!-~])?$",
        description="A repeat under the same key starts nothing and gets the first instance; another request gets 409.",
        extra_json_schema={
            "x-header": "Idempotency-Key",
            "x-allowed": "1 to 1024 visible ASCII characters",
            "examples": ["order-4711"],
        },
    ),
]


class StartParameters(Struct, frozen=True):
    name: Name
    idempotency_key: IdempotencyKey | UnsetType = UNSET
    traceparent: Traceparent | UnsetType = UNSET


class StartManyParameters(Struct, frozen=True):
    traceparent: Traceparent | UnsetType = UNSET


class InstanceParameters(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=1024, description="The instance's id.")]


class DecisionParameters(InstanceParameters, frozen=True):
    step: (
        Annotated[
            str, Meta(min_length=1, max_length=1024, description="Which step, where several wait for a decision.")
        ]
        | UnsetType
    ) = UNSET


async def start(surface: Surface, principal: Principal, parameters: StartParameters, body: StartBody | None) -> Reply:
    """Start one instance: 201, or 200 for a repeated key."""
    _check_tenant(principal)
    key = parameters.idempotency_key
    answer, created = await surface.replica.start(
        principal,
        parameters.name,
        body or StartBody(),
        idempotency_key=None if key is UNSET else key,
        traceparent=_valid(parameters.traceparent),
    )
    return Reply(201 if created else 200, answer)


async def start_many(
    surface: Surface, principal: Principal, parameters: StartManyParameters, body: StartItems
) -> Reply:
    """Start many; each has its own result, in the order of the request."""
    _check_tenant(principal)
    results = await surface.replica.start_many(principal, body.starts, traceparent=_valid(parameters.traceparent))
    return Reply(200, StartResults(results))


async def get(surface: Surface, principal: Principal, parameters: InstanceParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.instance(principal, parameters.id))


async def approve(
    surface: Surface, principal: Principal, parameters: DecisionParameters, body: DecisionBody | None
) -> Reply:
    return await _decide(surface, principal, parameters, body, approved=True)


async def reject(
    surface: Surface, principal: Principal, parameters: DecisionParameters, body: DecisionBody | None
) -> Reply:
    return await _decide(surface, principal, parameters, body, approved=False)


async def _decide(
    surface: Surface, principal: Principal, parameters: DecisionParameters, body: DecisionBody | None, *, approved: bool
) -> Reply:
    step = None if parameters.step is UNSET else parameters.step
    view = await surface.replica.decide(
        principal, parameters.id, approved=approved, step=step, body=body or DecisionBody()
    )
    return Reply(200, view)


class StepParameters(InstanceParameters, frozen=True):
    step: Annotated[str, Meta(min_length=1, max_length=1024, description="The step's run path.")]


class CallsParameters(InstanceParameters, frozen=True):
    step: (
        Annotated[str, Meta(min_length=1, max_length=1024, description="One step's only, by its run path.")] | UnsetType
    ) = UNSET


class SignalParameters(InstanceParameters, frozen=True):
    name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
            description="The signal's name, as `wait_for_signal` gives it.",
            extra_json_schema={
                "x-allowed": "a letter or digit, then up to 127 letters, digits, dots, colons, hyphens and underscores",
                "examples": ["ticket-closed"],
            },
        ),
    ]


async def cancel(
    surface: Surface, principal: Principal, parameters: InstanceParameters, body: ReasonBody | None
) -> Reply:
    return Reply(200, await surface.replica.cancel(principal, parameters.id, body.reason if body else None))


async def terminate(
    surface: Surface, principal: Principal, parameters: InstanceParameters, body: ReasonBody | None
) -> Reply:
    return Reply(200, await surface.replica.terminate(principal, parameters.id, body.reason if body else None))


async def explain(surface: Surface, principal: Principal, parameters: InstanceParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.explain(principal, parameters.id))


async def calls(surface: Surface, principal: Principal, parameters: CallsParameters, body: None) -> Reply:
    step = None if parameters.step is UNSET else parameters.step
    return Reply(200, await surface.replica.calls(principal, parameters.id, step))


async def pause(
    surface: Surface, principal: Principal, parameters: InstanceParameters, body: ReasonBody | None
) -> Reply:
    return await _steer(surface, principal, parameters, Pause(reason=_reason(body)))


async def resume(
    surface: Surface, principal: Principal, parameters: InstanceParameters, body: ReasonBody | None
) -> Reply:
    return await _steer(surface, principal, parameters, Resume(reason=_reason(body)))


async def skip(surface: Surface, principal: Principal, parameters: StepParameters, body: ReasonBody | None) -> Reply:
    return await _steer(surface, principal, parameters, Skip(step=parameters.step, reason=_reason(body)))


async def retry(
    surface: Surface, principal: Principal, parameters: InstanceParameters, body: RetryBody | None
) -> Reply:
    given = body or RetryBody()
    if given.step is not None and given.from_start:
        raise InvalidRequest("the body names a step and says from_start; give one of them")
    order = Retry(step=given.step, from_start=given.from_start, params=given.params, reason=given.reason)
    return await _steer(surface, principal, parameters, order)


async def signal(
    surface: Surface, principal: Principal, parameters: SignalParameters, body: SignalBody | None
) -> Reply:
    given = body or SignalBody()
    order = Signal(name=parameters.name, payload=given.payload, reason=given.reason)
    return await _steer(surface, principal, parameters, order)


async def _steer(surface: Surface, principal: Principal, parameters: InstanceParameters, order: AnyOrder) -> Reply:
    return Reply(200, await surface.replica.steer(principal, parameters.id, order))


def _reason(body: ReasonBody | None) -> str | None:
    return None if body is None else body.reason


def _valid(traceparent: str | UnsetType) -> str | None:
    if traceparent is UNSET or len(traceparent) > 256 or not _TRACEPARENT.fullmatch(traceparent):
        return None
    return traceparent


def _check_tenant(principal: Principal) -> None:
    if principal.tenant == EVERY_TENANT:
        raise Forbidden(f"the caller acts for every tenant, and an instance belongs to one: name it in {TENANT_HEADER}")
