"""A lane that this replica owns: its instances in memory, and the way from event to answer.

All of it runs synchronously on the event loop: an event is applied to memory, its effects follow at once, and the
committer takes the change along in its next bulk. An answer waits in the resident until that bulk is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from ...claim.wire import ErrorInfo
from ...definitions.plan import Plan
from ..errors import InvalidRequest, Unavailable
from ..machine import advance, next_wake_ms
from ..machine.events import (
    AnyEvent,
    AttemptEnded,
    CallsMade,
    ChildSteered,
    ChildWanted,
    Claimed,
    Effect,
    InstanceEnded,
    LeaseEnded,
    Migrated,
    ReadyEnded,
    Refused,
    Rejected,
    StepReady,
)
from ..machine.state import Instance, InstanceStatus, SideValue, StepStatus
from ..ports import StoredDocument
from . import codec
from .children.keeping import Children
from .commits.committer import Committer
from .commits.drafts import Write
from .commits.start_journal import StartEntry
from .event_log import log_entry
from .forgotten import clear_up
from .groups.groups import Groups
from .memory.ready_queue import ReadyStep
from .memory.residency import Residency
from .memory.resident import Answer, Resident
from .memory.windows import Windows
from .parts import LaneKeeper, Parts
from .quotas.admission import Admission
from .quotas.instances import Instances
from .quotas.lane_quotas import LaneQuotas
from .records import Records
from .remembering import Remembering
from .start_trail import StartTrail
from .tickets import Ticket
from .timers import Timers

log = structlog.get_logger(__name__)


class Lane:
    """The owner's side of one lane, from the end of its take-over to its loss. Implements `CommitListener`.

    `residents` are the instances in memory; `residency` loads and lets go of them. `fenced_at` is the sequence number
    of the fence that this owner raised.
    `trusted_until_ms` is on the monotonic clock: until then no other replica can have taken the lane over, so what
    needs no write (a bare heartbeat) may be answered. Writes need no trust: the fence judges them.
    """

    def __init__(self, name: str, epoch: int, parts: Parts, keeper: LaneKeeper) -> None:
        self.name = name
        self.epoch = epoch
        self.index = parts.names.lane(name)
        self.residents: dict[str, Resident] = {}
        self.trusted_until_ms = 0
        self.fenced_at = 0
        self.open = False
        self.closed = False
        self.leaving = False
        self.parts = parts
        self._keeper = keeper
        self._history = parts.history
        self._settings = parts.settings
        self._queue = parts.queue
        self._clock = parts.clock
        self.timers = Timers(self)
        self.quotas = LaneQuotas(self)
        self.instances = Instances(self)
        self.admission = Admission(self)
        self.residency = Residency(self)
        self.groups = Groups(self)
        self.remembering = Remembering(parts.store, parts.names.keys)
        self.records = Records(self)
        self.children = Children(self)
        self.start_trail = StartTrail(self)
        self.windows = Windows(
            parts.queue,
            parts.budget,
            on_low=self.residency.low,
            on_surplus=self.residency.consider,
            on_offered=keeper.step_ready,
        )
        self.committer = Committer(
            store=parts.store,
            lane=name,
            index=self.index,
            epoch=epoch,
            writer=parts.replica_id,
            clock=parts.clock,
            random=parts.random,
            settings=parts.settings.commit,
            limits=parts.settings.limits,
            metrics=parts.metrics,
            starts_limit=parts.starts_limit,
            listener=self,
            trail_index=lambda: parts.trail.index,
        )

    @property
    def changed(self) -> int:
        """How many instances wait to be written."""
        return self.committer.changed

    @property
    def trusted(self) -> bool:
        return self.open and self._clock.monotonic_ms() < self.trusted_until_ms

    def add(self, instance: Instance, plan: Plan) -> Resident:
        """A new instance enters; its first event is the caller's to apply."""
        resident = self.residents[instance.id] = Resident(self, instance, plan)
        return resident

    def apply(self, resident: Resident, event: AnyEvent) -> Refused | None:
        """Let an event happen, in memory; None when it did (or had happened before), else why it could not.

        An answer that depends on it goes through `answer` afterwards.
        """
        before = resident.instance
        transition = advance(before, resident.plan, event)
        if transition.refused is not None:
            return transition.refused
        if transition.instance is before:
            return None
        resident.instance = transition.instance
        self.instances.changed(resident)
        resident.append_log(log_entry(event, before))
        for effect in transition.effects:
            self._follow(resident, effect, before)
        clear_up(self, resident, before, event)
        if resident.log_part_due():
            self.records.cut_log(resident)
        self.timers.wake_at(resident, next_wake_ms(transition.instance))
        self.committer.touch(resident)
        return None

    def happen(self, resident: Resident, event: AnyEvent) -> Refused | None:
        """Apply what no caller waits for. An instance on which that fails is set aside, and the lane goes on."""
        try:
            return self.apply(resident, event)
        except Exception as error:
            log.exception("lane.poison_instance", lane=self.name, instance_id=resident.id)
            self._keeper.set_aside(self, resident, f"{type(event).__name__} could not be applied: {error!r}")
            return None

    def exchange(self, resident: Resident, instance: Instance, plan: Plan, event: Migrated) -> None:
        """The instance goes on under another version's plan, from the state that a replay under it has led to.

        What is ready or leased stays so: the past is the same.
        """
        resident.plan = plan
        resident.instance = instance
        self.instances.changed(resident)
        resident.append_log(log_entry(event, instance))
        if resident.log_part_due():
            self.records.cut_log(resident)
        self.timers.wake_at(resident, next_wake_ms(instance))
        self.committer.touch(resident)

    def answer(self, resident: Resident, ticket: Ticket, slot: int, outcome: Any) -> None:
        """Settle the ticket once all that has happened to the instance so far stands in Elasticsearch."""
        if resident.changed or resident.in_flight:
            if not resident.changed:
                # The change rides in the bulk under way, whose answers are taken: one more write carries this one.
                self.committer.touch(resident)
            resident.answers.append((ticket, slot, outcome))
        else:
            ticket.settle(slot, outcome)

    def grant(self, step: ReadyStep, lease_ms: int, worker: str) -> int:
        """Lease a ready step that was taken from the queue; returns the lease's length in ms, 0 if refused."""
        resident: Resident = step.holder
        limit_ms = resident.plan.step(step.path).heartbeat_timeout_ms
        ttl_ms = min(lease_ms, limit_ms) if limit_ms else lease_ms
        resident.ready.pop(step.path, None)
        # A wall clock behind the one that made the step ready must not keep it from being claimed.
        at_ms = max(self._clock.now_ms(), resident.instance.steps[step.path].ready_at_ms)
        refused = self.apply(resident, Claimed(at_ms, step.path, ttl_ms, worker))
        if refused is not None:
            log.error("lane.ready_step_refused", instance_id=resident.id, step=step.path, reason=refused.detail)
            self.quotas.give_back(step.tenant, step.capability)
            return 0
        self.timers.lease(resident, step.path, ttl_ms)
        self.quotas.granted(resident, step)
        return ttl_ms

    def side_value(
        self, instance_id: str, name: str, value: Any, encoded: bytes
    ) -> tuple[Any, tuple[str, bytes] | None]:
        """The value as the machine is to carry it, and the side document to write where it is too large to stay."""
        if len(encoded) <= self._settings.limits.side_document_bytes:
            return value, None
        ref = f"{instance_id}:{name}"
        return SideValue(ref, value), (ref, codec.encode_side(instance_id, encoded))

    def install(self, resident: Resident) -> None:
        """Rebuild what memory holds beside an instance that was read from its document: queue, leases, timers."""
        instance = resident.instance
        paused = instance.status is InstanceStatus.PAUSED
        for path, step in instance.steps.items():
            if step.status is StepStatus.READY and path not in resident.ready and not paused:
                self._offer(resident, path, step.ready_at_ms)
            elif step.status is StepStatus.CLAIMED and path not in resident.leases:
                self.timers.lease(resident, path, step.lease_ttl_ms)
        self.quotas.loaded(resident)
        self.timers.wake_at(resident, next_wake_ms(instance))
        if resident.outbox:
            if any(record.entry.kind == "memory" for record in resident.outbox.values()):
                self.remembering.left(instance)
            self._history.deliver(resident, resident.named_records(), repeated=True)
        self.part(resident)
        self.children.loaded(resident)
        self.residency.consider(resident)
        self.groups.saw(resident)
        self.admission.saw(resident)

    def leave_alone(self, resident: Resident) -> None:
        """Forget an instance that has ended or can't be dealt with; its document is left as it is."""
        self.residents.pop(resident.id, None)
        self.quotas.left(resident)
        self.withdraw(resident)

    def withdraw(self, resident: Resident) -> None:
        """Take the instance's ready steps out of the queue."""
        for step in resident.ready.values():
            self._queue.withdraw(step)

    def leave(self) -> None:
        """The lane is about to be handed over: nothing is leased or delivered any more, what was begun is answered."""
        self.open = False
        self.leaving = True
        self.windows.close()
        for resident in self.residents.values():
            self.withdraw(resident)
        self._history.forget(self)

    def close(self, reason: str) -> None:
        """Drop the lane: nobody waiting is told anything but 503, and what memory held is forgotten."""
        self.open = False
        self.closed = True
        self.windows.close()
        self.quotas.close()
        self.residency.close()
        self.groups.close()
        self.admission.close()
        self.children.close()
        self.start_trail.close()
        self.timers.close()
        answers = self.committer.close()
        for resident in self.residents.values():
            answers += resident.answers
            resident.answers = []
            self.withdraw(resident)
        settle_all(answers, Unavailable(f"lane {self.name} is changing its owner: {reason}"))

    def step_ready(self) -> None:
        """Steps may be claimed that could not: claims that wait are to be served."""
        self._keeper.step_ready()

    # CommitListener

    def flushing(self) -> None:
        self._keeper.match()

    def acknowledged(self, resident: Resident, write: Write) -> None:
        if write.freed:
            paths = resident.freed[: write.freed]
            del resident.freed[: write.freed]
            self.quotas.freed(resident, paths)
        if write.named and not self.leaving:
            self._history.deliver(resident, write.named)
        self.children.acknowledged(resident, write.intents)
        self.residency.consider(resident)
        runs_less = self.instances.acknowledged(resident)
        self.groups.acknowledged(resident)
        self.admission.acknowledged(resident)
        if runs_less:
            self.admission.freed(resident.instance.tenant)

    def started(self, slot: str, entry: StartEntry) -> None:
        self.start_trail.stand(slot, entry)

    def gone(self, resident: Resident) -> None:
        self.residency.ended(resident.id, resident.version)
        self.leave_alone(resident)
        runs_less = self.instances.gone(resident)
        self.groups.gone(resident)
        self.admission.gone(resident)
        if runs_less:
            self.admission.freed(resident.instance.tenant)
        if resident.answers:
            settle_all(resident.answers, Unavailable(f"instance {resident.id} was finished by another replica"))
            resident.answers = []
        self.children.gone(resident)

    def foreign(self, resident: Resident, found: StoredDocument) -> None:
        log.warning("lane.foreign_write", lane=self.name, instance_id=resident.id)
        answers, resident.answers = resident.answers, []
        # Answers hold what was true of the void state, such as a token: none of them may be given.
        settle_all(
            answers, Unavailable(f"instance {resident.id} was changed by an earlier owner of its lane; ask again")
        )
        self._keeper.reload(self, resident, found)

    def refused(self, resident: Resident, reason: str, answers: Sequence[Answer]) -> None:
        log.error("lane.document_refused", lane=self.name, instance_id=resident.id, reason=reason)
        settle_all([*answers, *resident.answers], InvalidRequest(f"Elasticsearch can't hold this instance: {reason}"))
        resident.answers = []
        if resident.version is None:
            self.gone(resident)
        else:
            self._keeper.set_aside(self, resident, reason)

    def lost(self, reason: str) -> None:
        self._keeper.lane_lost(self, reason)

    # Effects

    def _follow(self, resident: Resident, effect: Effect, before: Instance) -> None:
        if type(effect) is StepReady:
            self.quotas.lease_ended(resident, effect.path)
            resident.inputs[effect.path] = effect.input
            self._offer(resident, effect.path, effect.ready_at_ms)
        elif type(effect) is AttemptEnded:
            self.quotas.attempt_ended(resident, effect.record)
            self.records.attempt_ended(resident, effect, before)
        elif type(effect) is LeaseEnded:
            self.quotas.lease_ended(resident, effect.path)
            resident.told_to_stop(effect.path, effect.token, effect.reason)
        elif type(effect) is ReadyEnded:
            step = resident.ready.pop(effect.path, None)
            if step is not None:
                self._queue.withdraw(step)
        elif type(effect) is InstanceEnded:
            self.records.instance_ended(resident)
        elif type(effect) is CallsMade:
            self.records.calls_made(resident, effect)
        elif type(effect) is ChildWanted or type(effect) is ChildSteered:
            self.children.follow(resident, effect)

    def _offer(self, resident: Resident, path: str, ready_at_ms: int) -> None:
        instance = resident.instance
        rank = ready_at_ms + instance.priority * self._settings.lanes.age_step_ms
        planned = resident.plan.step(path)
        step = resident.ready[path] = ReadyStep(
            resident,
            path,
            planned.executor,
            instance.tenant,
            rank,
            gate=self.quotas,
            kind=(instance.workflow, planned.name),
        )
        if not self.leaving:
            self.windows.add(step)

    def confirm(self, resident: Resident, row_id: str) -> None:
        """A record stands in history: it leaves the outbox with the next write."""
        taken = resident.outbox.pop(row_id, None)
        if taken is None:
            return
        if taken.entry.kind == "events":
            resident.drop_log_part(taken.entry.count)
        elif taken.entry.kind == "memory":
            self.remembering.delivered(resident.instance)
        if not resident.outbox:
            self.part(resident)
            self.residency.consider(resident)

    def part(self, resident: Resident) -> None:
        """Let the document of an instance go that has ended, once history has its records and nobody else needs it."""
        if resident.finished and not resident.outbox and self.children.may_go(resident):
            self._history.finished(resident)


def settle_all(answers: list[Answer], outcome: Any) -> None:
    """Give every waiting caller the same outcome, usually an exception to raise."""
    for ticket, slot, _ in answers:
        ticket.settle(slot, outcome)


def set_aside_event(now_ms: int, reason: str) -> Rejected:
    """The event that fails an instance whose document Elasticsearch refuses."""
    return Rejected(now_ms, ErrorInfo("document_rejected", reason))
