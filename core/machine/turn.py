"""One event being applied to one instance: the only mutable thing in the machine, alive inside one `advance` call."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...claim.wire import Call, ErrorInfo
from ...definitions.plan import Plan, StepPlan
from .events import AttemptEnded, AttemptOutcome, AttemptRecord, Effect, Refused, Transition
from .state import FINAL_INSTANCE, Instance, StepState, StepStatus
from .table import ACTIVE_STEP, InstanceMove, StepMove


class Turn:
    """What the instance becomes, and what follows, while modules work on one event.

    `steps` is the instance's own dict until the first change and a shallow copy from then on; states in it are never
    changed, only exchanged. `done` lists the paths that succeeded or were skipped in this turn, for their dependents.
    `lively` says that a step became ready, claimed or backing off in this turn.
    """

    __slots__ = (
        "_copied",
        "at_ms",
        "done",
        "effects",
        "error",
        "finished_at_ms",
        "instance",
        "lively",
        "outputs",
        "plan",
        "status",
        "steps",
        "tokens",
        "usage",
    )

    def __init__(self, instance: Instance, plan: Plan, at_ms: int) -> None:
        self.instance = instance
        self.plan = plan
        self.at_ms = at_ms
        self.steps = instance.steps
        self.status = instance.status
        self.tokens = instance.tokens
        self.usage = instance.usage
        self.error = instance.error
        self.outputs: Any = instance.outputs
        self.finished_at_ms = instance.finished_at_ms
        self.effects: list[Effect] = []
        self.done: list[str] = []
        self.lively = False
        self._copied = False

    @property
    def ended(self) -> bool:
        return self.status in FINAL_INSTANCE

    def step(self, path: str) -> StepPlan:
        """The plan of the step at a run path."""
        return self.plan.steps[path]

    def put(self, path: str, state: StepState) -> StepState:
        """Exchange a step's state."""
        if not self._copied:
            self.steps = dict(self.steps)
            self._copied = True
        self.steps[path] = state
        return state

    def move(self, path: str, move: StepMove, **changes: Any) -> StepState:
        """Exchange a step's state by a move of the table."""
        return self.moved(path, move, replace(self.steps[path], status=move.target, **changes))

    def moved(self, path: str, move: StepMove, state: StepState) -> StepState:
        """`move`, to a state made by the caller: passing changes on by name would cost a claim a fifth of its time."""
        before = self.steps[path].status
        assert before in move.sources, f"{path}: no move {move.cause!r} from {before}"
        assert state.status is move.target, f"{path}: {move.cause!r} does not lead to {state.status}"
        if state.status in ACTIVE_STEP:
            self.lively = True
        return self.put(path, state)

    def move_instance(self, move: InstanceMove) -> None:
        assert self.status in move.sources, f"no move {move.cause!r} from {self.status}"
        self.status = move.target

    def record(
        self,
        path: str,
        state: StepState,
        outcome: AttemptOutcome,
        *,
        error: ErrorInfo | None = None,
        calls: tuple[Call, ...] = (),
        output: Any = None,
    ) -> None:
        """The attempt that holds the step has finished: a row for history."""
        step = self.step(path)
        row = AttemptRecord(
            path,
            step.name,
            step.executor,
            state.attempt,
            state.token,
            outcome,
            state.worker or "",
            state.activated_at_ms,
            state.ready_at_ms,
            state.claimed_at_ms,
            self.at_ms,
            error,
            state.usage,
            calls,
        )
        self.effects.append(AttemptEnded(row, output))

    def held(self, path: str, token: int) -> StepState | Refused:
        """The state of a claimed step if this token holds it."""
        state = self.steps.get(path)
        if state is None:
            return unknown_step(path)
        if state.status is StepStatus.CLAIMED:
            if state.token == token:
                return state
            return Refused("stale_token", f"step {path!r} is held under token {state.token}, not {token}", state.token)
        return Refused("stale_token", f"nobody holds step {path!r}: it is {state.status.value}")

    def transition(self) -> Transition:
        """What has become of the instance."""
        instance = replace(
            self.instance,
            steps=self.steps,
            status=self.status,
            tokens=self.tokens,
            usage=self.usage,
            error=self.error,
            outputs=self.outputs,
            finished_at_ms=self.finished_at_ms,
        )
        return Transition(instance, tuple(self.effects))


def unknown_step(path: str) -> Refused:
    return Refused("unknown_step", f"the instance has no step {path!r}")
