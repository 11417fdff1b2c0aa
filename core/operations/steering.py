"""Steering: decisions, cancellation and termination of live instances."""

from __future__ import annotations

from ...claim.wire import DecisionBody, InstanceView
from ..engine import Engine
from ..errors import Conflict, Forbidden, LeaseholdError, NotFound, NotOwner
from ..lanes.tickets import Ticket
from ..machine import instance_view
from ..machine.events import AnyEvent, CancelRequested, Decided, Refused, TerminateRequested
from ..machine.state import Instance, InstanceStatus
from ..peers import DecideAt, EndAt, Peers
from ..principal import Principal
from .reads import Reads


class Steering:
    """Applies a principal's wish to an instance of this replica's lanes, and answers when it stands."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers) -> None:
        self._engine = engine
        self._reads = reads
        self._peers = peers

    async def decide(
        self, principal: Principal, instance_id: str, *, approved: bool, step: str | None, body: DecisionBody
    ) -> InstanceView:
        """As `Replica.decide`."""
        event = Decided(
            self._engine.clock.now_ms(),
            step or "",
            approved,
            principal.name,
            comment=body.comment,
            form=body.form,
            roles=principal.roles,
        )
        request = DecideAt(principal, instance_id, approved, step, body)
        return await self._steer_or_relay(principal, instance_id, event, None, request)

    async def cancel(self, principal: Principal, instance_id: str, reason: str | None) -> InstanceView:
        """As `Replica.cancel`."""
        event = CancelRequested(self._engine.clock.now_ms(), principal.name, reason)
        request = EndAt(principal, instance_id, "cancel", reason)
        return await self._steer_or_relay(principal, instance_id, event, InstanceStatus.CANCELLED, request)

    async def terminate(self, principal: Principal, instance_id: str, reason: str | None) -> InstanceView:
        """As `Replica.terminate`."""
        event = TerminateRequested(self._engine.clock.now_ms(), principal.name, reason)
        request = EndAt(principal, instance_id, "terminate", reason)
        return await self._steer_or_relay(principal, instance_id, event, InstanceStatus.TERMINATED, request)

    async def _steer_or_relay(
        self,
        principal: Principal,
        instance_id: str,
        event: AnyEvent,
        fulfilled_by: InstanceStatus | None,
        request: DecideAt | EndAt,
    ) -> InstanceView:
        try:
            return await self._steer(principal, instance_id, event, fulfilled_by)
        except NotOwner as owner:
            if owner.address is None:
                raise
            answer = await self._peers.ask(owner.address, request)
        assert answer.instance is not None
        return answer.instance

    async def _steer(
        self, principal: Principal, instance_id: str, event: AnyEvent, fulfilled_by: InstanceStatus | None
    ) -> InstanceView:
        """`fulfilled_by` is the final status that makes the wish true already, so that it may be repeated."""
        lane = self._engine.lane_of(instance_id)
        resident = None if lane is None else await lane.residency.fetch(instance_id)
        if lane is None or resident is None:
            return await self._ended(principal, instance_id, fulfilled_by)
        if not principal.sees(resident.instance.tenant):
            raise NotFound("instance", instance_id)
        refused = lane.apply(resident, event)
        if refused is not None:
            raise _refusal(resident.instance, refused)
        ticket = Ticket()
        lane.answer(resident, ticket, 0, instance_view(resident.instance, resident.plan))
        view: InstanceView = await ticket.answer()
        return view

    async def _ended(self, principal: Principal, instance_id: str, fulfilled_by: InstanceStatus | None) -> InstanceView:
        found = await self._reads.stored(principal, instance_id)
        if found is None:
            raise NotFound("instance", instance_id)
        if found.instance.status is not fulfilled_by:
            raise Conflict(f"instance {instance_id} has ended: it is {found.instance.status}")
        return await self._reads.view_of(found.instance)


def _refusal(instance: Instance, refused: Refused) -> LeaseholdError:
    if refused.reason == "forbidden":
        return Forbidden(refused.detail)
    if refused.reason == "unknown_step":
        return NotFound("step", instance.id, refused.detail)
    return Conflict(refused.detail)
