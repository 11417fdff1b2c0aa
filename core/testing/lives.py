"""What the kit knows of an instance: its state, and all that has happened to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from ...claim.wire import Call, ErrorInfo, Usage
from ...definitions.plan import Plan
from ..machine import FINAL_INSTANCE, AnyEvent, Instance, StepState
from ..machine.events import AttemptOutcome, AttemptRecord
from ..machine.seeing.outcomes import result_of
from .errors import Unknown


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has ended. `input` is what the executor was given, `output` what it delivered.

    `human_wait_ms`: for how long the decision was open that let this attempt begin.
    """

    path: str
    number: int
    outcome: AttemptOutcome
    input: Any
    output: Any
    error: ErrorInfo | None
    usage: Usage | None
    calls: tuple[Call, ...]
    ready_at_ms: int
    started_at_ms: int
    finished_at_ms: int
    human_wait_ms: int = 0


class Steps(Mapping[str, StepState]):
    """Every step that a run has had, by run path: as it stands, or as it was when its loop went on.

    A step with steps of its own has the result that theirs make, which the machine does not store.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._states: dict[str, StepState] = {}

    def take(self, states: Mapping[str, StepState]) -> None:
        known = self._states
        for path, state in states.items():
            if known.get(path) is not state:
                known[path] = state

    def __getitem__(self, path: str) -> StepState:
        state = self._states.get(path)
        if state is None:
            raise Unknown(f"the run has had no step {path!r}; it has had: {', '.join(self._states)}")
        return state if state.flow is None else replace(state, result=result_of(self._plan, self._states, path))

    def __contains__(self, path: object) -> bool:
        return path in self._states

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


@dataclass(slots=True)
class Book:
    """The past of a run, the children of its foreach steps included. `called`: calls that heartbeats brought."""

    steps: Steps
    attempts: list[Attempt] = field(default_factory=list)
    called: dict[tuple[str, int], list[Call]] = field(default_factory=dict)

    def ended(self, record: AttemptRecord, input: Any, output: Any) -> None:
        calls = (*self.called.pop((record.path, record.attempt), ()), *record.calls)
        self.attempts.append(
            Attempt(
                record.path,
                record.attempt,
                record.outcome,
                input,
                output,
                record.error,
                record.usage,
                calls,
                record.ready_at_ms,
                record.started_at_ms,
                record.finished_at_ms,
                record.human_wait_ms,
            )
        )


class Life:
    """An instance in a run. `first` is what it was before anything happened, `events` what was applied since.

    `offered` are its ready steps that will be claimed in a moment, `inputs` those of its ready and claimed steps.
    """

    __slots__ = ("book", "events", "first", "inputs", "instance", "offered", "plan", "wake_ms")

    def __init__(self, instance: Instance, plan: Plan, book: Book) -> None:
        self.first = self.instance = instance
        self.plan = plan
        self.book = book
        self.events: list[AnyEvent] = []
        self.offered: set[str] = set()
        self.inputs: dict[str, Any] = {}
        self.wake_ms = 0

    @property
    def ended(self) -> bool:
        return self.instance.status in FINAL_INSTANCE
