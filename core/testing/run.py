"""A run as a test sees it: let time pass, do what people do, look at what has become of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from ...claim.wire import ErrorInfo, Usage
from ...definitions.timestamps import timestamp
from ..machine import (
    AnyEvent,
    CancelRequested,
    Decided,
    Instance,
    StepState,
    TerminateRequested,
    new_instance,
    plain,
)
from ..machine.events import (
    Admitted,
    PauseRequested,
    ResumeRequested,
    RetryRequested,
    Signalled,
    SkipRequested,
)
from ..replay import Recording
from .errors import NotApplied, Stuck, Unknown
from .lives import Attempt, Life, Steps
from .sources import Library, Source
from .stubs import Stub, Stubs
from .waiting import waits_for
from .world import World

BY = "tester"
"""Who does what a test does, unless it says otherwise."""

START = "2026-01-05T08:00:00Z"
"""When a run starts, unless the test says otherwise: a Monday morning."""

EVENTS_MAX = 1_000_000


def play(
    definition: Source,
    *,
    params: Mapping[str, Any] | None = None,
    executors: Mapping[str, Stub] | None = None,
    steps: Mapping[str, Stub] | None = None,
    workflows: Iterable[Source] = (),
    trigger: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    memory: Mapping[str, Any] | None = None,
    tenant: str = "default",
    space: str = "default",
    start: str = START,
    seed: int = 1,
    limit: int = EVENTS_MAX,
) -> Run:
    """Start an instance, and let everything happen that takes no time.

    `definition` is a definition, a plan, the path of a YAML file, or YAML text of more than one line; of several
    definitions in one text the first is run. `executors` has the stub of each capability, `steps` those of single
    steps by their static path, which come first. `workflows` are the definitions that sub-workflow steps may name.
    `memory` is what the runs before are to have left; what a run has `remembered` goes over it when it succeeds.
    `seed` decides on all chance: the same test gives the same run. `limit` bounds the events of the run.
    Raises: DefinitionError; InputsError for params that the definition refuses; PlayError.
    """
    library = Library([definition, *workflows])
    at_ms = round(timestamp(start).timestamp() * 1_000)
    world = World(library, Stubs(executors or {}, steps or {}), at_ms=at_ms, seed=seed, limit=limit)
    played = library.first
    instance = new_instance(
        played.plan,
        id=world.new_id(),
        definition_tenant=tenant,
        tenant=tenant,
        space=space,
        inputs=played.check(params or {}),
        trigger=dict(trigger or {}),
        at_ms=at_ms,
        labels=labels,
        memory=None if memory is None else dict(memory),
        started_by=BY,
    )
    run = Run(world, world.begin(instance, played.plan))
    run.advance()
    return run


class Run:
    """One instance, and through `child` those of its sub-workflows, in a virtual time that they share.

    Time stands still but for `advance`, `until` and `until_done`; what is due at the present moment has always
    happened. What a test asks for is done at once, or refused with `NotApplied`.
    """

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    @property
    def instance(self) -> Instance:
        """The machine's own state, for whatever has no name here."""
        return self._life.instance

    @property
    def status(self) -> str:
        return self._life.instance.status.value

    @property
    def error(self) -> ErrorInfo | None:
        return self._life.instance.error

    @property
    def outputs(self) -> Any:
        return self._life.instance.outputs

    @property
    def usage(self) -> Usage:
        return self._life.instance.usage

    @property
    def vars(self) -> Mapping[str, Any]:
        return self._life.instance.vars

    @property
    def remembered(self) -> Mapping[str, Any]:
        """What `remember` steps have left for the next run."""
        return self._life.instance.remembered

    @property
    def now_ms(self) -> int:
        """Virtual time, in milliseconds since the epoch."""
        return self._world.now_ms

    @property
    def elapsed_ms(self) -> int:
        """How long ago the instance was created."""
        return self.now_ms - self._life.instance.created_at_ms

    @property
    def steps(self) -> Steps:
        """Every step by run path, those of items and of past iterations too; raises `Unknown` for any other."""
        return self._life.book.steps

    @property
    def events(self) -> tuple[AnyEvent, ...]:
        """What has been applied to the instance so far, oldest first; a foreach has its children's elsewhere."""
        return tuple(self._life.events)

    def recording(self) -> Recording:
        """The run so far, to be replayed under this version or another (`core.replay`)."""
        return self._recording(self._life)

    def step(self, path: str) -> StepState:
        """The step at a run path, such as `each-host[3].scan`. Raises: Unknown."""
        return self.steps[path]

    def child(self, path: str) -> Run:
        """The run of a sub-workflow step, the last one where it was tried again. Raises: Unknown."""
        found = [
            life
            for life in self._world.lives.values()
            if life.instance.parent_path == path and life.instance.items is None and self._is_above(life)
        ]
        if not found:
            raise Unknown(f"no sub-workflow of step {path!r} has begun")
        return Run(self._world, found[-1])

    def attempts(self, path: str | None = None) -> list[Attempt]:
        """The attempts that have ended, in the order in which they did: of one step, or of all."""
        if path is not None and path not in self.steps:
            raise Unknown(f"the run has had no step {path!r}; it has had: {', '.join(self.steps)}")
        return [attempt for attempt in self._life.book.attempts if path is None or attempt.path == path]

    def advance(self, **duration: float) -> None:
        """Let time pass: `advance(hours=3)`, with the words of `timedelta`. Without any, do what is due now."""
        until_ms = self.now_ms + timedelta(**duration) // timedelta(milliseconds=1)
        self._world.go(lambda: False, until_ms)
        self._world.agenda.now_ms = max(self._world.now_ms, until_ms)

    def until_done(self) -> None:
        """Let as much time pass as it takes to a final status. Raises: Stuck when it can't come to one."""
        self.until(lambda run: run._life.ended)

    def until(self, holds: Callable[[Run], bool]) -> None:
        """Let time pass until something holds of this run, and all that is due then has happened. Raises: Stuck."""
        if not self._world.go(lambda: holds(self)):
            raise Stuck(self._waits_for())
        self.advance()

    def provide(self, capability: str, stub: Stub) -> None:
        """An executor comes, or another one in its place: its stub, from now on."""
        self._world.stubs.provide(capability, stub)
        for life in self._world.lives.values():
            self._world.offer_all(life)
        self.advance()

    def approve(
        self,
        path: str = "",
        *,
        by: str = BY,
        roles: Iterable[str] = (),
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> None:
        """Approve a step; without a path the only one that waits for it. Raises: NotApplied."""
        self._decide(path, True, by, roles, comment, form)

    def reject(
        self,
        path: str = "",
        *,
        by: str = BY,
        roles: Iterable[str] = (),
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> None:
        """Reject a step; without a path the only one that waits for a decision. Raises: NotApplied."""
        self._decide(path, False, by, roles, comment, form)

    def signal(self, name: str, payload: Any = None, *, by: str = BY) -> None:
        """Send a signal; it is kept if nothing waits for it. Raises: NotApplied."""
        self._apply(Signalled(self.now_ms, name, payload, by))

    def cancel(self, *, by: str = BY, reason: str | None = None) -> None:
        """Cancel the instance, which compensates. Raises: NotApplied."""
        self._apply(CancelRequested(self.now_ms, by, reason))

    def terminate(self, *, by: str = BY, reason: str | None = None) -> None:
        """End the instance at once. Raises: NotApplied."""
        self._apply(TerminateRequested(self.now_ms, by, reason))

    def pause(self, *, by: str = BY, reason: str | None = None) -> None:
        """Let nothing more be claimed. Raises: NotApplied."""
        self._apply(PauseRequested(self.now_ms, by, reason))

    def resume(self, *, by: str = BY, reason: str | None = None) -> None:
        """Go on after a pause. Raises: NotApplied."""
        self._apply(ResumeRequested(self.now_ms, by, reason))

    def skip(self, path: str, *, by: str = BY, reason: str | None = None) -> None:
        """Count a step as skipped. Raises: NotApplied."""
        self._apply(SkipRequested(self.now_ms, path, by, reason), path)

    def retry(
        self,
        path: str = "",
        *,
        from_start: bool = False,
        inputs: Mapping[str, Any] | None = None,
        by: str = BY,
        reason: str | None = None,
    ) -> None:
        """Do a step again, or what failed, or everything; also once the instance has ended. Raises: NotApplied."""
        given = None if inputs is None else dict(inputs)
        replaced = None if inputs is None else plain(self._life.instance.inputs)
        self._apply(RetryRequested(self.now_ms, by, path, from_start, given, reason, replaced), path)

    def admit(self) -> None:
        """Give the instance the slot of its concurrency group that it waits for. Raises: NotApplied."""
        self._apply(Admitted(self.now_ms))

    def _decide(
        self,
        path: str,
        approved: bool,
        by: str,
        roles: Iterable[str],
        comment: str | None,
        form: Mapping[str, Any] | None,
    ) -> None:
        given = None if form is None else dict(form)
        self._apply(Decided(self.now_ms, path, approved, by, comment, given, tuple(roles)), path)

    def _apply(self, event: AnyEvent, path: str = "") -> None:
        """Let an event happen to the instance, or to the one of its parts that has the step. Raises: NotApplied."""
        refused = self._world.apply(self._part_with(path), event)
        if refused is not None:
            raise NotApplied(refused.reason, refused.detail)
        self.advance()

    def _is_above(self, life: Life) -> bool:
        """Whether the child is this run's own, or that of one of its items."""
        parent = self._world.lives.get(life.instance.parent_id or "")
        return parent is not None and self._life.instance.id in (parent.instance.id, parent.instance.of)

    def _part_with(self, path: str) -> Life:
        life = self._life
        if path and path not in life.instance.steps:
            for other in self._world.lives.values():
                if other.instance.of == life.instance.id and path in other.instance.steps:
                    return other
        return life

    def _recording(self, life: Life) -> Recording:
        shares = {
            other.instance.id: self._recording(other)
            for other in self._world.lives.values()
            if other.instance.parent_id == life.instance.id and other.instance.items is not None
        }
        return Recording(life.instance, list(life.events), shares)

    def _waits_for(self) -> list[str]:
        open_ones = [life for life in self._world.lives.values() if not life.ended]
        return [sentence for life in open_ones for sentence in waits_for(life)] or ["nothing that could be named"]
