"""Random plans and random events for them, with a shadow of what the shell would keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from leasehold.claim.wire import ErrorInfo, Usage
from leasehold.core.machine import (
    AnyEvent,
    AttemptEnded,
    CancelRequested,
    Claimed,
    Completed,
    Decided,
    Failed,
    Heartbeat,
    Instance,
    InstanceEnded,
    LeaseEnded,
    LeaseExpired,
    ReadyEnded,
    Released,
    Started,
    StepReady,
    StepState,
    TerminateRequested,
    TimerFired,
    Transition,
    advance,
    next_wake_ms,
    render_input,
)
from leasehold.core.machine.attempts.activation import waits_for_approval
from leasehold.definitions.plan import ApprovalPolicy, Plan, RetryPolicy, StepPlan
from leasehold.definitions.templates import TemplateError

from .runs import Computed, Run, plan, step

NOTHING = Usage()

Pick = Callable[[int], int]
"""A choice: a number from 0 up to, not including, the argument."""

KINDS = (
    "claim",
    "claim",
    "claim",
    "complete",
    "complete",
    "fail",
    "heartbeat",
    "release",
    "lose",
    "lose",
    "decide",
    "decide",
    "time",
    "time",
    "start",
    "complete again",
    "cancel",
    "terminate",
)


def seen(context: Any) -> Any:
    """An input that depends on all that a template sees."""
    return [context["now"], context["inputs"], dict(context["steps"]), context["instance"]["id"]]


def fragile(salt: int) -> Computed:
    """An input that fails for some contexts, always the same ones."""

    def rendered(context: Any) -> Any:
        if (len(str(seen(context))) + salt) % 7 == 0:
            raise TemplateError("fragile")
        return seen(context)

    return Computed(rendered)


def random_plan(pick: Pick) -> Plan:
    names = [f"s{number}" for number in range(1 + pick(8))]
    steps = [_random_step(pick, name, names[:position]) for position, name in enumerate(names)]
    return plan(
        *steps,
        outputs=Computed(seen) if pick(2) else None,
        max_duration_ms=20_000 if pick(4) == 0 else 0,
        max_llm_calls=pick(16) if pick(4) == 0 else None,
    )


def _random_step(pick: Pick, name: str, before: Sequence[str]) -> StepPlan:
    depends_on = tuple(other for other in before if pick(3) == 0)
    approval = None
    if pick(3) == 0:
        on_timeout: Any = ("fail", "approve", "skip")[pick(3)]
        approval = ApprovalPolicy(3_000 * pick(2), on_timeout, ("ann",) if pick(2) else ())
    modulus = 1 + pick(5)
    return step(
        name,
        *depends_on,
        condition=Computed(lambda context: len(str(seen(context))) % modulus) if pick(3) == 0 else None,
        input=(Computed(seen), Computed(seen), None, None, fragile(pick(7)))[pick(5)],
        timeout_ms=2_000 * pick(2),
        queue_timeout_ms=5_000 * (pick(8) == 0),
        retry=RetryPolicy(
            max_retries=pick(6), on=("boom", "timeout", "lease_lost") if pick(2) else (), not_on=("dead",)
        ),
        approval=approval,
    )


@dataclass
class Walk:
    """One run through random events. Every step of it checks what must hold at all times."""

    made_of: Plan
    pick: Pick
    run: Run = field(init=False)
    accepted: list[AnyEvent] = field(default_factory=list)
    past: list[tuple[Instance, bytes]] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    attempts: set[tuple[str, int]] = field(default_factory=set)
    used: Usage = NOTHING
    queued_ms: int = 0
    ran_ms: int = 0
    ended: int = 0
    moves: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.run = Run(self.made_of, start=False, inputs={"n": 1})

    def go(self, steps: int) -> None:
        self.take(Started(self.run.at_ms))
        for _ in range(steps):
            self.take(self.random_event())
        for instance, encoded in self.past:
            assert msgspec.json.encode(instance) == encoded, "an instance was changed after it was returned"

    def random_event(self) -> AnyEvent:
        pick, run = self.pick, self.run
        kind = KINDS[pick(len(KINDS))]
        if kind in ("cancel", "terminate", "start") and pick(20):
            kind = "claim"
        paths = list(run.instance.steps)
        path = paths[pick(len(paths))]
        if kind == "claim" and self.ready and pick(10):
            path = sorted(self.ready)[pick(len(self.ready))]
        elif kind not in ("claim", "complete again", "decide") and self.leases and pick(10):
            path = sorted(self.leases)[pick(len(self.leases))]
        if kind == "time":
            run.at_ms += (1, 500, 2_000, 10_000)[pick(4)]
            if pick(2) and (wake := next_wake_ms(run.instance)):
                run.at_ms = max(run.at_ms, wake)
        return self._event(kind, path)

    def _event(self, kind: str, path: str) -> AnyEvent:
        pick, at_ms = self.pick, self.run.at_ms
        token = max(0, self.run.instance.steps[path].token - (pick(8) == 0))
        usage = Usage(pick(4), pick(100), pick(8) / 4) if pick(2) else None
        error = ErrorInfo(("boom", "dead")[pick(12) == 0], "it broke")
        events: dict[str, AnyEvent] = {
            "start": Started(at_ms),
            "claim": Claimed(at_ms, path, 1_000, "w"),
            "complete": Completed(at_ms, path, token, {"n": pick(10)}, usage),
            "complete again": Completed(at_ms, path, token, {"n": pick(10)}, usage),
            "fail": Failed(at_ms, path, token, error, bool(pick(12)), usage, random=pick(100) / 100),
            "heartbeat": Heartbeat(at_ms, path, token, pick(3) or None, usage),
            "release": Released(at_ms, path, token),
            "lose": LeaseExpired(at_ms, path, token, pick(100) / 100),
            "decide": Decided(at_ms, path if pick(2) else "", bool(pick(8)), ("ann", "bob")[pick(2)]),
            "time": TimerFired(at_ms, pick(100) / 100),
            "cancel": CancelRequested(at_ms, "ann"),
            "terminate": TerminateRequested(at_ms, "ann"),
        }
        return events[kind]

    def take(self, event: AnyEvent) -> None:
        before = self.run.instance
        encoded = msgspec.json.encode(before)
        transition = advance(before, self.made_of, event)
        assert msgspec.json.encode(before) == encoded, "the input was changed"
        self.past.append((before, encoded))
        after = self.run.instance = transition.instance
        if transition.refused is not None:
            assert after is before
            assert not transition.effects
            return
        self.accepted.append(event)
        self._check_states(before, after)
        self._follow(event, before, transition)
        self._check_shadow(after)

    def _check_states(self, before: Instance, after: Instance) -> None:
        assert after.tokens >= before.tokens
        assert list(after.steps) == list(before.steps)
        self._check_times(before, after)
        for path, was in before.steps.items():
            now = after.steps[path]
            if was.status != now.status:
                self.moves.add((was.status.value, now.status.value))
            if was.status in ("succeeded", "failed", "skipped", "cancelled"):
                assert now is was
        assert msgspec.json.decode(msgspec.json.encode(after), type=Instance) == after

    def _check_times(self, before: Instance, after: Instance) -> None:
        was, now, states = before.times, after.times, after.steps.values()
        assert now.queue_ms >= was.queue_ms
        assert now.run_ms >= was.run_ms
        assert (now.waits.asked_since_ms != 0) == any(map(waits_for_approval, states))
        open_ms = self.run.at_ms - now.waits.asked_since_ms if now.waits.asked_since_ms else 0
        assert was.waits.human_ms <= now.waits.human_ms <= self.run.at_ms - after.created_at_ms - open_ms

    def _follow(self, event: AnyEvent, before: Instance, transition: Transition) -> None:
        """Keep queue, leases and history by the effects alone, as the shell does."""
        after = transition.instance
        if isinstance(event, Claimed):
            del self.ready[event.path]
            token = after.steps[event.path].token
            assert token == before.tokens + 1
            self.leases[event.path] = token
        if isinstance(event, Released):
            assert self.leases.pop(event.path) == event.token
        for effect in transition.effects:
            assert not self.ended, "something follows the end"
            if isinstance(effect, StepReady):
                assert effect.path not in self.ready
                self.ready[effect.path] = effect.input
            elif isinstance(effect, ReadyEnded):
                del self.ready[effect.path]
            elif isinstance(effect, LeaseEnded):
                assert self.leases[effect.path] == effect.token
            elif isinstance(effect, AttemptEnded):
                record = effect.record
                assert self.leases.pop(record.path) == record.token
                assert (record.path, record.attempt) not in self.attempts, "an attempt was recorded twice"
                self.attempts.add((record.path, record.attempt))
                assert record.attempt == sum(path == record.path for path, _ in self.attempts)
                assert (record.error is None) == (record.outcome == "succeeded")
                used = record.usage or NOTHING
                self.queued_ms += record.started_at_ms - record.ready_at_ms
                self.ran_ms += record.finished_at_ms - record.started_at_ms
                self.used = Usage(self.used.llm_calls + used.llm_calls, 0, self.used.cost + used.cost)
            else:
                assert isinstance(effect, InstanceEnded)
                self.ended += 1

    def _check_shadow(self, after: Instance) -> None:
        at = {path: state.status.value for path, state in after.steps.items()}
        assert set(self.ready) == {path for path, status in at.items() if status == "ready"}
        assert self.leases == {path: after.steps[path].token for path, status in at.items() if status == "claimed"}
        for path, input_ in self.ready.items():
            assert render_input(after, self.made_of, path) == input_
        assert (after.times.queue_ms, after.times.run_ms) == (self.queued_ms, self.ran_ms)
        assert self.ended == (after.status in ("succeeded", "failed", "cancelled", "terminated"))
        wakes = [state.wake_at_ms for state in after.steps.values() if state.wake_at_ms]
        if self.ended:
            assert not set(at.values()) & {"pending", "ready", "claimed", "backing_off", "waiting"}
            assert not wakes
            assert next_wake_ms(after) == 0
            assert after.status == "succeeded" or after.error is not None
        else:
            active = set(at.values()) & {"ready", "claimed", "backing_off"}
            assert after.status == ("running" if active else "waiting")
            assert next_wake_ms(after) == min([*wakes, *([after.deadline_ms] if after.deadline_ms else [])], default=0)
        for state in after.steps.values():
            self._check_step(state)
        if not self.ended:
            under_way = [
                state.usage or NOTHING for state in after.steps.values() if state.status in ("ready", "claimed")
            ]
            assert after.usage.llm_calls == self.used.llm_calls + sum(usage.llm_calls for usage in under_way)
            assert after.usage.cost == self.used.cost + sum(usage.cost for usage in under_way)

    def _check_step(self, state: StepState) -> None:
        status = state.status.value
        assert (state.token != 0) == (status in ("claimed", "succeeded"))
        assert (state.lease_ttl_ms != 0) == (status == "claimed")
        assert (state.finished_at_ms != 0) == (status in ("succeeded", "failed", "skipped", "cancelled"))
        if status in ("ready", "backing_off", "pending", "waiting"):
            assert state.worker is None
        if status == "succeeded":
            assert (state.lost, state.error, state.checkpoint) == (0, None, None)
        if status in ("backing_off", "failed"):
            assert state.error is not None
        assert (state.activated_at_ms == 0) <= (status in ("pending", "cancelled", "failed"))
