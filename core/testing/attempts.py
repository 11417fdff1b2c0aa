"""An attempt under way: a stub's word, turned into the events that an executor's would lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...claim.wire import Call, ErrorInfo, HeartbeatAnswer, Usage
from ..machine import Completed, Failed, Heartbeat, LeaseExpired, Released, with_values
from .lives import Life
from .outcomes import NO_ANSWER, RELEASED, Delivery, Failure, Takes, span_ms
from .stubs import Course, StubStep, guarded, is_generator, through_json

if TYPE_CHECKING:
    from .world import World


class Work:
    """One lease, from its claim to its end. `ended` says why the machine took it away, once it has."""

    def __init__(self, world: World, life: Life, path: str) -> None:
        self._world = world
        self._life = life
        self._path = path
        state = life.instance.steps[path]
        self._token = state.token
        self._lease_ms = state.lease_ttl_ms
        self.ended: str | None = None

    def begin(self) -> None:
        """Ask the stub. Raises: NoStub, and what a stub lets through."""
        self._take(self._world.stubs.outcome(self._life.plan.step(self._path), self._given()))

    def _given(self) -> StubStep:
        life, path = self._life, self._path
        instance, step, state = life.instance, life.plan.step(path), life.instance.steps[path]
        return StubStep(
            name=step.name,
            run_path=path,
            capability=step.executor,
            attempt=state.attempt,
            token=state.token,
            instance_id=instance.id,
            payload=through_json(self._world.input_of(life, path)),
            with_=through_json(with_values(instance, life.plan, path)),
            checkpoint=through_json(state.checkpoint),
            permissions=step.permissions,
            labels=dict(instance.labels),
            _beat=self._beat,
        )

    def _take(self, outcome: Any) -> None:
        """Go by what the stub says: now, or when the time that it takes has passed."""
        if is_generator(outcome):
            self._resume(outcome)
        elif isinstance(outcome, Takes):
            self._later(outcome.duration, lambda: self._take(outcome.outcome))
        else:
            self._world.agenda.soon(lambda: self._report(outcome))

    def _resume(self, course: Course) -> None:
        """Let a generator go on to where time passes next, or to its end."""

        def go_on() -> Any:
            try:
                return _Passing(next(course))
            except StopIteration as end:
                return end.value

        word = guarded(go_on)
        if isinstance(word, _Passing):
            self._later(word.duration, lambda: self._resume(course))
        else:
            self._take(word)

    def _later(self, duration: Any, deed: Callable[[], None]) -> None:
        self._world.agenda.enter(self._world.now_ms + span_ms(duration), deed)

    def _report(self, outcome: Any) -> None:
        """Send the event; one that comes too late is refused, as it would be."""
        world, now_ms = self._world, self._world.now_ms
        if outcome is NO_ANSWER:
            world.agenda.enter(now_ms + self._lease_ms, self._expire, timer=True)
        elif outcome is RELEASED:
            world.apply(self._life, Released(now_ms, self._path, self._token))
        elif isinstance(outcome, Failure):
            self._fail(outcome)
        else:
            self._complete(outcome if isinstance(outcome, Delivery) else Delivery(outcome))

    def _complete(self, said: Delivery) -> None:
        try:
            result = through_json(said.result)
        except (TypeError, ValueError, OverflowError, RecursionError) as not_json:
            message = f"the result can't be written as JSON: {not_json}"
            self._fail(Failure("result.invalid", message, retryable=False))
            return
        event = Completed(self._world.now_ms, self._path, self._token, result, said.usage, tuple(said.calls))
        self._world.apply(self._life, event)

    def _fail(self, said: Failure) -> None:
        event = Failed(
            self._world.now_ms,
            self._path,
            self._token,
            ErrorInfo(said.type, said.message),
            said.retryable,
            said.usage,
            tuple(said.calls),
            self._world.random.random(),
        )
        self._world.apply(self._life, event)

    def _expire(self) -> None:
        world = self._world
        world.apply(self._life, LeaseExpired(world.now_ms, self._path, self._token, world.random.random()))

    def _beat(self, checkpoint: Any, usage: Usage | None, calls: Sequence[Call]) -> HeartbeatAnswer:
        """A heartbeat; a bare one renews a lease that is held for as long as the attempt lasts anyhow."""
        refused = None
        if checkpoint is not None or usage is not None or calls:
            event = Heartbeat(
                self._world.now_ms, self._path, self._token, through_json(checkpoint), usage, tuple(calls)
            )
            refused = self._world.apply(self._life, event)
        if self.ended is None and refused is None:
            return HeartbeatAnswer(self._lease_ms)
        return HeartbeatAnswer(0, True, self.ended or (None if refused is None else refused.detail))


@dataclass(frozen=True, slots=True)
class _Passing:
    """What a generator yields: a duration."""

    duration: Any
