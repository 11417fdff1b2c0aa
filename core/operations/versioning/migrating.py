"""Live instances of this replica's lanes go on under another version, where a replay proves the past the same."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Raw

from ....claim.wire import ReplayDifference
from ....claim.wire.versions import MigrationResult
from ....definitions.plan import Foreach, Plan
from ...engine import Engine
from ...history_records import AuditRecord
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...lanes.tickets import Ticket
from ...machine.events import Migrated
from ...machine.migration import carried_over
from ...machine.state import Instance, InstanceStatus
from ...peers import MigrateAt
from ...principal import Principal
from ...replay import Replayed, compare
from ..looking.reads import Final, Reads
from ..looking.recordings import Recordings

# Something may happen to an instance while history is read.
_READINGS = 10
# A longer past is replayed in a thread: some 100 ms would hold up everybody else.
_EVENTS_AT_ONCE = 5_000


class Migrating:
    """The owner's part of a migration."""

    def __init__(self, engine: Engine, reads: Reads) -> None:
        self._engine = engine
        self._recordings = Recordings(engine, reads)

    async def migrate(self, request: MigrateAt) -> list[MigrationResult]:
        """What becomes of each, once it stands. Raises: NotOwner; NotFound for the versions; StoreError."""
        catalog = self._engine.catalog
        head = await catalog.readable_head(request.principal, request.name)
        plan = await catalog.plan(head.tenant, request.name, request.to_version)
        results: list[MigrationResult] = []
        moved: list[tuple[Lane, Resident]] = []
        for instance_id in request.instance_ids:
            result, resident = await self._one(request, instance_id, plan, head.tenant)
            if result is not None:
                results.append(result)
            if resident is not None:
                moved.append((resident.lane, resident))
            # A replay is pure computation: others have their turn between two.
            await asyncio.sleep(0)
        ticket = Ticket(len(moved))
        for slot, (lane, resident) in enumerate(moved):
            lane.answer(resident, ticket, slot, None)
        for outcome in await ticket.wait() if moved else ():
            if isinstance(outcome, BaseException):
                raise outcome
        return results

    async def _one(
        self, request: MigrateAt, instance_id: str, plan: Plan, definition_tenant: str
    ) -> tuple[MigrationResult | None, Resident | None]:
        """The result, and the instance where its next write is to be waited for."""
        for _ in range(_READINGS):
            lane = self._engine.lane_of(instance_id)
            resident = None if lane is None else await lane.residency.fetch(instance_id)
            if lane is None or resident is None or resident.finished or not self._sees(request.principal, resident):
                return MigrationResult(instance_id, "ended", f"no live instance has the id {instance_id!r}"), None
            if resident.instance.version == request.to_version and resident.instance.workflow == request.name:
                return MigrationResult(instance_id, "migrated"), resident
            if request.found and resident.instance.of is not None:
                return None, None
            hindrance = _hindrance(resident, request, definition_tenant)
            if hindrance is not None:
                return MigrationResult(instance_id, "stays", hindrance), None
            replayed = await self._replayed(resident, plan)
            if replayed is not None and lane.open and lane.residents.get(instance_id) is resident:
                return self._decided(lane, resident, replayed, plan, request)
        return MigrationResult(instance_id, "stays", "it changes all the time; ask again"), None

    def _sees(self, principal: Principal, resident: Resident) -> bool:
        return self._engine.access.sees(principal, resident.instance, "migrate")

    async def _replayed(self, resident: Resident, plan: Plan) -> Replayed | None:
        """The instance's past under both versions; None when something has happened to it meanwhile."""
        instance, own = resident.instance, resident.plan
        final = Final(instance, [Raw(entry) for entry in resident.log], resident.log_parts)
        recording = await self._recordings.of(final)
        if len(recording.events) > _EVENTS_AT_ONCE:
            replayed = await asyncio.to_thread(compare, recording, own, plan)
        else:
            replayed = compare(recording, own, plan)
        return replayed if resident.instance is instance else None

    def _decided(
        self, lane: Lane, resident: Resident, replayed: Replayed, plan: Plan, request: MigrateAt
    ) -> tuple[MigrationResult, Resident | None]:
        """Nothing happens between the replay's end and this: what it proves is true of what is moved."""
        if not replayed.same:
            return _stays(resident.id, replayed), None
        if request.dry_run:
            return MigrationResult(resident.id, "would_migrate"), None
        principal, now_ms = request.principal, self._engine.clock.now_ms()
        event = Migrated(now_ms, request.to_version, principal.name)
        lane.exchange(resident, carried_over(resident.instance, replayed.instance), plan, event)
        details = {"from": request.from_version, "to": request.to_version}
        record = AuditRecord(
            "migrate", principal.name, now_ms, principal.roles, details=details, address=principal.address
        )
        lane.records.audit(resident, record)
        return MigrationResult(resident.id, "migrated"), resident


def _hindrance(resident: Resident, request: MigrateAt, definition_tenant: str) -> str | None:
    """Why the instance can't be moved whatever its past; None when it may be."""
    instance = resident.instance
    if instance.of is not None:
        return f"it runs a share of the items of instance {instance.of}; name that one"
    if (instance.workflow, instance.definition_tenant) != (request.name, definition_tenant):
        return f"it runs {instance.workflow!r} of tenant {instance.definition_tenant!r}"
    if instance.version != request.from_version:
        return f"it runs version {instance.version}"
    if instance.status is InstanceStatus.CANCELLING or instance.ending is not None:
        return "it is ending"
    items = _items_under_way(instance, resident.plan)
    return None if items is None else f"items of step {items!r} are under way; ask again when they have ended"


def _items_under_way(instance: Instance, plan: Plan) -> str | None:
    """The run path of a foreach whose children still run: they are instances of the same version."""
    for path, state in instance.steps.items():
        if state.flow is not None and state.flow.children and isinstance(plan.step(path).flow, Foreach):
            return path
    return None


def _stays(instance_id: str, replayed: Replayed) -> MigrationResult:
    if replayed.difference is None:
        missing = ", ".join(replayed.missing)
        return MigrationResult(instance_id, "stays", f"history does not have {missing}, so nothing can be proven")
    found = replayed.difference
    difference = ReplayDifference(**msgspec.structs.asdict(found), message=str(found))
    return MigrationResult(instance_id, "differs", str(found), difference)
