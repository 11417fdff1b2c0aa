"""Doing what another replica asks for, in this one's lanes only: nothing is passed on a second time."""

from __future__ import annotations

from ..engine import Engine
from ..errors import LeaseholdError
from ..peers import (
    AnyPeerRequest,
    ClaimAt,
    ExplainAt,
    LeaveAt,
    LookAt,
    MigrateAt,
    NoPeers,
    PeerAnswer,
    QuotaAt,
    ReportAt,
    SeenAt,
    ServedAt,
    StartAt,
    StartManyAt,
    SteerAt,
    Vitals,
    VitalsAt,
)
from ..problems import problem_of
from .claiming.claims import Claims
from .claiming.reports import Reports
from .looking.explain import Explain
from .looking.reads import Reads
from .starting.starts import Starts
from .steering.steering import Steering
from .versioning.migrating import Migrating


class PeerService:
    """Answers peers. Its operations know no peers, so a request for a lane that has moved on is a problem."""

    def __init__(self, engine: Engine, reads: Reads, claims: Claims, explain: Explain) -> None:
        alone = NoPeers()
        self._engine = engine
        self._starts = Starts(engine, reads, alone)
        self._reports = Reports(engine, reads, alone)
        self._steering = Steering(engine, reads, alone)
        self._migrating = Migrating(engine, reads)
        self._claims = claims
        self._explain = explain

    async def answer(self, request: AnyPeerRequest) -> PeerAnswer:
        try:
            return await self._answer(request)
        except LeaseholdError as error:
            return PeerAnswer(problem=problem_of(error))

    async def _answer(self, request: AnyPeerRequest) -> PeerAnswer:
        principal = request.principal
        if isinstance(request, LookAt):
            self._engine.look_now()
            return PeerAnswer()
        if isinstance(request, QuotaAt):
            self._engine.shares.look_at(request.quotas)
            return PeerAnswer()
        if isinstance(request, ServedAt):
            self._engine.served_elsewhere.heard(request.served)
            return PeerAnswer()
        if isinstance(request, VitalsAt):
            return PeerAnswer(vitals=self._vitals())
        if isinstance(request, ReportAt):
            return PeerAnswer(reports=await self._reports.report_many(principal, request.reports))
        if isinstance(request, ClaimAt):
            return PeerAnswer(steps=await self._claims.claim_for_peer(request))
        if isinstance(request, LeaveAt):
            self._claims.leave_for_peer(request.ask_id)
            return PeerAnswer()
        if isinstance(request, StartAt):
            start, created = await self._starts.start(
                principal, request.name, request.body, key=request.key, traceparent=request.traceparent
            )
            return PeerAnswer(start=start, created=created)
        if isinstance(request, StartManyAt):
            starts = await self._starts.start_many(principal, request.starts, traceparent=request.traceparent)
            return PeerAnswer(starts=starts)
        if isinstance(request, ExplainAt):
            return PeerAnswer(explanation=await self._explain.here(principal, request.instance_id))
        if isinstance(request, SeenAt):
            return PeerAnswer(seen=self._explain.seen(request.capabilities, principal.tenant))
        if isinstance(request, MigrateAt):
            return PeerAnswer(migrations=await self._migrating.migrate(request))
        assert isinstance(request, SteerAt)
        return PeerAnswer(instance=await self._steering.steer(principal, request.instance_id, request.order))

    def _vitals(self) -> Vitals:
        history = self._engine.history
        return Vitals(self._engine.clock.now_ms(), history.lag_records, history.lag_ms)
