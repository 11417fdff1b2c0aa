"""Claims: ready steps to waiting executors, one lease each, and what becomes of a lease whose asker has gone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from ...claim.wire import ClaimedStep
from ..engine import Engine
from ..ids import step_id
from ..lanes.ready_queue import ReadyStep, Waiter
from ..lanes.resident import Resident
from ..lanes.tickets import Ticket
from ..machine import plain, with_values
from ..machine.events import Released
from ..machine.state import StepStatus
from ..principal import EVERY_TENANT, Principal

# A retry under the same request id gets the same leases for this long, as far as there is room.
_REMEMBER_S = 10.0
_REMEMBER_REQUESTS = 1_000
# How long leases wait for the retry of an asker that went away before they are released.
_RETRY_GRACE_S = 2.0


class _Claim:
    """One claim under way. `done` holds the steps, once they are leased; `askers` counts who listens."""

    __slots__ = ("answered", "askers", "done", "key", "lease_ms", "timer", "until_s", "waiter", "worker")

    def __init__(self, key: tuple[str, str] | None, waiter: Waiter, lease_ms: int, wait_ms: int, worker: str) -> None:
        loop = asyncio.get_running_loop()
        self.key = key
        self.waiter = waiter
        self.lease_ms = lease_ms
        self.worker = worker
        self.until_s = loop.time() + wait_ms / 1_000
        self.done: asyncio.Future[list[ClaimedStep]] = loop.create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.askers = 0
        self.answered = False


class Claims:
    """One replica's claims. `match` pairs what became ready with who waits, just before a lane writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
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
        key = None if request_id is None else (f"{principal.tenant}\0{principal.name}", request_id)
        claim = None if key is None else self._recent.get(key)
        if claim is None:
            tenant = None if principal.tenant == EVERY_TENANT else principal.tenant
            waiter = Waiter(capabilities, tenant, max_steps)
            claim = waiter.tag = _Claim(key, waiter, lease_ms, wait_ms, worker or principal.name)
            self._remember(claim)
            self._seek(claim)
        return await self._listen(claim)

    def match(self) -> None:
        """Lease what became ready to the claims that wait for it."""
        for waiter, steps in self._engine.queue.match():
            claim: _Claim = waiter.tag
            self._stop_waiting(claim)
            self._grant(claim, steps)

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
            lane = self._engine.lanes.get(step.workflow_id.partition("-")[0])
            resident = None if lane is None else lane.residents.get(step.workflow_id)
            if lane is not None and resident is not None:
                lane.apply(resident, Released(self._engine.clock.now_ms(), step.run_path, step.token))
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
        self._stop_waiting(claim)
        self._finish(claim, [])

    def _stop_waiting(self, claim: _Claim) -> None:
        self._waiting.discard(claim)
        self._engine.queue.leave(claim.waiter)
        if claim.timer is not None:
            claim.timer.cancel()

    def _claimed_step(self, resident: Resident, step: ReadyStep, ttl_ms: int) -> ClaimedStep:
        instance, path = resident.instance, step.path
        state = instance.steps[path]
        assert state.status is StepStatus.CLAIMED
        planned = resident.plan.steps[path]
        return ClaimedStep(
            step_id=step_id(instance.id, path, state.token),
            workflow_id=instance.id,
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
            payload=plain(resident.lane.input_of(resident, path)),
            with_=with_values(instance, resident.plan, path),
            permissions=list(planned.permissions),
            labels=instance.labels,
            timeout_ms=planned.timeout_ms or None,
            checkpoint=state.checkpoint,
            correlation_id=instance.correlation_id,
            traceparent=instance.traceparent,
        )
