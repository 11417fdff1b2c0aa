"""Claims: ready steps to waiting executors, one lease each, and what becomes of a lease whose asker has gone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine

import structlog

from ....claim.wire import ClaimedStep, StepReport
from ...engine import Engine
from ...errors import LeaseholdError
from ...ids import parse_step_id, step_id
from ...lanes.memory.ready_queue import ReadyStep, Waiter
from ...lanes.memory.resident import Resident
from ...lanes.tickets import Ticket
from ...machine import plain, with_values
from ...machine.events import Released
from ...machine.state import StepStatus
from ...peers import ClaimAt, LeaveAt, Peers, ReportAt
from ...principal import EVERY_TENANT, Principal
from .executors import Executors

log = structlog.get_logger(__name__)

# A retry under the same request id gets the same leases for this long, as far as there is room.
_REMEMBER_S = 10.0
_REMEMBER_REQUESTS = 1_000
# How long leases wait for the retry of an asker that went away before they are released.
_RETRY_GRACE_S = 2.0


class _Claim:
    """One claim under way. `done` holds the steps, once they are leased; `askers` counts who listens."""

    __slots__ = (
        "answered",
        "asked",
        "askers",
        "done",
        "key",
        "lease_ms",
        "principal",
        "timer",
        "until_s",
        "waiter",
        "worker",
    )

    def __init__(
        self,
        key: tuple[str, str] | None,
        principal: Principal,
        waiter: Waiter,
        lease_ms: int,
        wait_ms: int,
        worker: str,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.key = key
        self.principal = principal
        self.waiter = waiter
        self.asked: dict[str, str] = {}
        self.lease_ms = lease_ms
        self.worker = worker
        self.until_s = loop.time() + wait_ms / 1_000
        self.done: asyncio.Future[list[ClaimedStep]] = loop.create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.askers = 0
        self.answered = False


class Claims:
    """One replica's claims. `match` pairs what became ready with who waits, just before a lane writes."""

    def __init__(self, engine: Engine, peers: Peers, executors: Executors) -> None:
        self._engine = engine
        self._executors = executors
        self._peers = peers
        self._for_peers: dict[str, _Claim] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recent: OrderedDict[tuple[str, str], _Claim] = OrderedDict()
        self._waiting: set[_Claim] = set()
        self._closed = False

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
        """As `Replica.claim`."""
        self._executors.saw(capabilities, principal.tenant, worker or principal.name)
        key = None if request_id is None else (f"{principal.tenant}\0{principal.name}", request_id)
        claim = None if key is None else self._recent.get(key)
        if claim is None:
            waiter = Waiter(capabilities, _tenant(principal), max_steps)
            claim = waiter.tag = _Claim(key, principal, waiter, lease_ms, wait_ms, worker or principal.name)
            self._remember(claim)
            self._seek(claim)
            if claim in self._waiting:
                self._ask_peers(claim)
        return await self._listen(claim)

    async def claim_for_peer(self, request: ClaimAt) -> list[ClaimedStep]:
        """A peer's executors wait: lease from this replica's lanes only, until the peer leaves or its time is over."""
        principal = request.principal
        self._executors.saw(request.capabilities, principal.tenant, request.worker or principal.name)
        waiter = Waiter(request.capabilities, _tenant(principal), request.max_steps)
        claim = waiter.tag = _Claim(None, principal, waiter, request.lease_ms, request.wait_ms, request.worker)
        self._for_peers[request.ask_id] = claim
        try:
            self._seek(claim)
            return await self._listen(claim)
        finally:
            del self._for_peers[request.ask_id]

    def leave_for_peer(self, ask_id: str) -> None:
        """End a peer's wait. What it has been leased already is its answer all the same."""
        claim = self._for_peers.get(ask_id)
        if claim is not None and claim in self._waiting:
            self._time_out(claim)

    def match(self) -> None:
        """Lease what became ready to the claims that wait for it."""
        for waiter, steps in self._engine.queue.match():
            claim: _Claim = waiter.tag
            self._stop_waiting(claim)
            self._grant(claim, steps)

    def owners_changed(self) -> None:
        """Lanes have gone to replicas that the claims which wait here have not asked yet."""
        for claim in self._waiting.difference(self._for_peers.values()):
            self._ask_peers(claim)

    def close(self) -> None:
        """Answer every waiting claim with nothing: the replica is going away."""
        self._closed = True
        for claim in list(self._waiting):
            self._time_out(claim)

    def _remember(self, claim: _Claim) -> None:
        if claim.key is not None:
            self._recent[claim.key] = claim
            if len(self._recent) > _REMEMBER_REQUESTS:
                self._recent.popitem(last=False)

    def _seek(self, claim: _Claim) -> None:
        """Lease what is ready, or wait for it as long as the claim allows."""
        waiter = claim.waiter
        steps = self._engine.queue.take(waiter.capabilities, waiter.tenant, waiter.max_steps)
        loop = asyncio.get_running_loop()
        if steps:
            self._grant(claim, steps)
        elif self._closed or loop.time() >= claim.until_s:
            self._finish(claim, [])
        else:
            self._engine.queue.wait(waiter)
            self._waiting.add(claim)
            claim.timer = loop.call_at(claim.until_s, self._time_out, claim)

    async def _listen(self, claim: _Claim) -> list[ClaimedStep]:
        claim.askers += 1
        try:
            steps = await asyncio.shield(claim.done)
            claim.answered = True
            return steps
        finally:
            claim.askers -= 1
            if claim.askers == 0 and not claim.answered:
                self._asker_left(claim)

    def _asker_left(self, claim: _Claim) -> None:
        if claim in self._waiting:
            self._time_out(claim)
            return
        grace_s = 0.0 if claim.key is None else _RETRY_GRACE_S
        asyncio.get_running_loop().call_later(grace_s, self._release_unheard, claim)

    def _release_unheard(self, claim: _Claim) -> None:
        if claim.answered or claim.askers:
            return
        if not claim.done.done():
            claim.done.add_done_callback(lambda _: self._release_unheard(claim))
            return
        for step in claim.done.result():
            lease = parse_step_id(step.step_id)
            assert lease is not None
            lane = self._engine.lanes.get(lease.instance_id.partition("-")[0])
            resident = None if lane is None else lane.residents.get(lease.instance_id)
            if lane is not None and resident is not None:
                lane.apply(resident, Released(self._engine.clock.now_ms(), lease.path, lease.token))
        self._forget(claim)

    def _grant(self, claim: _Claim, steps: list[ReadyStep]) -> None:
        """Lease the steps in memory; the claim is answered when all their writes are acknowledged."""
        ticket = Ticket(len(steps), lambda outcomes: self._granted(claim, outcomes))
        for slot, step in enumerate(steps):
            resident: Resident = step.holder
            ttl_ms = resident.lane.grant(step, claim.lease_ms, claim.worker)
            claimed = self._claimed_step(resident, step, ttl_ms) if ttl_ms else None
            resident.lane.answer(resident, ticket, slot, claimed)

    def _granted(self, claim: _Claim, outcomes: list[object]) -> None:
        """A step whose write was not acknowledged is not the asker's, who waits on if that leaves nothing."""
        steps = [outcome for outcome in outcomes if isinstance(outcome, ClaimedStep)]
        if steps or claim.askers == 0:
            self._finish(claim, steps)
        else:
            self._seek(claim)

    def _finish(self, claim: _Claim, steps: list[ClaimedStep]) -> None:
        if not claim.done.done():
            claim.done.set_result(steps)
        if claim.key is not None:
            # An empty answer is not worth keeping: the retry is to get what has become ready since.
            delay_s = _REMEMBER_S if steps else 0.0
            asyncio.get_running_loop().call_later(delay_s, self._forget, claim)

    def _forget(self, claim: _Claim) -> None:
        if claim.key is not None and self._recent.get(claim.key) is claim:
            del self._recent[claim.key]

    def _time_out(self, claim: _Claim) -> None:
        self._executors.saw(claim.waiter.capabilities, claim.principal.tenant, claim.worker or claim.principal.name)
        self._stop_waiting(claim)
        self._finish(claim, [])

    def _ask_peers(self, claim: _Claim) -> None:
        """Nothing is ready here: wait at the other replicas as well."""
        for address in self._engine.other_addresses():
            if address in claim.asked:
                continue
            ask_id = claim.asked[address] = f"{self._engine.replica_id}-{self._engine.random.getrandbits(64):x}"
            self._spawn(self._ask(claim, address, ask_id))

    async def _ask(self, claim: _Claim, address: str, ask_id: str) -> None:
        waiter, loop = claim.waiter, asyncio.get_running_loop()
        wait_ms = max(0, int((claim.until_s - loop.time()) * 1_000))
        request = ClaimAt(
            claim.principal, waiter.capabilities, waiter.max_steps, claim.lease_ms, wait_ms, claim.worker, ask_id
        )
        try:
            steps = (await self._peers.ask(address, request)).steps
        except LeaseholdError as error:
            log.info("claims.peer_unavailable", address=address, error=str(error))
            steps = None
        claim.asked.pop(address, None)
        if not steps:
            return
        if claim in self._waiting:
            self._stop_waiting(claim)
            self._finish(claim, steps)
        else:
            await self._give_back(claim, address, steps)

    async def _give_back(self, claim: _Claim, address: str, steps: list[ClaimedStep]) -> None:
        """Work came from elsewhere first: these leases go back unused."""
        reports = [StepReport(step.step_id, "release") for step in steps]
        try:
            await self._peers.ask(address, ReportAt(claim.principal, reports))
        except LeaseholdError as error:
            # Then the leases end by themselves, after their time.
            log.warning("claims.not_given_back", address=address, steps=len(steps), error=str(error))

    async def _leave(self, claim: _Claim, address: str, ask_id: str) -> None:
        try:
            await self._peers.ask(address, LeaveAt(claim.principal, ask_id))
        except LeaseholdError as error:
            log.info("claims.peer_unavailable", address=address, error=str(error))

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop_waiting(self, claim: _Claim) -> None:
        self._waiting.discard(claim)
        for address, ask_id in claim.asked.items():
            self._spawn(self._leave(claim, address, ask_id))
        self._engine.queue.leave(claim.waiter)
        if claim.timer is not None:
            claim.timer.cancel()

    def _claimed_step(self, resident: Resident, step: ReadyStep, ttl_ms: int) -> ClaimedStep:
        instance, path = resident.instance, step.path
        state = instance.steps[path]
        assert state.status is StepStatus.CLAIMED
        planned = resident.plan.step(path)
        return ClaimedStep(
            step_id=step_id(instance.id, path, state.token),
            workflow_id=instance.of or instance.id,
            workflow_name=instance.workflow,
            workflow_version=instance.version,
            step_name=planned.name,
            run_path=path,
            capability=planned.executor,
            attempt=state.attempt,
            token=state.token,
            lease_ttl_ms=ttl_ms,
            tenant=instance.tenant,
            space=instance.space,
            payload=plain(resident.input_of(resident.instance, path)),
            with_=with_values(instance, resident.plan, path),
            permissions=list(planned.permissions),
            labels=instance.labels,
            timeout_ms=planned.timeout_ms or None,
            checkpoint=state.checkpoint,
            correlation_id=instance.correlation_id,
            traceparent=instance.traceparent,
        )


def _tenant(principal: Principal) -> str | None:
    """The tenant that a principal's claims are bound to; None for one that works for all."""
    return None if principal.tenant == EVERY_TENANT else principal.tenant
