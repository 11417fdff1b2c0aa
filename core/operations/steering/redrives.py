"""Re-drives: an instance that has ended is brought back to life under its own id.

Its final state stands in history. The owner of the lane that its id names writes it as a live document again (a create,
so that two at once make one) with the event that says what is to be done again in it. Large values, which history holds
in full, go back to side documents. Its next end is a row of its own (`history_rows.instance_row_id`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ....definitions import InputsError
from ....definitions.plan import Plan
from ...engine import Engine
from ...errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, Unavailable
from ...lanes import codec
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...machine.events import RetryRequested
from ...machine.state import Instance, InstanceStatus, SideValue, StepState, part_ref, plain
from ...orders import AnyOrder, Retry
from ...principal import Principal
from ...violations import wire_violations
from ..looking.reads import Final, Reads
from .ordering import action_of, audit_record, event_of

_GONE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05

Side = tuple[str, bytes]


class Redrives:
    """Brings instances back into this replica's lanes."""

    def __init__(self, engine: Engine, reads: Reads) -> None:
        self._engine = engine
        self._reads = reads

    async def bring_back(self, principal: Principal, lane: Lane, instance_id: str, order: Retry) -> Resident:
        """The instance, live again in memory; it stands once its write is acknowledged.

        Raises: NotFound; Conflict where it can't be brought back; InvalidRequest for params that do not fit;
        Unavailable while its end is on its way into history.
        """
        await self._gone(lane, instance_id)
        final = await self._reads.final(instance_id)
        if final is None or not self._engine.access.sees(principal, final.instance, action_of(order)):
            raise NotFound("instance", instance_id)
        _check(final)
        plan = await self._plan(final.instance)
        if not lane.open:
            raise Unavailable(f"lane {lane.name} is changing its owner")
        found = lane.residents.get(instance_id)
        if found is not None:
            # Another request was faster: its instance is this one's answer.
            return found
        return self._create(principal, lane, final, plan, order)

    def inputs(self, lane: Lane, resident: Resident, order: AnyOrder) -> tuple[Any, tuple[Side, ...]]:
        """The instance's new inputs where the order changes some, checked, with the side document they may need.

        Raises: InvalidRequest with every violation; PayloadTooLarge.
        """
        if not isinstance(order, Retry) or not order.params:
            return None, ()
        instance = resident.instance
        params = {**plain(instance.inputs), **order.params}
        compiled = self._engine.catalog.cached(instance.definition_tenant, instance.workflow, instance.version)
        try:
            checked = compiled.check_params(params)
        except InputsError as error:
            raise InvalidRequest(error.summary, wire_violations(error.violations)) from error
        encoded = codec.encode_json(checked)
        limit = self._engine.settings.limits.payload_max_bytes
        if len(encoded) > limit:
            raise PayloadTooLarge("params", len(encoded), limit)
        # The name of the inputs before stays theirs: a side document is written once.
        name = f"inputs:{resident.log_parts}.{len(resident.log)}"
        value, side = lane.side_value(instance.id, name, checked, encoded)
        return value, () if side is None else (side,)

    def _create(self, principal: Principal, lane: Lane, final: Final, plan: Plan, order: Retry) -> Resident:
        instance, sides = _with_side_values(final.instance, self._engine.settings.limits.side_document_bytes)
        resident = lane.add(instance, plan)
        try:
            resident.log_parts = final.log_parts
            for entry in final.log:
                resident.append_log(bytes(entry))
            inputs, side = self.inputs(lane, resident, order)
            event = event_of(principal, resident, order, inputs, self._engine.clock.now_ms())
            if lane.admission.limits.of(instance.tenant, instance.workflow).running:
                # Its tenant may run so many only: it is admitted like a start.
                assert isinstance(event, RetryRequested)
                event = msgspec.structs.replace(event, queued=True)
            refused = lane.apply(resident, event)
            if refused is not None:
                raise Conflict(refused.detail)
        except BaseException:
            lane.leave_alone(resident)
            raise
        lane.records.audit(resident, audit_record(principal, order, event, final.instance, resident.instance))
        used = set(codec.side_refs(resident.instance))
        resident.side_writes += (*(one for one in sides if one[0] in used), *side)
        return resident

    async def _gone(self, lane: Lane, instance_id: str) -> None:
        """Wait until the document of the instance's end has left the lane: history has it then."""
        for _ in range(round(_GONE_WITHIN_S / _LOOK_EVERY_S)):
            resident = lane.residents.get(instance_id)
            if resident is None or not resident.finished:
                return
            await asyncio.sleep(_LOOK_EVERY_S)
        raise Unavailable(f"the end of instance {instance_id} is on its way into history; ask again")

    async def _plan(self, instance: Instance) -> Plan:
        try:
            return await self._engine.catalog.plan(instance.definition_tenant, instance.workflow, instance.version)
        except NotFound:
            raise Conflict(
                f"instance {instance.id} can't be done again: {instance.workflow} version {instance.version} is gone"
            ) from None


def _check(final: Final) -> None:
    """Raises: Conflict."""
    instance = final.instance
    if instance.status is InstanceStatus.SUCCEEDED:
        raise Conflict(f"instance {instance.id} has succeeded: start another one")
    if instance.parent_id is not None:
        raise Conflict(f"instance {instance.id} was a child of {instance.parent_id}; retry that one, at its step")
    if final.stripped:
        raise Conflict(
            f"instance {instance.id} can't be done again: Elasticsearch took its record only without its payloads"
        )


def _with_side_values(instance: Instance, side_bytes: int) -> tuple[Instance, tuple[Side, ...]]:
    """History holds values in full: those that are too large for a document become side values again."""
    sides: list[Side] = []

    def side(ref: str, value: Any, beside: int = 1) -> Any:
        if value is None:
            return None
        encoded = codec.encode_json(value)
        # Those beside each other may stand in the document while all of them together are small.
        if beside * len(encoded) <= side_bytes:
            return value
        sides.append((ref, codec.encode_side(instance.id, encoded)))
        return SideValue(ref, value)

    def ref_of(value: Any) -> str | None:
        return value.ref if type(value) is SideValue else None

    def step(path: str, state: StepState) -> StepState:
        result = side(f"{instance.id}:{path}:{state.token}", state.result)
        parts = {
            number: side(part_ref(instance.id, path, state.attempt, number), value, len(state.parts))
            for number, value in state.parts.items()
        }
        return msgspec.structs.replace(state, result=result, result_ref=ref_of(result), parts=parts)

    inputs, trigger = side(f"{instance.id}:inputs", instance.inputs), side(f"{instance.id}:trigger", instance.trigger)
    memory = side(f"{instance.id}:memory", instance.memory)
    changed = msgspec.structs.replace(
        instance,
        inputs=inputs,
        inputs_ref=ref_of(inputs),
        trigger=trigger,
        trigger_ref=ref_of(trigger),
        memory=memory,
        memory_ref=ref_of(memory),
        steps={path: step(path, state) for path, state in instance.steps.items()},
    )
    return changed, tuple(sides)
