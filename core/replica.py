"""One scheduler process: its lanes, and what the HTTP surface asks of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from ..claim.wire import (
    Acknowledged,
    CallsView,
    ClaimedStep,
    CompleteBody,
    DecisionBody,
    DefinitionList,
    DefinitionStored,
    DefinitionView,
    Explanation,
    FailBody,
    FailedList,
    HeartbeatAnswer,
    HeartbeatBody,
    InstanceView,
    RecordingList,
    RecordingView,
    ReplayView,
    RetryResult,
    StartAnswer,
    StartBody,
    StartItem,
    StartResult,
    StepReport,
    StepReportResult,
)
from ..claim.wire.audit import AuditPage
from ..claim.wire.doctor import DoctorView
from ..claim.wire.lifecycle import LifecycleView, PolicyChanged, PolicyView
from ..claim.wire.search import InstanceList
from ..claim.wire.tenants import TenantList, TenantView
from ..claim.wire.usage import UsageView
from ..claim.wire.versions import ActivateBody, CanaryBody, MigrateBody, MigrationResults, RollbackBody, VersionsView
from .access import Refusal
from .engine import Engine
from .es.audit_rows import AuditFilter
from .operations.claiming.claims import Claims
from .operations.claiming.executors import Executors
from .operations.claiming.reports import Reports
from .operations.doctor.doctor import Doctor
from .operations.for_peers import PeerService
from .operations.lanes import Lanes, LaneView
from .operations.lifecycle import Ageing
from .operations.looking.audit import Audit
from .operations.looking.calls import Calls
from .operations.looking.explain import Explain
from .operations.looking.reads import Reads
from .operations.looking.recordings import Recordings
from .operations.searching.search import Search
from .operations.searching.tokens import Asked
from .operations.starting.starts import Starts
from .operations.steering.dead_letters import DeadLetters, Filter
from .operations.steering.steering import Steering
from .operations.tenancy.documents import TenantDocuments
from .operations.tenancy.usage import By, UsageReports
from .operations.versioning.migrations import Migrations
from .operations.versioning.versions import Versions
from .orders import AnyOrder, Cancel, Decide, Retry, Terminate
from .peers import AnyPeerRequest, PeerAnswer, Peers
from .principal import Principal


class ReplicaView(Struct, frozen=True, omit_defaults=True):
    """One replica as the control index names it."""

    replica: str
    address: str
    started_at_ms: int
    lanes: list[str]
    me: bool = False


class Replica:
    """Owns lanes and answers for them. Every method is bound to the principal's tenant: the rest is not found.

    Raises, besides what each method names: Unavailable (no lane is owned here, or the store does not answer).
    An answer means that its effect stands in Elasticsearch.
    """

    def __init__(self, engine: Engine, peers: Peers) -> None:
        self._engine = engine
        self._reads = Reads(engine)
        self._starts = Starts(engine, self._reads, peers)
        executors = Executors(engine.clock)
        self._claims = Claims(engine, peers, executors)
        self._explain = Explain(engine, self._reads, peers, executors)
        self._reports = Reports(engine, self._reads, peers)
        self._steering = Steering(engine, self._reads, peers)
        self._calls = Calls(engine, self._reads)
        self._recordings = Recordings(engine, self._reads)
        self._dead_letters = DeadLetters(engine, self._steering)
        self._search = Search(engine)
        self._lanes = Lanes(engine)
        self._audit = Audit(engine)
        self._ageing = Ageing(engine)
        self._doctor = Doctor(engine, peers)
        self._versions = Versions(engine)
        self._tenants = TenantDocuments(engine)
        self._usage = UsageReports(engine)
        self._migrations = Migrations(engine, self._reads, peers)
        self._for_peers = PeerService(engine, self._reads, self._claims, self._explain)
        engine.serve_claims = self._claims.match
        engine.owners_changed = self._claims.owners_changed

    async def put_definition(
        self, principal: Principal, name: str, source: bytes, *, activate: bool = True
    ) -> DefinitionStored:
        """Store a definition version and, unless told not to, make it the active one.

        Raises: InvalidRequest with violations; Conflict when the version is stored with other content.
        """
        return await self._engine.catalog.put(principal, name, source, activate=activate)

    async def get_definition(self, principal: Principal, name: str, version: int | None) -> DefinitionView:
        """Raises: NotFound."""
        return await self._engine.catalog.view(principal, name, version)

    async def list_definitions(self, principal: Principal) -> DefinitionList:
        """The active definitions that the principal may start."""
        return await self._engine.catalog.list(principal)

    async def delete_definition(self, principal: Principal, name: str) -> None:
        """Take the name out of use: later starts get NotFound; running instances go on with their stored version."""
        await self._engine.catalog.delete(principal, name)

    async def versions(self, principal: Principal, name: str) -> VersionsView:
        """The versions of a name, also of one that is out of use, and what happened to them. Raises: NotFound."""
        return await self._versions.all(principal, name)

    async def activate_version(self, principal: Principal, name: str, body: ActivateBody) -> VersionsView:
        """Make a stored version the active one. Raises: NotFound; VersionConflict when another became it meanwhile."""
        return await self._versions.activate(principal, name, body)

    async def roll_back_version(self, principal: Principal, name: str, body: RollbackBody) -> VersionsView:
        """Make the version active that was active before.

        Raises: NotFound; InvalidRequest when there is none; VersionConflict when another was made active meanwhile.
        """
        return await self._versions.roll_back(principal, name, body)

    async def begin_canary(self, principal: Principal, name: str, body: CanaryBody) -> VersionsView:
        """Give a version to some of the starts. Raises: NotFound; InvalidRequest; VersionConflict."""
        return await self._versions.begin_canary(principal, name, body)

    async def end_canary(self, principal: Principal, name: str) -> VersionsView:
        """No start gets the canary any more; where there is none, nothing changes. Raises: NotFound."""
        return await self._versions.end_canary(principal, name)

    async def migrate(self, principal: Principal, name: str, body: MigrateBody) -> MigrationResults:
        """Let live instances go on under another version where their past would have been the same under it.

        Raises: NotFound for the name and its versions; InvalidRequest. What is done when it raises stays done; a repeat
        goes on with the rest.
        """
        return await self._migrations.migrate(principal, name, body)

    async def start(
        self, principal: Principal, name: str, body: StartBody, *, idempotency_key: str | None, traceparent: str | None
    ) -> tuple[StartAnswer, bool]:
        """Start an instance; the flag is false when the key had started it before.

        Raises: NotFound; InvalidRequest with every violation of the inputs; Conflict (another request under that
        key); PayloadTooLarge; QuotaExceeded.
        """
        return await self._starts.start(principal, name, body, key=idempotency_key, traceparent=traceparent)

    async def start_many(
        self, principal: Principal, starts: list[StartItem], *, traceparent: str | None
    ) -> list[StartResult]:
        """Start many, in one group write a lane; each has its own result."""
        return await self._starts.start_many(principal, starts, traceparent=traceparent)

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
        return await self._claims.claim(
            principal,
            capabilities,
            max_steps=max_steps,
            lease_ms=lease_ms,
            wait_ms=wait_ms,
            worker=worker,
            request_id=request_id,
        )

    async def complete(self, principal: Principal, step_id: str, body: CompleteBody) -> Acknowledged:
        """Raises: LeaseLost; NotFound; PayloadTooLarge."""
        return _acknowledged(await self._reports.report(principal, step_id, body))

    async def fail(self, principal: Principal, step_id: str, body: FailBody) -> Acknowledged:
        """Raises: LeaseLost; NotFound."""
        return _acknowledged(await self._reports.report(principal, step_id, body))

    async def heartbeat(self, principal: Principal, step_id: str, body: HeartbeatBody) -> HeartbeatAnswer:
        """Raises: LeaseLost; NotFound."""
        answer = await self._reports.report(principal, step_id, body)
        assert isinstance(answer, HeartbeatAnswer)
        return answer

    async def release(self, principal: Principal, step_id: str) -> Acknowledged:
        """Raises: LeaseLost; NotFound."""
        return _acknowledged(await self._reports.report(principal, step_id, None))

    async def report_many(self, principal: Principal, reports: list[StepReport]) -> list[StepReportResult]:
        """Complete, fail, renew or release many, in one group write a lane; each has its own result."""
        return await self._reports.report_many(principal, reports)

    async def release_all(self, principal: Principal, steps: Sequence[ClaimedStep]) -> None:
        """Give back leases whose answer could not be delivered. Leases that have ended meanwhile are no error."""
        await self.report_many(principal, [StepReport(step.step_id, "release") for step in steps])

    async def instance(self, principal: Principal, instance_id: str) -> InstanceView:
        """The instance as the store holds it, live or finished. Raises: NotFound."""
        return await self._reads.view(principal, instance_id)

    async def decide(
        self, principal: Principal, instance_id: str, *, approved: bool, step: str | None, body: DecisionBody
    ) -> InstanceView:
        """Approve or reject. Raises: as `steer`; InvalidRequest when the form does not fit; Forbidden.

        Conflict: no approval is open, or several and none named.
        """
        return await self.steer(
            principal, instance_id, Decide(approved=approved, step=step, comment=body.comment, form=body.form)
        )

    async def cancel(self, principal: Principal, instance_id: str, reason: str | None) -> InstanceView:
        """Raises: as `steer`; Conflict when it has ended otherwise."""
        return await self.steer(principal, instance_id, Cancel(reason=reason))

    async def terminate(self, principal: Principal, instance_id: str, reason: str | None) -> InstanceView:
        """Raises: as `steer`; Conflict when it has ended otherwise."""
        return await self.steer(principal, instance_id, Terminate(reason=reason))

    async def steer(self, principal: Principal, instance_id: str, order: AnyOrder) -> InstanceView:
        """Carry an order out: the instance after it. A harmless repeat is answered alike.

        Raises: NotFound; Conflict when it does not apply to the instance as it is; InvalidRequest; PayloadTooLarge.
        """
        return await self._steering.steer(principal, instance_id, order)

    async def explain(self, principal: Principal, instance_id: str) -> Explanation:
        """Why the instance waits, cause by cause. Raises: NotFound."""
        return await self._explain.why(principal, instance_id)

    async def calls(self, principal: Principal, instance_id: str, step: str | None) -> CallsView:
        """The calls that were reported of the instance's attempts, or of one step's. Raises: NotFound."""
        return await self._calls.of(principal, instance_id, step)

    async def recording(self, principal: Principal, instance_id: str) -> RecordingView:
        """All that a replay of the instance needs. Raises: NotFound."""
        return await self._recordings.view(principal, instance_id)

    async def recordings(self, principal: Principal, name: str, *, size: int, after: str | None) -> RecordingList:
        """Those of the instances of a workflow that have ended, newest first. Raises: InvalidRequest."""
        return await self._recordings.last(principal, name, size=size, after=after)

    async def replay(
        self, principal: Principal, instance_id: str, *, version: int | None = None, source: bytes | None = None
    ) -> ReplayView:
        """The instance's past once more: under its own version, another stored one, or a definition that is given.

        Raises: NotFound; InvalidRequest with violations.
        """
        return await self._recordings.replay(principal, instance_id, version=version, source=source)

    async def failed(self, principal: Principal, which: Filter, *, after: str | None, size: int) -> FailedList:
        """A page of the dead letters that the principal may see, newest first. Raises: InvalidRequest."""
        return await self._dead_letters.page(principal, which, after=after, size=size)

    async def retry_failed(
        self, principal: Principal, which: Filter, *, at_most: int, order: Retry
    ) -> list[RetryResult]:
        """Bring the newest of these dead letters back; each has its own result."""
        return await self._dead_letters.retry(principal, which, at_most=at_most, order=order)

    async def search(self, principal: Principal, asked: Asked, *, size: int, next: str | None) -> InstanceList:
        """A page of the instances that the principal may see, live and finished; `next`: where the one before ended.

        Raises: InvalidRequest for a `next` that is none of this list's; Expired when it is no longer kept.
        """
        return await self._search.page(principal, asked, size=size, next=next)

    def now_ms(self) -> int:
        """Wall time, by this replica's clock."""
        return self._engine.clock.now_ms()

    async def tenants(self, principal: Principal, *, after: str, size: int) -> TenantList:
        """A page of the tenants that have a document, by name; without the role the caller's own."""
        return await self._tenants.page(principal, after=after, size=size)

    async def tenant(self, principal: Principal, tenant: str) -> TenantView:
        """A tenant's document, or the deployment's (`*`), and what this replica obeys. Raises: NotFound."""
        return await self._tenants.view(principal, tenant)

    async def put_tenant(
        self, principal: Principal, tenant: str, source: bytes, *, revision: str | None
    ) -> tuple[TenantView, bool]:
        """Write a tenant's document; the flag says whether there was none before.

        Raises: Forbidden; InvalidRequest with violations; TenantConflict with what stands.
        """
        return await self._tenants.put(principal, tenant, source, revision=revision)

    async def delete_tenant(self, principal: Principal, tenant: str, *, revision: str | None) -> None:
        """Delete a tenant's document: the defaults are in force. Raises: Forbidden; NotFound; TenantConflict."""
        await self._tenants.delete(principal, tenant, revision=revision)

    async def usage(self, principal: Principal, tenant: str, *, since_ms: int, until_ms: int, by: By) -> UsageView:
        """What a tenant has used, by UTC days; `*`: all of them. Raises: NotFound; InvalidRequest."""
        return await self._usage.of(principal, tenant, since_ms=since_ms, until_ms=until_ms, by=by)

    async def lifecycle(self) -> LifecycleView:
        """How history ages, and how far each of its indices is."""
        return await self._ageing.view()

    async def policy(self, family: str) -> PolicyView:
        """The policy in force for a family of history. Raises: NotFound."""
        return await self._ageing.policy(family)

    async def put_policy(
        self, principal: Principal, family: str, source: bytes, *, revision: int | None, yes: bool
    ) -> PolicyChanged:
        """Put another policy in force. Raises: NotFound; Forbidden; InvalidRequest with violations.

        Conflict: it stands at another revision, or the audit trail is kept less long by it and not `yes`.
        """
        return await self._ageing.put(principal, family, source, revision=revision, yes=yes)

    async def reset_policy(
        self, principal: Principal, family: str, *, revision: int | None, yes: bool
    ) -> PolicyChanged:
        """Put the default policy in force. Raises: as `put_policy`."""
        return await self._ageing.reset(principal, family, revision=revision, yes=yes)

    async def examine(
        self, principal: Principal, *, fix: bool = False, only: Collection[str] | None = None
    ) -> DoctorView:
        """What disagrees in the installation; with `fix`, after what can be repaired was. `only`: these checks."""
        return await self._doctor.examine(principal, fix=fix, only=only)

    async def audit(self, principal: Principal, which: AuditFilter, *, size: int, next: str | None) -> AuditPage:
        """What the caller may see of the audit trail, the newest first. Raises: InvalidRequest."""
        return await self._audit.page(principal, which, size=size, next=next)

    async def export_audit(self, principal: Principal, next: str | None) -> bytes:
        """A page of the whole trail, as lines that can be verified. Raises: Forbidden; InvalidRequest; Conflict."""
        return await self._audit.export(principal, next)

    async def lanes(self) -> list[LaneView]:
        """Every lane, as this replica last saw its lease."""
        return await self._lanes.all()

    async def add_lanes(self, count: int, *, by: Principal | None = None) -> list[LaneView]:
        """With `by` the audit trail says who wanted it. Raises: InvalidRequest when that would be too many."""
        added = await self._lanes.add(count)
        if by is not None:
            await self._lanes.tell(by, "add_lanes", [view.lane for view in added])
        return added

    async def drain_lane(self, lane: str, *, by: Principal | None = None) -> LaneView:
        """Let the lane take no new instances. Raises: NotFound; Conflict when it is the last one that does."""
        view = await self._lanes.drain(lane)
        if by is not None:
            await self._lanes.tell(by, "drain_lane", [lane])
        return view

    async def remove_lane(self, lane: str, *, early: bool, by: Principal | None = None) -> None:
        """Delete a drained lane. Raises: NotFound; Conflict when it is not drained, or kept and not `early`."""
        await self._lanes.remove(lane, early=early)
        if by is not None:
            await self._lanes.tell(by, "remove_lane", [lane])

    async def replicas(self) -> list[ReplicaView]:
        """The replicas that have signed on."""
        owned: dict[str, list[str]] = {}
        for lease in self._engine.control.leases:
            owned.setdefault(lease.owner or "", []).append(lease.lane)
        return [
            ReplicaView(
                replica=record.replica,
                address=record.address,
                started_at_ms=record.started_at_ms,
                lanes=sorted(owned.get(record.replica, [])),
                me=record.replica == self._engine.replica_id,
            )
            for record in self._engine.control.replicas()
        ]

    def owns_lanes(self) -> bool:
        """Whether a lane of this replica's is loaded and served."""
        return any(lane.open for lane in self._engine.lanes.values())

    def ready(self) -> bool:
        """Whether this replica serves a lane, or knows who does and can pass on: what `/readyz` says."""
        return self.owns_lanes() or bool(self._engine.control.owned_elsewhere())

    def refused(self, principal: Principal, action: str, kind: str, id: str, reason: str) -> None:
        """Note for the trail that the principal was told that it may not do that. Never waits."""
        self._engine.refusals.note(
            Refusal(principal, action, reason, kind, id, principal.tenant, principal.space),
        )

    async def answer_peer(self, request: AnyPeerRequest) -> PeerAnswer:
        """Do what another replica asks, in this one's lanes only; what goes wrong is answered as a problem."""
        return await self._for_peers.answer(request)

    @property
    def peer_secret(self) -> str:
        """What a request must hold to count as a replica's: all replicas of an installation know it."""
        return self._engine.control.peer_secret

    async def leave(self) -> None:
        """Answer every waiting claim with nothing, then hand the lanes over. Takes well under a second; never raises.

        What is asked afterwards is answered with Unavailable. Leaving twice does nothing.
        """
        self._claims.close()
        await self._engine.leave()


def _acknowledged(answer: Acknowledged | HeartbeatAnswer) -> Acknowledged:
    assert isinstance(answer, Acknowledged)
    return answer
