"""Examines an installation, from the replica that is asked; repairs, where that is asked for, what can be repaired."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from ....claim.wire.doctor import DoctorView, Finding
from ....ilm import IlmError
from ...engine import Engine
from ...errors import LeaseholdError, StoreRejected
from ...history_rows import ActionFields, AuditRow, SourceFields, UserFields
from ...peers import Peers
from ...principal import EVERY_SPACE, EVERY_TENANT, Principal
from . import ageing, chains, cluster, definitions, lanes, leftovers, replicas
from .found import Found, Repair
from .indices import LaneEntry, judge_aliases, judge_indices
from .templates import judge_mappings, judge_templates

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[Sequence[Found]]]
_NOT_REACHED = "this could not be found out"


class Doctor:
    """Any replica's. What each check costs is a few searches; none takes anything from whoever works."""

    def __init__(self, engine: Engine, peers: Peers) -> None:
        self._engine = engine
        self._peers = peers
        self._checks: dict[str, Check] = {
            "templates": self._templates,
            "mappings": self._mappings,
            "indices": self._indices,
            "aliases": self._aliases,
            "lanes": lambda: lanes.check(engine),
            "definitions": lambda: definitions.check(engine),
            "replicas": self._answers,
            "clocks": self._clocks,
            "history_lag": self._lag,
            "ageing": lambda: ageing.check(engine),
            "audit": lambda: chains.check(engine),
            "quotas": lambda: leftovers.check_quotas(engine),
            "orphans": lambda: leftovers.check_orphans(engine),
        }

    async def examine(
        self, principal: Principal, *, fix: bool = False, only: Collection[str] | None = None
    ) -> DoctorView:
        """What disagrees now; with `fix`, what has been put right and what was left, and why. Never raises for one."""
        checks = [name for name in self._checks if only is None or name in only]
        findings: list[Finding] = []
        for name in checks:
            findings += await self._examine(principal, name, fix)
        return DoctorView(
            replica=self._engine.replica_id,
            at_ms=self._engine.clock.now_ms(),
            healthy=all(one.fixed for one in findings),
            checks=checks,
            findings=findings,
        )

    async def _examine(self, principal: Principal, name: str, fix: bool) -> list[Finding]:
        try:
            found = await self._checks[name]()
        except (LeaseholdError, IlmError) as error:
            what = f"Check {name} could not be made: {error}"
            way_out = "Is Elasticsearch well, and may its user ask that? Then ask again."
            found = [Found(severity="error", what=what, way_out=way_out, left=_NOT_REACHED)]
        return [await self._told(principal, name, one, fix) for one in found]

    async def _told(self, principal: Principal, name: str, found: Found, fix: bool) -> Finding:
        finding = Finding(
            check=name,
            severity=found.severity,
            what=found.what,
            way_out=found.way_out,
            fixable=found.repair is not None,
        )
        if not fix:
            return finding
        if found.repair is None:
            return msgspec.structs.replace(finding, left=found.left)
        try:
            await self._carry_out(found.repair)
        except (LeaseholdError, IlmError) as error:
            log.warning("doctor.not_fixed", check=name, what=found.what, error=str(error))
            return msgspec.structs.replace(finding, left=f"it did not work: {error}")
        log.info("doctor.fixed", check=name, what=found.what, done=found.repair.done)
        return await self._looked_again(principal, finding, found.repair)

    async def _looked_again(self, principal: Principal, finding: Finding, repair: Repair) -> Finding:
        """A repair counts only once what it was made for is found no more; it leaves its row in any case."""
        still = any(one.what == finding.what for one in await self._checks[finding.check]())
        left = "it takes a moment: ask again; the way out says what else there is" if still else None
        try:
            await self._record(principal, finding, repair)
        except LeaseholdError as error:
            left = f"its row in the audit trail is not written yet: {error}"
        return msgspec.structs.replace(finding, fixed=not still, done=repair.done, left=left)

    async def _carry_out(self, repair: Repair) -> None:
        for one in repair.requests:
            status, answer = await self._engine.store.request(one.method, one.path, one.body)
            if status >= 300:
                error_type, reason = cluster.error_of(answer)
                # Somebody else was faster: the index is there.
                if error_type != "resource_already_exists_exception":
                    raise StoreRejected(f"{one.method} {one.path}: {error_type} {reason}", status, error_type)
        if repair.act is not None:
            await repair.act()

    async def _record(self, principal: Principal, finding: Finding, repair: Repair) -> None:
        """The row that says who had what repaired. Raises: Unavailable."""
        engine, now_ms = self._engine, self._engine.clock.now_ms()
        row = AuditRow(
            timestamp=datetime.fromtimestamp(now_ms / 1_000, UTC),
            event=ActionFields("doctor_fix", "success"),
            user=UserFields(principal.name, principal.roles, principal.tenant, principal.spaces),
            source=SourceFields(principal.address) if principal.address else None,
            tenant=EVERY_TENANT,
            space=EVERY_SPACE,
            details={"check": finding.check, "found": finding.what, "done": repair.done},
        )
        await engine.trail.write(f"doctor:{now_ms}:{engine.random.getrandbits(64):016x}", msgspec.json.encode(row))

    # Checks that share what they gather

    async def _cluster(self) -> cluster.ClusterFacts:
        return await cluster.gather(self._engine.store.request, self._engine.names)

    async def _templates(self) -> list[Found]:
        return judge_templates(await self._cluster())

    async def _mappings(self) -> list[Found]:
        return judge_mappings(await self._cluster())

    async def _aliases(self) -> list[Found]:
        return judge_aliases(await self._cluster())

    async def _indices(self) -> list[Found]:
        control = self._engine.control
        entries = {}
        for lane in control.registry.lanes:
            lease = control.lease(lane)
            leaving = control.state(lane) in ("drained", "removing")
            # Without its lease nobody knows whether somebody has owned it.
            entries[lane] = LaneEntry(1 if lease is None else lease.epoch, leaving)
        return judge_indices(await self._cluster(), entries)

    async def _clocks(self) -> list[Found]:
        return replicas.judge_clocks(await replicas.hear(self._engine, self._peers))

    async def _answers(self) -> list[Found]:
        return replicas.judge_answers(await replicas.hear(self._engine, self._peers))

    async def _lag(self) -> list[Found]:
        history = self._engine.settings.history
        heard = await replicas.hear(self._engine, self._peers)
        return replicas.judge_lag(heard, max_records=history.lag_max_records, max_ms=history.lag_max_ms)
