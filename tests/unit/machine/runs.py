"""Small plans, and one instance taken through events by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from leasehold.claim.wire import ErrorInfo
from leasehold.core.machine import (
    AnyEvent,
    Claimed,
    Completed,
    Decided,
    Effect,
    Failed,
    Instance,
    LeaseExpired,
    Refused,
    Released,
    Started,
    StepState,
    TimerFired,
    Transition,
    advance,
    new_instance,
)
from leasehold.definitions.plan import ApprovalPolicy, Block, Budgets, Plan, StepPlan
from leasehold.definitions.templates import Template, TemplateError

START_MS = 1_000_000


class Computed(Template):
    """A template that is a Python function of the context."""

    def __init__(self, function: Callable[[Mapping[str, Any]], Any]) -> None:
        self._function = function

    def render(self, context: Mapping[str, Any]) -> Any:
        return self._function(context)


class Broken(Template):
    """A template that renders `sound` times and fails from then on."""

    def __init__(self, sound: int = 0) -> None:
        self._left = sound

    def render(self, context: Mapping[str, Any]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TemplateError("'hits' is undefined", path="steps.a.input", line=7)
        return "sound"


def step(name: str, *depends_on: str, **fields: Any) -> StepPlan:
    return StepPlan(name, fields.pop("executor", "work"), depends_on, **fields)


def approved(name: str, *depends_on: str, timeout_ms: int = 0, on_timeout: Any = "fail", **fields: Any) -> StepPlan:
    approvers = tuple(fields.pop("approvers", ()))
    policy = ApprovalPolicy(timeout_ms=timeout_ms, on_timeout=on_timeout, approvers=approvers)
    return step(name, *depends_on, approval=policy, **fields)


def plan(*steps: StepPlan, **fields: Any) -> Plan:
    """A plan with what follows from `depends_on` filled in."""
    ancestors: dict[str, frozenset[str]] = {}
    for each in steps:
        above = [ancestors[name] | {name} for name in each.depends_on]
        ancestors[each.name] = frozenset().union(*above)
    roots = tuple(each.name for each in steps if not each.depends_on)
    main = Block("", "main", "", tuple(each.name for each in steps), roots)
    if "max_llm_calls" in fields:
        fields["budgets"] = Budgets(llm_calls=fields.pop("max_llm_calls"), llm_calls_key="max_llm_calls")
    linked = {
        each.name: replace(
            each,
            path=each.name,
            block=main,
            ancestors=ancestors[each.name],
            dependents=tuple(other.name for other in steps if each.name in other.depends_on),
        )
        for each in steps
    }
    return Plan("triage", 3, linked, roots, main=main, **fields)


class Run:
    """One instance and its time. `apply` expects acceptance, `refuse` a refusal that changes nothing."""

    def __init__(self, made_of: Plan, *, start: bool = True, **fields: Any) -> None:
        self.plan = made_of
        self.at_ms = START_MS
        fields = {"inputs": {}, "trigger": {}, **fields}
        self.instance: Instance = new_instance(
            made_of, id="03-1", definition_tenant="acme", tenant="acme", space="default", at_ms=START_MS, **fields
        )
        self.effects: tuple[Effect, ...] = ()
        if start:
            self.apply(Started(START_MS))

    @property
    def status(self) -> str:
        return self.instance.status.value

    @property
    def statuses(self) -> dict[str, str]:
        return {path: state.status.value for path, state in self.instance.steps.items()}

    @property
    def names_of_effects(self) -> list[str]:
        return [type(effect).__name__ for effect in self.effects]

    def state(self, path: str) -> StepState:
        return self.instance.steps[path]

    def apply(self, event: AnyEvent) -> tuple[Effect, ...]:
        transition: Transition = advance(self.instance, self.plan, event)
        assert transition.refused is None, transition.refused
        self.instance, self.effects = transition.instance, transition.effects
        return self.effects

    def refuse(self, event: AnyEvent) -> Refused:
        transition = advance(self.instance, self.plan, event)
        assert transition.refused is not None, "the event was applied"
        assert transition.instance is self.instance
        assert transition.effects == ()
        return transition.refused

    def ignore(self, event: AnyEvent) -> None:
        """Expect that the event neither changes anything nor is refused."""
        transition = advance(self.instance, self.plan, event)
        assert transition.refused is None
        assert transition.instance is self.instance
        assert transition.effects == ()

    def claim(self, path: str, lease_ttl_ms: int = 30_000) -> int:
        self.apply(Claimed(self.at_ms, path, lease_ttl_ms, "worker-1"))
        return self.state(path).token

    def complete(self, path: str, result: Any = None, **fields: Any) -> tuple[Effect, ...]:
        return self.apply(Completed(self.at_ms, path, self.state(path).token, result, **fields))

    def fail(self, path: str, type_: str = "boom", **fields: Any) -> tuple[Effect, ...]:
        return self.apply(Failed(self.at_ms, path, self.state(path).token, ErrorInfo(type_, "it broke"), **fields))

    def release(self, path: str) -> tuple[Effect, ...]:
        return self.apply(Released(self.at_ms, path, self.state(path).token))

    def lose(self, path: str) -> tuple[Effect, ...]:
        return self.apply(LeaseExpired(self.at_ms, path, self.state(path).token))

    def fire(self, after_ms: int = 0, random: float = 0.5) -> tuple[Effect, ...]:
        """Let time pass, then the timers fire."""
        self.at_ms += after_ms
        return self.apply(TimerFired(self.at_ms, random))

    def decide(self, path: str, approved: bool, by: str = "ann", **fields: Any) -> tuple[Effect, ...]:
        return self.apply(Decided(self.at_ms, path, approved, by, **fields))
