"""What executors ask: claims and reports."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from .....claim.wire import (
    ClaimedStep,
    ClaimedSteps,
    CompleteBody,
    FailBody,
    HeartbeatBody,
    StepReportResults,
    StepReports,
    Violation,
)
from ....errors import InvalidRequest, Unavailable
from ....principal import Principal
from ..parameters import Duration, NoParameters, duration_ms
from ..surface import Reply, Surface

Capabilities = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}(,[A-Za-z0-9][A-Za-z0-9._:-]{0,127}){0,63}$",
        extra_json_schema={
            "x-allowed": "1 to 64 capabilities separated by commas, such as es-query,render",
            "examples": ["es-query,render"],
        },
    ),
]
StepId = Annotated[str, Meta(min_length=1, max_length=1024, description="A lease, as its claim named it.")]


class ClaimParameters(Struct, frozen=True):
    capability: Annotated[Capabilities, Meta(description="What the executor can do; the first ready step of any wins.")]
    lease: (
        Annotated[Duration, Meta(description="How long each lease lasts until a heartbeat. Default 30s.")] | UnsetType
    ) = UNSET
    wait: (
        Annotated[
            Duration,
            Meta(
                description="How long to wait for a first step, 60s at most (more is cut short). Default: not at all."
            ),
        ]
        | UnsetType
    ) = UNSET
    max: (
        Annotated[int, Meta(ge=1, le=10_000, description="How many steps at most; the answer is then a list.")]
        | UnsetType
    ) = UNSET
    worker: Annotated[str, Meta(max_length=256, description="The executor's own name, for views and history.")] = ""
    request_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=128,
                description="Names this request: a repeat under the same one gets the same leases.",
            ),
        ]
        | UnsetType
    ) = UNSET


class LeaseParameters(Struct, frozen=True):
    id: StepId


async def claim(surface: Surface, principal: Principal, parameters: ClaimParameters, body: None) -> Reply:
    """Lease ready steps, waiting for a first one as long as the caller allows."""
    if surface.stopping:
        raise Unavailable("this replica is stopping; ask another one")
    limits = surface.limits
    lease_ms = limits.lease_default_ms if parameters.lease is UNSET else duration_ms(parameters.lease)
    if not 0 < lease_ms <= limits.lease_max_ms:
        raise _beyond("lease", f"{lease_ms} ms", f"1 to {limits.lease_max_ms} ms")
    max_steps = 1 if parameters.max is UNSET else parameters.max
    if max_steps > limits.claim_max_steps:
        raise _beyond("max", str(max_steps), f"1 to {limits.claim_max_steps}")
    steps: list[ClaimedStep] | None = await surface.interruptible(
        surface.replica.claim(
            principal,
            tuple(dict.fromkeys(parameters.capability.split(","))),
            max_steps=max_steps,
            lease_ms=lease_ms,
            wait_ms=0 if parameters.wait is UNSET else min(duration_ms(parameters.wait), limits.wait_max_ms),
            worker=parameters.worker,
            request_id=None if parameters.request_id is UNSET else parameters.request_id,
        )
    )

    async def give_back() -> None:
        # Under a request id the client may be asking again at this moment, and is to get these very leases.
        if steps and parameters.request_id is UNSET:
            await surface.replica.release_all(principal, steps)

    if parameters.max is not UNSET:
        return Reply(200, ClaimedSteps(steps or []), undelivered=give_back)
    return Reply(200, steps[0], undelivered=give_back) if steps else Reply(204)


def _beyond(name: str, found: str, allowed: str) -> InvalidRequest:
    detail = f"the query parameter {name} is {found}; this server allows {allowed}"
    return InvalidRequest(detail, [Violation(path=f"query.{name}", message=detail, found=found, allowed=allowed)])


async def complete(
    surface: Surface, principal: Principal, parameters: LeaseParameters, body: CompleteBody | None
) -> Reply:
    return Reply(200, await surface.replica.complete(principal, parameters.id, body or CompleteBody()))


async def fail(surface: Surface, principal: Principal, parameters: LeaseParameters, body: FailBody) -> Reply:
    return Reply(200, await surface.replica.fail(principal, parameters.id, body))


async def heartbeat(
    surface: Surface, principal: Principal, parameters: LeaseParameters, body: HeartbeatBody | None
) -> Reply:
    return Reply(200, await surface.replica.heartbeat(principal, parameters.id, body or HeartbeatBody()))


async def release(surface: Surface, principal: Principal, parameters: LeaseParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.release(principal, parameters.id))


async def report_many(surface: Surface, principal: Principal, parameters: NoParameters, body: StepReports) -> Reply:
    return Reply(200, StepReportResults(await surface.replica.report_many(principal, body.reports)))
