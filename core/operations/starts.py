"""Starts: one instance or many, with or without an idempotency key."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from ...claim.wire import StartAnswer, StartBody, StartItem, StartResult
from ...definitions import InputsError
from ..catalog import Compiled, Offer
from ..engine import Engine
from ..errors import (
    Conflict,
    InvalidRequest,
    LeaseholdError,
    NotOwner,
    OutcomeUnknown,
    PayloadTooLarge,
    QuotaExceeded,
    Unavailable,
)
from ..es.lines import create_line
from ..ids import lane_of, new_instance_id, new_instance_ids
from ..lanes import codec
from ..lanes.lane import Lane
from ..lanes.tickets import Ticket
from ..machine import new_instance
from ..machine.events import Started
from ..peers import Peers, StartAt, StartManyAt
from ..principal import Principal
from ..problems import problem_of
from ..violations import wire_violations
from .reads import Reads

_canonical = msgspec.json.Encoder(order="sorted")


class KeyDocument(Struct, frozen=True, kw_only=True):
    """An idempotency key stands for the instance that its first request started; `fingerprint` is of that request."""

    kind: str = "start"
    tenant: str
    instance_id: str
    fingerprint: str
    created_at_ms: int


class Starts:
    """Creates instances in this replica's lanes."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers) -> None:
        self._engine = engine
        self._reads = reads
        self._peers = peers

    async def start(
        self, principal: Principal, name: str, body: StartBody, *, key: str | None, traceparent: str | None
    ) -> tuple[StartAnswer, bool]:
        """The instance, and whether this request created it. Raises: as `Replica.start`; Relayed."""
        try:
            return await self._start_here(principal, name, body, key, traceparent)
        except NotOwner as owner:
            if owner.address is None:
                raise
            answer = await self._peers.ask(owner.address, StartAt(principal, name, body, key, traceparent))
        assert answer.start is not None
        return answer.start, answer.created

    async def _start_here(
        self, principal: Principal, name: str, body: StartBody, key: str | None, traceparent: str | None
    ) -> tuple[StartAnswer, bool]:
        self._admit()
        offer = await self._engine.catalog.offer(principal, name, body.version)
        if key is not None:
            return await self._start_keyed(principal, offer.pick(key, body.labels), body, key, traceparent)
        lane = self._engine.lane_for_start()
        ticket = Ticket()
        instance_id = self._new_id(lane)
        compiled = offer.pick(instance_id, body.labels)
        self._begin(lane, instance_id, principal, compiled, body, traceparent, ticket, 0)
        return await ticket.answer(), True

    async def start_many(
        self, principal: Principal, starts: list[StartItem], *, traceparent: str | None
    ) -> list[StartResult]:
        """All without a key go to one lane and so into one bulk."""
        self._admit()
        try:
            lane = self._engine.lane_for_start(len(starts))
        except NotOwner as owner:
            if owner.address is None:
                raise
            return (await self._peers.ask(owner.address, StartManyAt(principal, starts, traceparent))).starts or []
        results: list[StartResult | None] = [None] * len(starts)
        ticket = Ticket(len(starts))
        known: dict[tuple[str, int | None], Offer] = {}
        ids = new_instance_ids(lane.name, self._engine.clock.now_ms(), self._engine.random, len(starts))
        for slot, item in enumerate(starts):
            try:
                if item.idempotency_key is not None:
                    answer, created = await self.start(
                        principal, item.workflow, item, key=item.idempotency_key, traceparent=traceparent
                    )
                    results[slot] = _result(201 if created else 200, answer)
                    ticket.settle(slot, None)
                    continue
                offer = known.get((item.workflow, item.version))
                if offer is None:
                    offer = await self._engine.catalog.offer(principal, item.workflow, item.version)
                    known[item.workflow, item.version] = offer
                compiled = offer.pick(ids[slot], item.labels)
                self._begin(lane, ids[slot], principal, compiled, item, traceparent, ticket, slot)
            except LeaseholdError as error:
                ticket.settle(slot, error)
        outcomes = await ticket.wait()
        return [done or _start_result(outcome) for done, outcome in zip(results, outcomes, strict=True)]

    def _admit(self) -> None:
        engine = self._engine
        if engine.history.behind:
            raise QuotaExceeded(
                f"history is {engine.history.lag_records} records behind; starts are admitted again when it catches up",
                "history_lag",
            )
        if any(lane.committer.pushed_back for lane in engine.lanes.values()):
            raise QuotaExceeded("Elasticsearch pushes back; starts are admitted again when it takes writes", "store")

    def _new_id(self, lane: Lane) -> str:
        return new_instance_id(lane.name, self._engine.clock.now_ms(), self._engine.random)

    def _begin(
        self,
        lane: Lane,
        instance_id: str,
        principal: Principal,
        compiled: Compiled,
        body: StartBody,
        traceparent: str | None,
        ticket: Ticket,
        slot: int,
    ) -> None:
        """Create the instance in memory and let it start; the ticket is settled when its document is acknowledged."""
        inputs = self._inputs(compiled, body)
        inputs_value, inputs_side = self._carried(lane, instance_id, "inputs", "params", inputs)
        trigger_value, trigger_side = self._carried(lane, instance_id, "trigger", "trigger", body.trigger)
        now_ms = self._engine.clock.now_ms()
        instance = new_instance(
            compiled.plan,
            id=instance_id,
            definition_tenant=compiled.document.tenant,
            tenant=principal.tenant,
            space=principal.space,
            inputs=inputs_value,
            trigger=trigger_value,
            at_ms=now_ms,
            labels=body.labels,
            started_by=principal.name,
            correlation_id=body.correlation_id,
            traceparent=traceparent,
        )
        resident = lane.add(instance, compiled.plan)
        if inputs_side is not None:
            resident.side_writes += (inputs_side,)
        if trigger_side is not None:
            resident.side_writes += (trigger_side,)
        lane.apply(resident, Started(now_ms))
        status = resident.instance.status.value
        lane.answer(resident, ticket, slot, StartAnswer(instance_id, compiled.plan.version, status))

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

    async def _start_keyed(
        self, principal: Principal, compiled: Compiled, body: StartBody, key: str, traceparent: str | None
    ) -> tuple[StartAnswer, bool]:
        """The key document comes first and decides which instance there is; then that instance is made to exist."""
        self._inputs(compiled, body)
        id, fingerprint = _key_id(principal.tenant, key), _fingerprint(compiled.document.name, body)
        lane, fresh_id, holder = await self._key_holder(id, principal.tenant, fingerprint)
        if holder.fingerprint != fingerprint:
            raise Conflict(f"idempotency key {key!r} was used for another request; use a new key")
        if lane is None or holder.instance_id != fresh_id:
            existing = await self._existing(principal, holder.instance_id)
            if existing is not None:
                return existing, False
            owner = self._engine.lane_of(holder.instance_id)
            if owner is None and self._engine.control.registry.was_removed(lane_of(holder.instance_id) or ""):
                raise Conflict(
                    f"idempotency key {key!r} names instance {holder.instance_id}, whose lane has been removed, and"
                    " history does not hold it; use a new key"
                )
            if owner is None:
                raise Unavailable(f"instance {holder.instance_id} of this key belongs to a lane that is not there")
            lane = owner
        ticket = Ticket()
        self._begin(lane, holder.instance_id, principal, compiled, body, traceparent, ticket, 0)
        return await ticket.answer(), True

    async def _key_holder(self, id: str, tenant: str, fingerprint: str) -> tuple[Lane | None, str, KeyDocument]:
        """The key's document, and the lane and id of the instance that a first request is to start here.

        Without a lane that takes starts there is none of these: a repeat still belongs to the owner of its lane, which
        may be this replica or any other. Raises: NotOwner for a first request then.
        """
        try:
            lane = self._engine.lane_for_start()
        except NotOwner:
            found = await self._engine.store.get(self._engine.names.keys, id)
            if found is None:
                raise
            return None, "", msgspec.json.decode(found.source, type=KeyDocument)
        document = KeyDocument(
            tenant=tenant,
            instance_id=self._new_id(lane),
            fingerprint=fingerprint,
            created_at_ms=self._engine.clock.now_ms(),
        )
        return lane, document.instance_id, await self._hold_key(id, document)

    async def _hold_key(self, id: str, document: KeyDocument) -> KeyDocument:
        """Write the key, or read who wrote it first."""
        store, index = self._engine.store, self._engine.names.keys
        try:
            (item,) = await store.bulk([create_line(id), msgspec.json.encode(document)], index=index)
            if item.status == 201:
                return document
        except OutcomeUnknown:
            # It may have been written: the read tells, and a key of one's own is as good as a new one.
            pass
        found = await store.get(index, id)
        if found is None:
            raise Unavailable("the idempotency key could not be stored")
        return msgspec.json.decode(found.source, type=KeyDocument)

    async def _existing(self, principal: Principal, instance_id: str) -> StartAnswer | None:
        lane = self._engine.lane_of(instance_id)
        resident = None if lane is None else lane.residents.get(instance_id)
        if lane is not None and resident is not None:
            ticket = Ticket()
            status = resident.instance.status.value
            lane.answer(resident, ticket, 0, StartAnswer(instance_id, resident.plan.version, status))
            answer: StartAnswer = await ticket.answer()
            return answer
        view = await self._reads.find(principal, instance_id)
        return None if view is None else StartAnswer(view.instance_id, view.version, view.status)


def _key_id(tenant: str, key: str) -> str:
    return hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()


def _fingerprint(name: str, body: StartBody) -> str:
    request = (name, body.version, body.params, body.trigger, body.labels, body.correlation_id)
    return hashlib.sha256(_canonical.encode(request)).hexdigest()


def _result(code: int, answer: StartAnswer) -> StartResult:
    return StartResult(code, answer.instance_id, answer.version, answer.status)


def _start_result(outcome: StartAnswer | LeaseholdError) -> StartResult:
    if isinstance(outcome, LeaseholdError):
        problem = problem_of(outcome)
        return StartResult(problem.status, problem=problem)
    return _result(201, outcome)
