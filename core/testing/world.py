"""Instances in virtual time: the shell's part, with stubs for executors and nothing to wait for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from ...definitions.plan import Plan
from ..ids import new_instance_id
from ..machine import (
    FINAL_INSTANCE,
    AnyEvent,
    AttemptEnded,
    Claimed,
    Instance,
    InstanceStatus,
    LeaseEnded,
    ReadyEnded,
    Refused,
    Started,
    StepReady,
    StepStatus,
    TimerFired,
    advance,
    next_wake_ms,
    render_input,
)
from ..machine.events import CallsMade, ChildSteered, ChildWanted, Effect
from .agenda import Agenda
from .attempts import Work
from .children import begin_child, report_end, report_usage, steer_child
from .errors import Endless
from .lives import Book, Life, Steps
from .sources import Library
from .stubs import Stubs

LEASE_MS = 30_000
"""The lease time that stubs ask for, as a worker does."""

_LANE = "00"


class World:
    """Every instance of a run, its children too. `limit` bounds the events, for a loop that would never end."""

    def __init__(self, library: Library, stubs: Stubs, *, at_ms: int, seed: int, limit: int) -> None:
        self.library = library
        self.stubs = stubs
        self.random = Random(seed)  # noqa: S311  a repeatable source is what a test wants
        self.agenda = Agenda(at_ms)
        self.lives: dict[str, Life] = {}
        self.work: dict[tuple[str, str], Work] = {}
        self._books: dict[str, Book] = {}
        self._left = limit
        self._limit = limit

    @property
    def now_ms(self) -> int:
        return self.agenda.now_ms

    def new_id(self) -> str:
        return new_instance_id(_LANE, self.now_ms, self.random)

    def begin(self, instance: Instance, plan: Plan) -> Life:
        """Let an instance start."""
        book = self._books.setdefault(instance.of or instance.id, Book(Steps(plan)))
        life = self.lives[instance.id] = Life(instance, plan, book)
        self.apply(life, Started(self.now_ms))
        return life

    def go(self, until: Callable[[], bool], until_ms: int | None = None) -> bool:
        """Do what is due, up to a time, until something holds; False when nothing is left to do before it does.

        Raises: what a stub lets through; Endless; NoStub.
        """
        while not until():
            next_ms = self.agenda.next_ms
            if next_ms is None or (until_ms is not None and next_ms > until_ms):
                return False
            self.agenda.do_next()
        return True

    def apply(self, life: Life, event: AnyEvent) -> Refused | None:
        """Let an event happen, and enter on the agenda what follows. Raises: Endless."""
        self._left -= 1
        if self._left < 0:
            raise Endless(f"the run has taken more than {self._limit} events; play(..., limit=...) allows more")
        before = life.instance
        transition = advance(before, life.plan, event)
        if transition.refused is not None or transition.instance is before:
            return transition.refused
        life.instance = transition.instance
        life.events.append(event)
        life.book.steps.take(transition.instance.steps)
        for effect in transition.effects:
            self._follow(life, effect)
        if before.status is InstanceStatus.PAUSED:
            self.offer_all(life)
        self._wake(life)
        if life.instance.parent_id in self.lives:
            self._tell_parent(life, before)
        return None

    def offer_all(self, life: Life) -> None:
        """Offer every ready step that is not on offer: after a pause, or when an executor has come."""
        for path, state in life.instance.steps.items():
            if state.status is StepStatus.READY:
                self._offer(life, path)

    def input_of(self, life: Life, path: str) -> Any:
        if path not in life.inputs:
            life.inputs[path] = render_input(life.instance, life.plan, path)
        return life.inputs[path]

    def _follow(self, life: Life, effect: Effect) -> None:
        if isinstance(effect, StepReady):
            life.inputs[effect.path] = effect.input
            self._offer(life, effect.path)
        elif isinstance(effect, ReadyEnded):
            life.offered.discard(effect.path)
        elif isinstance(effect, LeaseEnded):
            work = self.work.get((life.instance.id, effect.path))
            if work is not None:
                work.ended = effect.reason
        elif isinstance(effect, AttemptEnded):
            record = effect.record
            self.work.pop((life.instance.id, record.path), None)
            life.book.ended(record, self.input_of(life, record.path), effect.output)
            life.inputs.pop(record.path, None)
        elif isinstance(effect, CallsMade):
            life.book.called.setdefault((effect.path, effect.attempt), []).extend(effect.calls)
        elif isinstance(effect, ChildWanted):
            self.agenda.soon(lambda: begin_child(self, life, effect))
        elif isinstance(effect, ChildSteered):
            self.agenda.soon(lambda: steer_child(self, life, effect))

    def _tell_parent(self, life: Life, before: Instance) -> None:
        """Of the end, and of usage where somebody above has a budget."""
        now = life.instance
        if life.ended:
            if before.status not in FINAL_INSTANCE:
                self.agenda.soon(lambda: report_end(self, life))
        elif now.watched and (now.usage, now.attempts) != (before.usage, before.attempts):
            self.agenda.soon(lambda: report_usage(self, life))

    def _offer(self, life: Life, path: str) -> None:
        state = life.instance.steps.get(path)
        # None: the event that made it ready went on and made the instance forget it.
        if state is not None and path not in life.offered:
            life.offered.add(path)
            self.agenda.enter(max(self.now_ms, state.ready_at_ms), lambda: self._claim(life, path))

    def _claim(self, life: Life, path: str) -> None:
        """An executor takes the step, if it is still to be had and there is one. Raises: NoStub."""
        if path not in life.offered:
            return
        life.offered.discard(path)
        state = life.instance.steps.get(path)
        if state is None or state.status is not StepStatus.READY or life.instance.status is InstanceStatus.PAUSED:
            return
        step = life.plan.step(path)
        if self.stubs.is_absent(step):
            return
        lease_ms = min(LEASE_MS, step.heartbeat_timeout_ms or LEASE_MS)
        if self.apply(life, Claimed(self.now_ms, path, lease_ms, f"stub of {step.executor}")) is None:
            work = self.work[life.instance.id, path] = Work(self, life, path)
            work.begin()

    def _wake(self, life: Life) -> None:
        wake_ms = next_wake_ms(life.instance)
        if wake_ms and wake_ms != life.wake_ms:
            self.agenda.enter(wake_ms, lambda: self._fire(life, wake_ms), timer=True)
        life.wake_ms = wake_ms

    def _fire(self, life: Life, wake_ms: int) -> None:
        if life.wake_ms == wake_ms:
            life.wake_ms = 0
            self.apply(life, TimerFired(self.now_ms, self.random.random()))
            self._wake(life)
