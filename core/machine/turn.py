"""One event being applied to one instance: the only mutable thing in the machine, alive inside one `advance` call."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...claim.wire import Call, ErrorInfo
from ...definitions.plan import Block, Plan, StepPlan
from .events import AttemptEnded, AttemptOutcome, AttemptRecord, Effect, Refused, Transition
from .state import FINAL_INSTANCE, Approval, Instance, InstanceStatus, StepState, StepStatus
from .table import ACTIVE_STEP, InstanceMove, StepMove
from .times import Times, Waits


class Turn:
    """What the instance becomes, and what follows, while modules work on one event.

    `steps` is the instance's own dict until the first change and a shallow copy from then on; states in it are never
    changed, only exchanged. `lively` says that a step became ready, claimed or backing off in this turn. `changes` are
    those of the instance's fields that have no attribute of their own here.

    What an event leads to is noted and done by `settling.settle`: `done` lists the run paths that are done in this
    turn, `followed` how many of them it has dealt with; `failed` those that have failed for good, with the error;
    `entering` the blocks whose steps are to begin, with their place in the run; `childless` those whose last
    child has ended; `spent` is the error of a budget, `succeeded` that a `succeed` step says so.
    """

    __slots__ = (
        "_copied",
        "at_ms",
        "attempts",
        "changes",
        "childless",
        "done",
        "effects",
        "ending",
        "entering",
        "error",
        "failed",
        "finished_at_ms",
        "followed",
        "instance",
        "lively",
        "outputs",
        "plan",
        "spent",
        "status",
        "steps",
        "succeeded",
        "times",
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
        self.times = instance.times
        self.error = instance.error
        self.outputs: Any = instance.outputs
        self.finished_at_ms = instance.finished_at_ms
        self.effects: list[Effect] = []
        self.attempts = instance.attempts
        self.ending = instance.ending
        self.changes: dict[str, Any] = {}
        self.done: list[str] = []
        self.followed = 0
        self.failed: list[tuple[str, ErrorInfo]] = []
        self.entering: list[tuple[Block, str]] = []
        self.childless: list[str] = []
        self.spent: ErrorInfo | None = None
        self.succeeded = False
        self.lively = False
        self._copied = False

    @property
    def ended(self) -> bool:
        return self.status in FINAL_INSTANCE

    @property
    def paused(self) -> bool:
        return self.status is InstanceStatus.PAUSED

    def attempts_before(self, path: str) -> int:
        """The attempt that a step which comes into being counts on from: attempts never restart.

        Outside loops that is its own last one (`Instance.earlier`). Run paths in loops are too many to keep: once
        anything is done again, steps there count on from above all attempts that there have been.
        """
        if "[" not in path:
            earlier: int = self.get("earlier").get(path, 0)
            return earlier
        return attempts_before(self.instance, self.attempts, renumbered=self.get("renumbered"))

    @property
    def unsettled(self) -> bool:
        """Whether something is noted that nothing has followed yet."""
        return bool(self.entering or self.failed or self.followed < len(self.done))

    @property
    def untouched(self) -> bool:
        """Whether nothing has changed, so that the instance given is the one to return."""
        return not (self._copied or self.effects or self.changes or self.status is not self.instance.status)

    def get(self, field: str) -> Any:
        """A field of the instance as it is in this turn, of those that `set` changes."""
        return self.changes[field] if field in self.changes else getattr(self.instance, field)

    def set(self, field: str, value: Any) -> None:
        self.changes[field] = value

    def step(self, path: str) -> StepPlan:
        """The plan of the step at a run path."""
        step = self.plan.steps.get(path)
        return self.plan.step(path) if step is None else step

    def drop(self, path: str) -> None:
        """Forget a step's state."""
        if not self._copied:
            self._own_steps()
        del self.steps[path]

    def enter(self, block: Block, prefix: str) -> None:
        """The block's steps are to begin, under run paths that begin with `prefix`."""
        self.entering.append((block, prefix))

    def put(self, path: str, state: StepState) -> StepState:
        """Exchange a step's state."""
        if not self._copied:
            self._own_steps()
        self.steps[path] = state
        return state

    def _own_steps(self) -> None:
        self.steps = dict(self.steps)
        self._copied = True

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

    def waits(self, waits: Waits) -> None:
        """Exchange what has been waited for, beside executors."""
        self.times = Times(self.times.queue_ms, self.times.run_ms, waits)

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
        self.attempts += 1
        at_ms, claimed_at_ms, times = self.at_ms, state.claimed_at_ms, self.times
        queue_ms = times.queue_ms + claimed_at_ms - state.ready_at_ms
        self.times = Times(queue_ms, times.run_ms + at_ms - claimed_at_ms, times.waits)
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
            claimed_at_ms,
            at_ms,
            error,
            state.usage,
            calls,
            0 if state.approval is None else _asked_ms(state.approval, state.attempt),
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
            times=self.times,
            error=self.error,
            outputs=self.outputs,
            finished_at_ms=self.finished_at_ms,
            attempts=self.attempts,
            ending=self.ending,
            **self.changes,
        )
        return Transition(instance, tuple(self.effects))


def attempts_before(instance: Instance, attempts: int, *, renumbered: bool) -> int:
    """What attempts in loops count on from, those of a share from its `Items.base`."""
    base = instance.items.base if instance.items is not None else 0
    return base + (attempts if renumbered else 0)


def _asked_ms(approval: Approval, attempt: int) -> int:
    """For how long the decision was open that let this attempt begin; those after it were not waited for again."""
    return max(0, approval.decided_at_ms - approval.asked_at_ms) if approval.attempt == attempt else 0


def unknown_step(path: str) -> Refused:
    return Refused("unknown_step", f"the instance has no step {path!r}")
