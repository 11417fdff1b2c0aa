"""One scheduler process: its lanes, and what the HTTP surface asks of them."""

from __future__ import annotations

from msgspec import Struct

from ..claim.wire import (
    Acknowledged,
    ClaimedStep,
    CompleteBody,
    DecisionBody,
    DefinitionList,
    DefinitionStored,
    DefinitionView,
    FailBody,
    HeartbeatAnswer,
    HeartbeatBody,
    InstanceView,
    StartAnswer,
    StartBody,
    StartItem,
    StartResult,
    StepReport,
    StepReportResult,
)
from .principal import Principal


class LaneView(Struct, frozen=True, omit_defaults=True):
    """One lane as this replica sees it. `waiting` counts instances held, `ready` claimable steps, `dirty` unwritten changes."""

    lane: str
    owner: str | None
    epoch: int
    mine: bool
    waiting: int = 0
    ready: int = 0
    dirty: int = 0


class ReplicaView(Struct, frozen=True, omit_defaults=True):
    """One replica as the control index names it."""

    replica: str
    address: str
    started_at_ms: int
    lanes: list[str]
    me: bool = False


class Replica:
    """Owns lanes and answers for them. Every method is bound to the principal's tenant: what it may not see is not found.

    Raises, besides what each method names: Unavailable (no lane is owned here, or the store does not answer).
    An answer means that its effect stands in Elasticsearch.
    """

    async def put_definition(self, principal: Principal, name: str, source: bytes) -> DefinitionStored:
        """Store a definition version and make it the active one.

        Raises: InvalidRequest with violations; Conflict when the version is stored with other content.
        """
        raise NotImplementedError

    async def get_definition(self, principal: Principal, name: str, version: int | None) -> DefinitionView:
        """Raises: NotFound."""
        raise NotImplementedError

    async def list_definitions(self, principal: Principal) -> DefinitionList:
        raise NotImplementedError

    async def delete_definition(self, principal: Principal, name: str) -> None:
        """Take the name out of use: later starts get NotFound; running instances go on with their stored version."""
        raise NotImplementedError

    async def start(
        self, principal: Principal, name: str, body: StartBody, *, idempotency_key: str | None, traceparent: str | None
    ) -> tuple[StartAnswer, bool]:
        """Start an instance; the flag is false when the key had started it before.

        Raises: NotFound; InvalidRequest with every violation of the inputs; Conflict (another request under that
        key); PayloadTooLarge; QuotaExceeded.
        """
        raise NotImplementedError

    async def start_many(
        self, principal: Principal, starts: list[StartItem], *, traceparent: str | None
    ) -> list[StartResult]:
        """Start many, in one group write a lane; each has its own result."""
        raise NotImplementedError

    async def claim(
        self,
        principal: Principal,
        capabilities: tuple[str, ...],
        *,
        max_steps: int,
        lease_ms: int,
        wait_ms: int,
        worker: str,
        request_id: str | None,
    ) -> list[ClaimedStep]:
        """Lease up to `max_steps` ready steps; waits up to `wait_ms` for the first one. Empty: nothing came.

        If the caller is cancelled, what it was about to get is released without using an attempt.
        """
        raise NotImplementedError

    async def complete(self, principal: Principal, step_id: str, body: CompleteBody) -> Acknowledged:
        """Raises: LeaseLost; NotFound; PayloadTooLarge."""
        raise NotImplementedError

    async def fail(self, principal: Principal, step_id: str, body: FailBody) -> Acknowledged:
        """Raises: LeaseLost; NotFound."""
        raise NotImplementedError

    async def heartbeat(self, principal: Principal, step_id: str, body: HeartbeatBody) -> HeartbeatAnswer:
        """Raises: LeaseLost; NotFound."""
        raise NotImplementedError

    async def release(self, principal: Principal, step_id: str) -> Acknowledged:
        """Raises: LeaseLost; NotFound."""
        raise NotImplementedError

    async def report_many(self, principal: Principal, reports: list[StepReport]) -> list[StepReportResult]:
        """Complete, fail, renew or release many, in one group write a lane; each has its own result."""
        raise NotImplementedError

    async def instance(self, principal: Principal, instance_id: str) -> InstanceView:
        """The instance as the store holds it, live or finished. Raises: NotFound."""
        raise NotImplementedError

    async def decide(
        self, principal: Principal, instance_id: str, *, approved: bool, step: str | None, body: DecisionBody
    ) -> InstanceView:
        """Approve or reject. Raises: NotFound; Conflict (no approval is open, or several and none named); Forbidden."""
        raise NotImplementedError

    async def cancel(self, principal: Principal, instance_id: str, reason: str | None) -> InstanceView:
        """Raises: NotFound; Conflict when it has ended otherwise."""
        raise NotImplementedError

    async def terminate(self, principal: Principal, instance_id: str, reason: str | None) -> InstanceView:
        """Raises: NotFound; Conflict when it has ended otherwise."""
        raise NotImplementedError

    async def lanes(self) -> list[LaneView]:
        raise NotImplementedError

    async def replicas(self) -> list[ReplicaView]:
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether this replica owns a lane and may answer: what `/readyz` says."""
        raise NotImplementedError
