"""What replicas ask of each other: what an instance's owner must do, and work for executors that wait elsewhere.

A request holds the principal that the asking replica has authenticated; the one asked does it in its own lanes and
passes it on to nobody. Bodies are JSON, tagged by `op`, sent by whatever implements `Peers` (HTTP in `core.app.peers`).
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from ..claim.wire import (
    ClaimedStep,
    Explanation,
    InstanceView,
    Problem,
    StartAnswer,
    StartBody,
    StartItem,
    StartResult,
    StepReport,
    StepReportResult,
)
from ..claim.wire.versions import MigrationResult
from ..tenancy.quotas import Quota
from .errors import LeaseholdError, Unavailable
from .orders import AnyOrder
from .principal import Principal


class PeerRequest(Struct, frozen=True, tag_field="op"):
    """Root of the requests between replicas."""

    principal: Principal


class ReportAt(PeerRequest, frozen=True, tag="report"):
    reports: list[StepReport]


class StartAt(PeerRequest, frozen=True, tag="start"):
    name: str
    body: StartBody
    key: str | None
    traceparent: str | None


class StartManyAt(PeerRequest, frozen=True, tag="start_many"):
    starts: list[StartItem]
    traceparent: str | None


class ClaimAt(PeerRequest, frozen=True, tag="claim"):
    capabilities: tuple[str, ...]
    max_steps: int
    lease_ms: int
    wait_ms: int
    worker: str
    ask_id: str


class LeaveAt(PeerRequest, frozen=True, tag="leave"):
    """The claim that was asked for under this id waits no longer: answer it with what it has, which may be nothing."""

    ask_id: str


class SteerAt(PeerRequest, frozen=True, tag="steer"):
    """Carry out what the principal orders."""

    instance_id: str
    order: AnyOrder


class ExplainAt(PeerRequest, frozen=True, tag="explain"):
    """Why an instance of the peer's lanes waits."""

    instance_id: str


class SeenAt(PeerRequest, frozen=True, tag="seen"):
    """Which workers asked the peer for work of these capabilities in the last minute, for the principal's tenant."""

    capabilities: list[str]


class MigrateAt(PeerRequest, frozen=True, tag="migrate"):
    """Let these live instances of a workflow go on under another version, as far as their past allows it.

    `found`: they were searched for, not named; shares of items among them are left out of the answer.
    """

    name: str
    instance_ids: list[str]
    from_version: int
    to_version: int
    dry_run: bool
    found: bool = False


class ServedAt(PeerRequest, frozen=True, tag="served"):
    """What tenants were charged at the asking replica since it told last, by capability and tenant."""

    served: dict[str, dict[str, float]]


class LookAt(PeerRequest, frozen=True, tag="look"):
    """The control index holds something new, such as lanes that were given back: look at it now."""


class QuotaAt(PeerRequest, frozen=True, tag="quota"):
    """Units of these quotas are sought from the peer's lanes, or were given to them: look at their documents now."""

    quotas: list[Quota]


class VitalsAt(PeerRequest, frozen=True, tag="vitals"):
    """What time it is by the peer's clock, and how far its history lags."""


AnyPeerRequest = (
    ReportAt
    | StartAt
    | StartManyAt
    | ClaimAt
    | LeaveAt
    | SteerAt
    | ExplainAt
    | SeenAt
    | MigrateAt
    | LookAt
    | QuotaAt
    | ServedAt
    | VitalsAt
)


class Vitals(Struct, frozen=True):
    """`now_ms` by the wall clock. `lag_records` wait to be confirmed in history, the oldest for `lag_ms`."""

    now_ms: int
    lag_records: int
    lag_ms: int


class PeerAnswer(Struct, frozen=True, omit_defaults=True):
    """What a peer answers: the one field that its request asks for, or a problem."""

    problem: Problem | None = None
    reports: list[StepReportResult] | None = None
    start: StartAnswer | None = None
    created: bool = False
    starts: list[StartResult] | None = None
    steps: list[ClaimedStep] | None = None
    instance: InstanceView | None = None
    explanation: Explanation | None = None
    seen: dict[str, list[str]] | None = None
    migrations: list[MigrationResult] | None = None
    vitals: Vitals | None = None


class Relayed(LeaseholdError):
    """A peer refused what was passed on to it; `problem` is its own account."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after_s = problem.retry_after_s


class Peers(Protocol):
    """The way to other replicas."""

    async def ask(self, address: str, request: AnyPeerRequest) -> PeerAnswer:
        """Raises: Relayed with the peer's problem; Unavailable when it does not answer (it may have done it)."""
        ...


class NoPeers:
    """A replica that passes nothing on. Implements `Peers`."""

    async def ask(self, address: str, request: AnyPeerRequest) -> PeerAnswer:
        raise Unavailable(f"the owner is at {address}; ask again")
