"""Steering: what people tell instances, carried out by the owner of their lane.

An order is checked, becomes one event, and is answered once its effect stands. Where it changed something, a row of the
audit trail goes with the same write. An order that had been carried out before changes nothing and is answered alike.
"""

from __future__ import annotations

from ....claim.wire import InstanceView
from ...engine import Engine
from ...errors import Conflict, Forbidden, LeaseholdError, NotFound, NotOwner, QuotaExceeded
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...lanes.tickets import Ticket
from ...machine import instance_view
from ...machine.events import Refused
from ...machine.state import FINAL_INSTANCE, Instance, InstanceStatus
from ...orders import AnyOrder, Cancel, Decide, Retry, Skip, Terminate
from ...peers import Peers, SteerAt
from ...principal import Principal
from ..looking.reads import Reads, Stored
from ..looking.shares import share_with
from .ordering import action_of, audit_record, event_of
from .redrives import Redrives

# The final status that makes an order true already, so that it may be repeated.
_FULFILLED = {Cancel: InstanceStatus.CANCELLED, Terminate: InstanceStatus.TERMINATED}


class Steering:
    """Carries orders out on instances of this replica's lanes; passes on those for others'."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers) -> None:
        self._engine = engine
        self._reads = reads
        self._peers = peers
        self._redrives = Redrives(engine, reads)

    async def steer(self, principal: Principal, instance_id: str, order: AnyOrder) -> InstanceView:
        """The instance, after the order. Raises: as `Replica.steer`; Relayed."""
        try:
            return await self._here(principal, instance_id, order)
        except NotOwner as owner:
            if owner.address is None:
                raise
            answer = await self._peers.ask(owner.address, SteerAt(principal, instance_id, order))
        assert answer.instance is not None
        return answer.instance

    async def _here(self, principal: Principal, instance_id: str, order: AnyOrder) -> InstanceView:
        lane = self._engine.lane_of(instance_id)
        resident = None if lane is None else await lane.residency.fetch(instance_id)
        if resident is not None and not self._engine.access.sees(principal, resident.instance, action_of(order)):
            raise NotFound("instance", instance_id)
        if lane is not None and isinstance(order, Retry) and (resident is None or resident.finished):
            resident = await self._redrives.bring_back(principal, lane, instance_id, order)
            return await _stands(lane, resident, instance_view(resident.instance, resident.plan))
        if lane is None or resident is None:
            return await self._ended(principal, instance_id, order)
        _refuse_shares(resident.instance)
        holder = await self._holder(lane, resident, order)
        self._apply(lane, holder, principal, order)
        if holder is resident:
            return await _stands(lane, resident, instance_view(resident.instance, resident.plan))
        await _stands(lane, holder, None)
        return await self._reads.view(principal, instance_id)

    async def _holder(self, lane: Lane, resident: Resident, order: AnyOrder) -> Resident:
        """Whose step the order names: the instance's own, or that of a share of one of its foreach steps."""
        path = order.step if isinstance(order, Decide | Skip | Retry) else None
        while path and (share := share_with(resident.instance, path)) is not None:
            found = await lane.residency.fetch(share)
            if found is None or found.finished:
                raise Conflict(f"step {path!r} of instance {resident.id} is not under way: its item has ended")
            resident = found
        return resident

    def _apply(self, lane: Lane, resident: Resident, principal: Principal, order: AnyOrder) -> None:
        """Let the order happen, in memory. Raises: Forbidden; NotFound; Conflict; InvalidRequest; ..."""
        before = resident.instance
        inputs, side = self._redrives.inputs(lane, resident, order)
        event = event_of(principal, resident, order, inputs, self._engine.clock.now_ms())
        refused = lane.apply(resident, event)
        if refused is not None:
            if isinstance(order, Retry) and not order.step and before.redrives:
                # It was brought back and is under way: the same wish again, from one who heard no answer.
                return
            raise refusal(before, refused)
        if resident.instance is not before:
            lane.records.audit(resident, audit_record(principal, order, event, before, resident.instance))
            resident.side_writes += side

    async def _ended(self, principal: Principal, instance_id: str, order: AnyOrder) -> InstanceView:
        found = await self._reads.stored(principal, instance_id, action_of(order))
        if found is None:
            raise NotFound("instance", instance_id)
        await self._check_definition(found)
        if found.instance.status is not _FULFILLED.get(type(order)):
            raise Conflict(f"instance {instance_id} has ended: it is {found.instance.status}")
        return await self._reads.view_of(found.instance)

    async def _check_definition(self, found: Stored) -> None:
        """Raises: Conflict for a live instance that its lane can't hold, since the version that it runs is gone."""
        instance = found.instance
        if not found.live or instance.status in FINAL_INSTANCE:
            return
        try:
            await self._engine.catalog.plan(instance.definition_tenant, instance.workflow, instance.version)
        except NotFound:
            raise Conflict(
                f"instance {instance.id} does not move: {instance.workflow} version {instance.version}, which it runs,"
                " is gone; store that very version again, then restart the replicas"
            ) from None


async def _stands(lane: Lane, resident: Resident, view: InstanceView | None) -> InstanceView:
    """The view, once all that has happened to the instance is acknowledged."""
    ticket = Ticket()
    lane.answer(resident, ticket, 0, view)
    answer: InstanceView = await ticket.answer()
    return answer


def _refuse_shares(instance: Instance) -> None:
    if instance.of is not None:
        raise Conflict(
            f"instance {instance.id} runs a share of the items of {instance.of}; name that instance, and the step"
        )


def refusal(instance: Instance, refused: Refused) -> LeaseholdError:
    """A refusal of the machine as the error that a caller gets."""
    if refused.reason == "forbidden":
        return Forbidden(refused.detail)
    if refused.reason == "unknown_step":
        return NotFound("step", instance.id, refused.detail)
    if refused.reason == "full":
        return QuotaExceeded(refused.detail, "signals")
    return Conflict(refused.detail)
