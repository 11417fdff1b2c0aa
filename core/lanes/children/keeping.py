"""One lane's children: intents carried out, ends and usage told, documents kept until nobody needs them any more.

What the lane tells is noted at once, and done by a loop of its own (`run`), since it may have to wait: for a parent or
a child that rests, for a definition. Between looking and acting nothing waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from ....claim.wire import ErrorInfo
from ...errors import InvalidRequest, LeaseholdError, StoreError
from ...machine.events import (
    AnyEvent,
    CancelRequested,
    ChildRefused,
    ChildReported,
    ChildSteered,
    ChildWanted,
    PauseRequested,
    ResumeRequested,
    TerminateRequested,
)
from ...machine.state import FINAL_STEP, Instance
from ..codec import Intent
from ..memory.resident import Pending, Resident
from ..tickets import Ticket
from . import birth
from .birth import NotBorn
from .ends import ended_event
from .known import lists, open_children

if TYPE_CHECKING:
    from ..lane import Lane

log = structlog.get_logger(__name__)

_JOBS_AT_ONCE = 500
_RETRY_MS = 100
_RETRY_MAX_MS = 5_000
_REASON_CHARACTERS = 500


_STEERING: dict[str, type[CancelRequested | TerminateRequested | PauseRequested | ResumeRequested]] = {
    "cancel": CancelRequested,
    "terminate": TerminateRequested,
    "pause": PauseRequested,
    "resume": ResumeRequested,
}


class Children:
    """One lane's. All methods but `pass_once` and `run` are synchronous."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._parents: dict[str, None] = {}
        self._news: dict[str, None] = {}
        self._lost: dict[str, tuple[str, ChildRefused]] = {}
        self._wanted = asyncio.Event()
        self._failures = 0

    # What the lane tells

    def follow(self, parent: Resident, effect: ChildWanted | ChildSteered) -> None:
        """The machine wants something of a child: it is done once the parent's write that says so is acknowledged."""
        if type(effect) is ChildWanted:
            child = effect.child
            intent = Intent(child.id, "begin", "", effect.path, child.number, effect.first, effect.count)
        else:
            assert type(effect) is ChildSteered
            intent = Intent(effect.child, effect.how, effect.reason[:_REASON_CHARACTERS])
        parent.put_intent(intent)
        # It may have ended before, and have been brought back.
        parent.childless = False
        if intent.how == "begin" and intent.count and intent.number == 0:
            side = birth.outer_side(self._lane, parent, intent.path)
            if side is not None:
                parent.side_writes += (side,)

    def acknowledged(self, resident: Resident, intents: Sequence[Pending]) -> None:
        """A write of the instance stands: what it says may be acted on."""
        for pending in intents:
            pending.stored = True
        if intents or self._outlived(resident):
            self._attend_to(resident)
        elif resident.finished:
            # This write may have told of the last of its children.
            self._lane.part(resident)
        if resident.instance.parent_id is not None and self._has_news(resident):
            self._tell_of(resident)

    def loaded(self, resident: Resident) -> None:
        """The instance came in from its document: what was begun with its children is gone on with."""
        if resident.intents or self._outlived(resident):
            self._attend_to(resident)
        instance = resident.instance
        if instance.parent_id is not None and (resident.finished or instance.watched):
            self._tell_of(resident)

    def gone(self, resident: Resident) -> None:
        """The instance's document is gone. A parent that has ended may have waited for that."""
        instance = resident.instance
        if instance.parent_id is None:
            return
        if resident.heard:
            parent = self._lane.residents.get(instance.parent_id)
            if parent is not None and self._outlived(parent):
                self._attend_to(parent)
        else:
            self.fail_step_of(instance, ErrorInfo("child_lost", f"child instance {instance.id} is gone"))

    def may_go(self, resident: Resident) -> bool:
        """Whether neither parent nor children need the document of an instance that has ended."""
        if resident.instance.parent_id is not None and not resident.heard:
            return False
        return not (resident.intents or self._outlived(resident))

    def fail_step_of(self, child: Instance, error: ErrorInfo) -> None:
        """A child that can't be dealt with fails its parent's step, and nothing else."""
        assert child.parent_id is not None
        now_ms = self._lane.parts.clock.now_ms()
        self._lost[child.id] = child.parent_id, ChildRefused(now_ms, child.parent_path or "", child.id, error)
        self._wanted.set()

    def end_orphan(self, child: Resident) -> None:
        """Nobody asks for this child: it ends, and leaves its records."""
        if not child.finished:
            log.warning("children.orphan", lane=self._lane.name, instance_id=child.id)
            now_ms = self._lane.parts.clock.now_ms()
            by = f"instance {child.instance.parent_id}"
            self._apply(child, TerminateRequested(now_ms, by, "no instance asks for this child any more"))

    def close(self) -> None:
        """End the loop."""
        self._wanted.set()

    def _outlived(self, resident: Resident) -> bool:
        """Whether the instance has ended, and documents of its children may be left."""
        return resident.finished and not resident.childless and bool(open_children(resident.instance))

    def _has_news(self, child: Resident) -> bool:
        if child.finished:
            return not child.heard
        return child.instance.watched and child.told != (child.instance.usage, child.instance.attempts)

    def _attend_to(self, parent: Resident) -> None:
        self._parents[parent.id] = None
        self._wanted.set()

    def _tell_of(self, child: Resident) -> None:
        self._news[child.id] = None
        self._wanted.set()

    # What is done

    async def run(self) -> None:
        """Do what there is to do until the lane is closed."""
        while not self._lane.closed:
            await self._wanted.wait()
            if self._failures:
                await asyncio.sleep(min(_RETRY_MAX_MS, _RETRY_MS * 2**self._failures) / 1_000)
            await self.pass_once()

    async def pass_once(self) -> int:
        """One look at everything that was noted; returns how much that was. What fails is noted again."""
        self._wanted.clear()
        if self._lane.closed or self._lane.leaving:
            return 0
        lost, self._lost = self._lost, {}
        news, self._news = self._news, {}
        parents, self._parents = self._parents, {}
        jobs: list[tuple[Coroutine[Any, Any, None], dict[str, Any], str, Any]] = []
        jobs += [(self._fail_step(*one), self._lost, id, one) for id, one in lost.items()]
        jobs += [(self._tell_parent(id), self._news, id, None) for id in news]
        jobs += [(self._attend(id), self._parents, id, None) for id in parents]
        for start in range(0, len(jobs), _JOBS_AT_ONCE):
            await asyncio.gather(*(self._guarded(*job) for job in jobs[start : start + _JOBS_AT_ONCE]))
        return len(jobs)

    async def _guarded(self, job: Coroutine[Any, Any, None], again: dict[str, Any], id: str, event: Any) -> None:
        """What Elasticsearch does not answer is done later. Anything else is a defect of ours, told and left."""
        try:
            await job
            self._failures = 0
        except StoreError as error:
            log.warning("children.failed", lane=self._lane.name, instance_id=id, error=str(error))
            again.setdefault(id, event)
            self._failures = min(self._failures + 1, 10)
            self._wanted.set()
        except LeaseholdError as error:
            # The lane is on its way out: its next owner finds all of this in the documents.
            log.info("children.left", lane=self._lane.name, instance_id=id, error=str(error))
        except Exception:
            self._lane.parts.metrics.loop_failed("children")
            log.exception("children.failed", lane=self._lane.name, instance_id=id)

    # Parents

    async def _attend(self, parent_id: str) -> None:
        """Carry out the parent's intents that stand; one that has ended waits for its children's documents to go."""
        parent = self._lane.residents.get(parent_id)
        if parent is None:
            return
        due = [pending for pending in parent.intents if pending.stored and not pending.busy]
        await self._bring_in(pending.intent.child for pending in due if pending.unsure or pending.intent.how != "begin")
        for pending in due:
            if not self._holds(parent):
                return
            if pending in parent.intents and not pending.busy:
                await self._carry_out(parent, pending)
        if self._holds(parent) and self._outlived(parent) and not parent.in_flight:
            await self._end_children(parent)

    async def _carry_out(self, parent: Resident, pending: Pending) -> None:
        if pending.intent.how == "begin":
            await self._begin(parent, pending)
        else:
            self._steer(parent, pending)

    async def _begin(self, parent: Resident, pending: Pending) -> None:
        intent = pending.intent
        if parent.finished or not lists(parent.instance, intent.child):
            self._done(parent, pending)
            return
        child = self._lane.residents.get(intent.child)
        if child is None:
            try:
                made = await birth.prepare(self._lane, parent, intent)
                if not self._holds(parent) or not lists(parent.instance, intent.child):
                    # Looked at again at once: nothing has begun yet.
                    self._attend_to(parent)
                    return
                child = birth.begin(self._lane, made)
            except NotBorn as refusal:
                self._refuse(parent, pending, refusal.error)
                return
            except LeaseholdError:
                raise
            except Exception as error:
                log.exception("children.poison", lane=self._lane.name, instance_id=intent.child)
                self._refuse(parent, pending, ErrorInfo("internal", f"the child instance could not begin: {error!r}"))
                return
        self._await_write(parent, pending, child)

    def _refuse(self, parent: Resident, pending: Pending, error: ErrorInfo) -> None:
        intent = pending.intent
        self._apply(parent, ChildRefused(self._lane.parts.clock.now_ms(), intent.path, intent.child, error))
        self._done(parent, pending)

    def _steer(self, parent: Resident, pending: Pending) -> None:
        intent = pending.intent
        child = self._lane.residents.get(intent.child)
        if child is None:
            # It has ended, or it will begin: then it is told before it is heard of.
            if not any(other.intent.child == intent.child and other.intent.how == "begin" for other in parent.intents):
                self._done(parent, pending)
            return
        self._apply(child, self._steering(parent, intent))
        self._await_write(parent, pending, child)

    def _steering(self, parent: Resident, intent: Intent) -> AnyEvent:
        event = _STEERING[intent.how]
        return event(self._lane.parts.clock.now_ms(), f"instance {parent.id}", intent.reason or None)

    def _await_write(self, parent: Resident, pending: Pending, child: Resident) -> None:
        """The intent is done with once what has happened to the child stands."""
        pending.busy = True

        def settled(outcomes: list[Any]) -> None:
            pending.busy = False
            outcome = outcomes[0]
            if isinstance(outcome, InvalidRequest) and pending.intent.how == "begin":
                self._refuse(parent, pending, ErrorInfo("document_rejected", str(outcome)))
            elif isinstance(outcome, BaseException):
                pending.unsure = True
                self._attend_to(parent)
            else:
                self._done(parent, pending)

        self._lane.answer(child, Ticket(1, settled), 0, None)

    def _done(self, parent: Resident, pending: Pending) -> None:
        if pending in parent.intents:
            parent.intents.remove(pending)
        if not parent.intents and self._holds(parent):
            if parent.finished:
                self._lane.part(parent)
            else:
                self._lane.residency.consider(parent)

    async def _end_children(self, parent: Resident) -> None:
        """The parent has ended: children that are still under way end too; when none is left, its document may go."""
        listed = open_children(parent.instance)
        await self._bring_in(listed)
        if not self._holds(parent):
            return
        left = [child for child in map(self._lane.residents.get, listed) if child is not None]
        for child in left:
            if child.finished:
                if not child.heard:
                    self._tell_of(child)
            elif not any(pending.intent.child == child.id for pending in parent.intents):
                now_ms = self._lane.parts.clock.now_ms()
                self._apply(child, TerminateRequested(now_ms, f"instance {parent.id}", "the parent instance has ended"))
        if not left and not parent.intents:
            parent.childless = True
            self._lane.part(parent)

    # Children

    async def _tell_parent(self, child_id: str) -> None:
        """Tell the parent of a child's end, or of its usage."""
        child = self._lane.residents.get(child_id)
        if child is None or child.changed or child.in_flight or child.version is None or child.heard:
            # What is not acknowledged yet is told when it is.
            return
        assert child.instance.parent_id is not None
        parent = await self._lane.residency.fetch(child.instance.parent_id)
        if not self._holds(child) or child.heard:
            return
        if parent is None:
            if child.finished:
                self._heard(child)
            return
        if child.finished:
            self._tell_end(parent, child)
        else:
            self._tell_usage(parent, child.instance)
            child.told = (child.instance.usage, child.instance.attempts)

    def _tell_end(self, parent: Resident, child: Resident) -> None:
        event, sides = ended_event(self._lane, parent.instance, child)
        before = parent.instance
        self._apply(parent, event)
        if parent.instance is not before:
            parent.side_writes += sides
            step = parent.instance.steps.get(event.path)
            if step is None or step.status in FINAL_STEP:
                birth.forget_items(parent, event.path)

        def settled(outcomes: list[Any]) -> None:
            if isinstance(outcomes[0], BaseException):
                self._tell_of(child)
            elif self._holds(child):
                self._heard(child)

        self._lane.answer(parent, Ticket(1, settled), 0, None)

    def _tell_usage(self, parent: Resident, child: Instance) -> None:
        path, known = open_children(parent.instance).get(child.id, ("", None))
        if known is not None and (known.usage, known.attempts) != (child.usage, child.attempts):
            now_ms = self._lane.parts.clock.now_ms()
            self._apply(parent, ChildReported(now_ms, path, child.id, child.usage, child.attempts))

    def _heard(self, child: Resident) -> None:
        """The parent's document holds what the child has left, or nobody asks for it any more."""
        child.heard = True
        self._lane.part(child)

    async def _fail_step(self, parent_id: str, event: ChildRefused) -> None:
        parent = await self._lane.residency.fetch(parent_id)
        if parent is None or not lists(parent.instance, event.child):
            return
        if any(pending.intent.child == event.child and pending.intent.how == "begin" for pending in parent.intents):
            # It has never been: it is begun again, and refused there if it has to be.
            return
        self._apply(parent, event)

    # How

    def _holds(self, resident: Resident) -> bool:
        """Whether this very resident is the lane's still, after something was waited for."""
        return self._lane.residents.get(resident.id) is resident and not (self._lane.closed or self._lane.leaving)

    async def _bring_in(self, ids: Iterable[str]) -> None:
        missing = [id for id in ids if id not in self._lane.residents]
        if missing:
            await asyncio.gather(*map(self._lane.residency.fetch, missing))

    def _apply(self, resident: Resident, event: AnyEvent) -> None:
        """A refusal is as good: the event was heard before, or nobody asks for it any more."""
        self._lane.happen(resident, event)
