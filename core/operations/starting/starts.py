"""Starts: one instance or many, with or without an idempotency key, in a concurrency group or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from msgspec import Struct

from ....claim.wire import StartAnswer, StartBody, StartItem, StartResult
from ....definitions import InputsError
from ...catalog import Compiled, Offer
from ...engine import Engine
from ...errors import (
    Conflict,
    InvalidRequest,
    LeaseholdError,
    NotOwner,
    PayloadTooLarge,
    QuotaExceeded,
    Unavailable,
)
from ...ids import lane_of, new_instance_id, new_instance_ids
from ...lanes import codec
from ...lanes.groups.slots import GroupName
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...lanes.quotas.limits import Limits
from ...lanes.remembering import Recalled, give
from ...lanes.tickets import Ticket
from ...machine import new_instance
from ...machine.events import Started
from ...peers import Peers, StartAt, StartManyAt
from ...ports import Version
from ...principal import Principal
from ...problems import problem_of
from ...violations import wire_violations
from ..looking.reads import Reads
from .admission import Admission, Admitted
from .key_documents import KeyDocument, KeyDocuments
from .quotas import StartQuotas, Units
from .start_keys import StartKey, StartTexts, start_texts

# So many starts of one request that take requests of their own are under way at once.
_SIDE_BY_SIDE = 64


class Asked(Struct, frozen=True):
    """A start that may happen: its inputs are checked, and what it belongs to is known."""

    principal: Principal
    compiled: Compiled
    body: StartBody
    traceparent: str | None
    inputs: dict[str, object]
    texts: StartTexts
    limits: Limits

    @property
    def plain(self) -> bool:
        """Whether it takes no request but the write of its instance."""
        texts = self.texts
        return texts.key is None and texts.group is None and texts.memory is None


class Starts:
    """Creates instances in this replica's lanes."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers) -> None:
        self._engine = engine
        self._reads = reads
        self._peers = peers
        self._keys = KeyDocuments(engine.store, engine.names.keys)
        self._admission = Admission(engine)
        self._quotas = StartQuotas(engine)

    async def start(
        self, principal: Principal, name: str, body: StartBody, *, key: str | None, traceparent: str | None
    ) -> tuple[StartAnswer, bool]:
        """The instance, and whether this request created it. Raises: as `Replica.start`; Relayed."""
        self._quotas.check_known(principal.tenant)
        try:
            with self._admission.admit() as admitted:
                return await self._start(principal, name, body, admitted, key=key, traceparent=traceparent)
        except QuotaExceeded as refused:
            self._engine.metrics.starts_refused(refused.quota)
            raise

    async def _start(
        self,
        principal: Principal,
        name: str,
        body: StartBody,
        admitted: Admitted,
        *,
        key: str | None,
        traceparent: str | None,
    ) -> tuple[StartAnswer, bool]:
        try:
            offer = await self._engine.catalog.offer(principal, name, body.version)
            return await self._start_here(self._asked(principal, offer, body, key, traceparent), admitted)
        except NotOwner as owner:
            if owner.address is None:
                raise
            answer = await self._peers.ask(owner.address, StartAt(principal, name, body, key, traceparent))
        assert answer.start is not None
        return answer.start, answer.created

    async def _start_here(self, asked: Asked, admitted: Admitted) -> tuple[StartAnswer, bool]:
        if asked.texts.key is not None:
            return await self._start_keyed(asked, asked.texts.key, admitted)
        recalled = await self._recall(asked)
        group = asked.texts.group
        if group is not None:
            lane = await self._lane_for(asked)
            with _joining(lane, group), await self._quotas.take(asked.limits, lane) as units:
                return await self._begin_and_answer(lane, self._new_id(lane), asked, admitted, recalled, units), True
        lane, taken = await self._quotas.take_anywhere(asked.limits)
        with taken as units:
            return await self._begin_and_answer(lane, self._new_id(lane), asked, admitted, recalled, units), True

    async def start_many(
        self, principal: Principal, starts: list[StartItem], *, traceparent: str | None
    ) -> list[StartResult]:
        """As many as there is room for, each with its outcome. Raises: QuotaExceeded where there is none; Forbidden."""
        self._quotas.check_known(principal.tenant)
        try:
            with self._admission.admit(len(starts)) as admitted:
                results = await self._start_items(principal, starts[: admitted.count], admitted, traceparent)
        except QuotaExceeded as refused:
            self._engine.metrics.starts_refused(refused.quota, len(starts))
            raise
        return results + [self._result_of(self._admission.no_room()) for _ in starts[len(results) :]]

    async def _start_items(
        self, principal: Principal, starts: list[StartItem], admitted: Admitted, traceparent: str | None
    ) -> list[StartResult]:
        """Those without key, group and memory go to one lane and so into one bulk; the others go side by side."""
        results: list[StartResult | None] = [None] * len(starts)
        known: dict[tuple[str, int | None], Offer] = {}
        plain: list[tuple[int, Asked]] = []
        apart: list[int] = []
        for slot, item in enumerate(starts):
            try:
                offer = known.get((item.workflow, item.version))
                if offer is None:
                    offer = await self._engine.catalog.offer(principal, item.workflow, item.version)
                    known[item.workflow, item.version] = offer
                asked = self._asked(principal, offer, item, item.idempotency_key, traceparent)
            except LeaseholdError as error:
                results[slot] = self._result_of(error)
            else:
                if asked.plain:
                    plain.append((slot, asked))
                else:
                    apart.append(slot)
        limit = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def start_apart(slot: int) -> None:
            async with limit:
                results[slot] = await self._start_item(principal, starts[slot], admitted, traceparent)

        async def start_plain() -> None:
            items = [(starts[slot], asked) for slot, asked in plain]
            found = await self._start_plain(principal, items, admitted, traceparent)
            for (slot, _), result in zip(plain, found, strict=True):
                results[slot] = result

        await asyncio.gather(*([start_plain()] if plain else []), *map(start_apart, apart))
        return [result for result in results if result is not None]

    async def _start_plain(
        self,
        principal: Principal,
        starts: Sequence[tuple[StartItem, Asked]],
        admitted: Admitted,
        traceparent: str | None,
    ) -> list[StartResult]:
        """Raises: NotOwner; Relayed."""
        try:
            lane = self._engine.lane_for_start(len(starts))
        except NotOwner as owner:
            if owner.address is None:
                raise
            request = StartManyAt(principal, [item for item, _ in starts], traceparent)
            return (await self._peers.ask(owner.address, request)).starts or []
        taken = await self._quotas.take_many([asked.limits for _, asked in starts], lane)
        ticket = admitted.ticket(len(starts))
        ids = new_instance_ids(lane.name, self._engine.clock.now_ms(), self._engine.random, len(starts))
        for slot, (_, asked) in enumerate(starts):
            units = taken[slot]
            if isinstance(units, LeaseholdError):
                ticket.settle(slot, units)
                continue
            try:
                with units:
                    self._begin(lane, ids[slot], asked, ticket, slot, units)
            except LeaseholdError as error:
                ticket.settle(slot, error)
        return [self._result_of(outcome) for outcome in await ticket.wait()]

    async def _start_item(
        self, principal: Principal, item: StartItem, admitted: Admitted, traceparent: str | None
    ) -> StartResult:
        try:
            answer, created = await self._start(
                principal, item.workflow, item, admitted, key=item.idempotency_key, traceparent=traceparent
            )
        except LeaseholdError as error:
            return self._result_of(error)
        return _result(201 if created else 200, answer)

    def _asked(
        self, principal: Principal, offer: Offer, body: StartBody, key: str | None, traceparent: str | None
    ) -> Asked:
        """Raises: InvalidRequest."""
        # Which lane an instance goes to, and so its id, may follow from what its version says.
        unit = f"{self._engine.random.getrandbits(64):016x}" if key is None and offer.canary is not None else key or ""
        compiled = offer.pick(unit, body.labels)
        limits = self._quotas.of(principal.tenant, compiled.plan.name)
        inputs = self._inputs(compiled, body)
        texts = start_texts(compiled.plan, principal.tenant, principal.space, body, inputs, key)
        return Asked(principal, compiled, body, traceparent, inputs, texts, limits)

    def _result_of(self, outcome: StartAnswer | LeaseholdError) -> StartResult:
        if not isinstance(outcome, LeaseholdError):
            return _result(201, outcome)
        if isinstance(outcome, QuotaExceeded):
            self._engine.metrics.starts_refused(outcome.quota)
        problem = problem_of(outcome)
        return StartResult(problem.status, problem=problem)

    def _new_id(self, lane: Lane) -> str:
        return new_instance_id(lane.name, self._engine.clock.now_ms(), self._engine.random)

    async def _lane_for(self, asked: Asked) -> Lane:
        """The lane that the instance goes to; with a group the group's, where it may join until the next await."""
        group = asked.texts.group
        return self._engine.lane_for_start() if group is None else await self._engine.places.settle(group)

    async def _recall(self, asked: Asked) -> Recalled | None:
        """What the instance sees as `memory`. A member of a group is given it when it is admitted."""
        memory = asked.texts.memory
        if memory is None or asked.texts.group is not None:
            return None
        return await self._engine.recall(memory)

    async def _begin_and_answer(
        self,
        lane: Lane,
        instance_id: str,
        asked: Asked,
        admitted: Admitted,
        recalled: Recalled | None,
        units: Units,
    ) -> StartAnswer:
        ticket = admitted.ticket()
        resident = self._begin(lane, instance_id, asked, ticket, 0, units, recalled)
        queued = resident.instance.queued
        answer: StartAnswer = await ticket.answer()
        if not queued or lane.closed or lane.residents.get(instance_id) is not resident:
            return answer
        # A free slot is given as soon as the start is acknowledged: that is worth another round trip.
        with suppress(LeaseholdError):
            # Whatever becomes of it, the start stands.
            if asked.texts.group is not None:
                await lane.groups.attend(asked.texts.group.id)
            else:
                await self._quotas.let_begin(lane, resident)
            if not lane.closed and lane.residents.get(instance_id) is resident:
                again = Ticket()
                lane.answer(resident, again, 0, _answer_of(resident))
                answer = await again.answer()
        return answer

    def _begin(
        self,
        lane: Lane,
        instance_id: str,
        asked: Asked,
        ticket: Ticket,
        slot: int,
        units: Units,
        recalled: Recalled | None = None,
    ) -> Resident:
        """Create the instance in memory and let it start; the ticket is settled when its document is acknowledged."""
        if not lane.open:
            raise NotOwner(lane.name, None)
        self._check_budgets(asked.principal.tenant)
        compiled, body, principal, texts = asked.compiled, asked.body, asked.principal, asked.texts
        inputs_value, inputs_side = self._carried(lane, instance_id, "inputs", "params", asked.inputs)
        trigger_value, trigger_side = self._carried(lane, instance_id, "trigger", "trigger", body.trigger)
        limits = lane.admission.limits.of(principal.tenant, compiled.plan.name)
        at_ms = self._engine.clock.now_ms()
        if texts.group is not None:
            at_ms = lane.groups.next_ms(texts.group.id, at_ms)
        instance = new_instance(
            compiled.plan,
            id=instance_id,
            definition_tenant=compiled.document.tenant,
            tenant=principal.tenant,
            space=principal.space,
            inputs=inputs_value,
            trigger=trigger_value,
            at_ms=at_ms,
            labels=body.labels,
            started_by=principal.name,
            correlation_id=body.correlation_id,
            traceparent=asked.traceparent,
            group=None if texts.group is None else texts.group.id,
            queued=texts.group is not None or bool(limits.running),
            priority_ceiling=limits.priority_ceiling,
            memory_key=None if texts.memory is None else texts.memory.key,
        )
        units.spend()
        resident = lane.add(instance, compiled.plan)
        resident.started_by = principal
        if inputs_side is not None:
            resident.side_writes += (inputs_side,)
        if trigger_side is not None:
            resident.side_writes += (trigger_side,)
        if recalled is not None:
            give(lane, resident, recalled)
        lane.apply(resident, Started(at_ms))
        if texts.group is not None and compiled.plan.concurrency is not None:
            lane.groups.join(resident, texts.group, compiled.plan.concurrency)
        lane.answer(resident, ticket, slot, _answer_of(resident))
        return resident

    def _check_budgets(self, tenant: str) -> None:
        """Raises: QuotaExceeded while a budget of the tenant is spent."""
        stop = self._engine.budgets.stop(tenant)
        if stop is None:
            return
        left_s = 1.0 if stop.until_ms is None else (stop.until_ms - self._engine.clock.now_ms()) / 1_000
        raise QuotaExceeded(
            f"tenant {tenant}: {stop.reason} ({stop.used:g} of {stop.allowed:g}); starts are admitted again when the"
            f" period is over, or {stop.quota} is raised in the tenant's document",
            stop.quota,
            max(1.0, left_s),
        )

    def _inputs(self, compiled: Compiled, body: StartBody) -> dict[str, object]:
        try:
            return compiled.check_params(body.params)
        except InputsError as error:
            raise InvalidRequest(error.summary, wire_violations(error.violations)) from error

    def _carried(
        self, lane: Lane, instance_id: str, name: str, what: str, value: dict[str, object]
    ) -> tuple[Any, tuple[str, bytes] | None]:
        """A start's value as the machine carries it, and its side document where it is large."""
        if not value:
            return value, None
        encoded = codec.encode_json(value)
        limit = self._engine.settings.limits.payload_max_bytes
        if len(encoded) > limit:
            raise PayloadTooLarge(what, len(encoded), limit)
        return lane.side_value(instance_id, name, value, encoded)

    async def _start_keyed(self, asked: Asked, key: StartKey, admitted: Admitted) -> tuple[StartAnswer, bool]:
        """The key document comes first and decides which instance there is; then that instance is made to exist."""
        group = asked.texts.group
        try:
            lane = await self._lane_for(asked)
        except NotOwner as elsewhere:
            # A repeat belongs to the owner of its instance's lane, which may be this replica or any other.
            found = await self._keys.find(key.id)
            if found is None:
                raise
            return await self._repeated(asked, key, admitted, *found, None, elsewhere)
        with _joining(lane, group):
            try:
                units = await self._quotas.take(asked.limits, lane)
            except QuotaExceeded:
                # A repeat of a start that was taken needs none.
                found = await self._keys.find(key.id)
                if found is None:
                    raise
                return await self._repeated(asked, key, admitted, *found, lane, None)
            with units:
                document = KeyDocument(
                    tenant=asked.principal.tenant,
                    instance_id=self._new_id(lane),
                    fingerprint=key.fingerprint,
                    created_at_ms=self._engine.clock.now_ms(),
                )
                holder, version = await self._keys.hold(key.id, document)
                if holder.instance_id != document.instance_id:
                    units.put_back()
                    return await self._repeated(asked, key, admitted, holder, version, lane, None)
                recalled = await self._recall(asked)
                return await self._begin_and_answer(lane, document.instance_id, asked, admitted, recalled, units), True

    async def _repeated(
        self,
        asked: Asked,
        key: StartKey,
        admitted: Admitted,
        holder: KeyDocument,
        version: Version | None,
        lane: Lane | None,
        elsewhere: NotOwner | None,
    ) -> tuple[StartAnswer, bool]:
        """The key stands for an instance: answer with it, or make it exist. `lane` is where a new one would go."""
        if holder.fingerprint != key.fingerprint:
            raise Conflict(f"{key.words} was used for another request; use a new key")
        instance_id = holder.instance_id
        if asked.texts.group is None or (lane is not None and lane_of(instance_id) == lane.name):
            existing = await self._existing(asked.principal, instance_id)
        else:
            # A group moves without members, so nothing of this id is under way in the memory of its lane's owner.
            existing = await self._stored(asked.principal, instance_id)
        if existing is not None:
            return existing, False
        if self._engine.lane_removed(lane_of(instance_id) or ""):
            raise Conflict(
                f"{key.words} names instance {instance_id}, whose lane has been removed, and history does not hold it;"
                " use a new key"
            )
        if asked.texts.group is None:
            lane = self._engine.lane_of(instance_id)
            if lane is None:
                raise Unavailable(f"instance {instance_id} of this key belongs to a lane that is not there")
        elif lane is None:
            assert elsewhere is not None
            raise elsewhere
        now_ms, kept_ms = self._engine.clock.now_ms(), self._engine.settings.retention.keys_kept_ms
        if lane_of(instance_id) != lane.name:
            # Its group has moved since: nobody was told of the id, for its instance never came to be.
            instance_id = await self._keys.renew(key.id, holder, version, self._new_id(lane), now_ms)
        elif 2 * (now_ms - holder.created_at_ms) > kept_ms:
            # Retention may be about to take the key, and what begins under it would be started again by a repeat.
            await self._keys.renew(key.id, holder, version, instance_id, now_ms)
        recalled = await self._recall(asked)
        with await self._quotas.take(asked.limits, lane) as units:
            if instance_id in lane.residents:
                # Another repeat came first.
                found = await self._existing(asked.principal, instance_id)
                assert found is not None
                return found, False
            return await self._begin_and_answer(lane, instance_id, asked, admitted, recalled, units), True

    async def _existing(self, principal: Principal, instance_id: str) -> StartAnswer | None:
        lane = self._engine.lane_of(instance_id)
        resident = None if lane is None else lane.residents.get(instance_id)
        if lane is not None and resident is not None:
            ticket = Ticket()
            status = resident.instance.status.value
            lane.answer(resident, ticket, 0, StartAnswer(instance_id, resident.plan.version, status))
            answer: StartAnswer = await ticket.answer()
            return answer
        return await self._stored(principal, instance_id)

    async def _stored(self, principal: Principal, instance_id: str) -> StartAnswer | None:
        view = await self._reads.find(principal, instance_id, "start")
        return None if view is None else StartAnswer(view.instance_id, view.version, view.status)


@contextmanager
def _joining(lane: Lane, group: GroupName | None) -> Iterator[None]:
    """Meanwhile the group, if there is one, does not move to another lane."""
    if group is None:
        yield
        return
    lane.groups.hold(group.id)
    try:
        yield
    finally:
        lane.groups.release(group.id)


def _answer_of(resident: Resident) -> StartAnswer:
    return StartAnswer(resident.id, resident.plan.version, resident.instance.status.value)


def _result(code: int, answer: StartAnswer) -> StartResult:
    return StartResult(code, answer.instance_id, answer.version, answer.status)
