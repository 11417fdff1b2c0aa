"""The ready queue: claimable steps of the lanes that this replica owns, and the claims that wait for them. Pure.

Each capability has its own weighted fair queue over tenants, so a step that nobody can run holds up no other. Priority
is part of an entry's rank (`ready_at_ms + priority * age_step_ms`): what waits long enough overtakes by itself.

Steps stand there by the gate of their lane, which says whether one more of their tenant and capability may run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ....tenancy import FairQueue, May


class Gate(Protocol):
    """Whether a step of its lane may be claimed. Whoever passes holds what it needs, and is to be leased."""

    def may(self, tenant: str, capability: str) -> May: ...


class Open:
    """A gate that lets everything pass."""

    def may(self, tenant: str, capability: str) -> May:
        return May.PASS


OPEN = Open()


@dataclass(slots=True, eq=False)
class ReadyStep:
    """A step that may be claimed. `holder` is its lane's resident; `live` while it is in the queue.

    `line` is the window that it belongs to, which is told when it leaves the queue. `kind` is what estimates of its
    cost go by: its workflow and its name. `cost` is what its claim was charged.
    """

    holder: Any
    path: str
    capability: str
    tenant: str
    rank: int
    live: bool = True
    line: Any = None
    gate: Gate = OPEN
    kind: tuple[str, str] = ("", "")
    cost: float = 1.0


@dataclass(slots=True, eq=False)
class Waiter:
    """A claim that found nothing yet. `tenant` None takes work of every tenant; `tag` is the caller's own."""

    capabilities: tuple[str, ...]
    tenant: str | None
    max_steps: int
    tag: Any = None


@dataclass(slots=True, eq=False)
class _Lines:
    """One capability: its waiting steps, and its waiting claims in order of arrival."""

    steps: FairQueue[ReadyStep]
    may: Callable[[str, Any], May]
    waiters: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)
    size: int = 0


def _is_live(step: ReadyStep) -> bool:
    return step.live


def _same(_subject: object) -> float:
    return 1.0


class ReadyQueue:
    """Matches ready steps with claims. Every ready step goes to exactly one claim.

    `cost_of` estimates what a step will cost, `weight_of` says a tenant's weight, `debt_max` is as in `FairQueue`.
    """

    def __init__(
        self,
        cost_of: Callable[[ReadyStep], float] = _same,
        weight_of: Callable[[str], float] = _same,
        debt_max: float = float("inf"),
    ) -> None:
        self._cost_of = cost_of
        self._weight_of = weight_of
        self._debt_max = debt_max
        self._lines: dict[str, _Lines] = {}
        self._fresh: set[str] = set()

    @property
    def has_matches(self) -> bool:
        """Whether steps have come for which claims wait."""
        return bool(self._fresh)

    def add(self, step: ReadyStep) -> None:
        """The step waits; `match` will offer it to the claims that wait for its capability."""
        line = self._line(step.capability)
        line.steps.push(step.tenant, step.rank, step, step.gate)
        line.size += 1
        if line.waiters:
            self._fresh.add(step.capability)

    def withdraw(self, step: ReadyStep) -> None:
        """The step is no longer claimable. Withdrawing twice does nothing."""
        if step.live:
            step.live = False
            self._lines[step.capability].size -= 1
        if step.line is not None:
            step.line.left(step)

    def take(self, capabilities: tuple[str, ...], tenant: str | None, max_steps: int) -> list[ReadyStep]:
        """Up to `max_steps` steps, now; they have left the queue. Capabilities are served in the order given."""
        taken: list[ReadyStep] = []
        for capability in capabilities:
            line = self._lines.get(capability)
            while line is not None and len(taken) < max_steps:
                step = line.steps.pop(tenant, line.may)
                if step is None:
                    break
                self.withdraw(step)
                taken.append(step)
        return taken

    def wait(self, waiter: Waiter) -> None:
        for capability in waiter.capabilities:
            self._line(capability).waiters[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """The claim waits no longer. Leaving twice does nothing."""
        for capability in waiter.capabilities:
            self._line(capability).waiters.pop(waiter, None)

    def match(self) -> Iterator[tuple[Waiter, list[ReadyStep]]]:
        """Pair what became ready since the last call with waiting claims, the longest-waiting first.

        A claim gets as many of the steps at hand as it asked for, and leaves.
        """
        while self._fresh:
            line = self._lines[self._fresh.pop()]
            for waiter in list(line.waiters):
                if line.size == 0:
                    break
                if waiter not in line.waiters:
                    continue
                steps = self.take(waiter.capabilities, waiter.tenant, waiter.max_steps)
                if steps:
                    self.leave(waiter)
                    yield waiter, steps
                elif waiter.tenant is None:
                    # All that waits is held back: no other waiter gets any of it either.
                    break

    def unblock(self, tenant: str, capability: str, gate: Gate) -> None:
        """A tenant's steps of a lane that its gate held back may be tried again; `match` will offer them."""
        line = self._lines.get(capability)
        if line is not None:
            line.steps.unblock(tenant, gate)
            self._freshen(capability, line)

    def open(self, capability: str, gate: Gate) -> None:
        """Steps of a lane that its gate held back whatever their tenant may be tried again."""
        line = self._lines.get(capability)
        if line is not None:
            line.steps.open(gate)
            self._freshen(capability, line)

    def forget(self, gate: Gate) -> None:
        """The gate's lane is gone; its steps have been withdrawn."""
        for line in self._lines.values():
            line.steps.forget(gate)

    # Fairness

    @property
    def reweighs(self) -> bool:
        """Whether `reweigh` would change anything. O(tenants)."""
        return any(line.steps.reweighs for line in self._lines.values())

    def reweigh(self) -> None:
        """Weights of tenants have changed."""
        for line in self._lines.values():
            line.steps.reweigh()

    def charge(self, tenant: str, capability: str, cost: float) -> None:
        """A claim has turned out to cost that much more than it was charged, or less."""
        line = self._lines.get(capability)
        if line is not None:
            line.steps.charge(tenant, cost)

    def take_served(self) -> dict[str, dict[str, float]]:
        """What tenants were charged here since this was last asked, by capability."""
        served = {}
        for capability, line in self._lines.items():
            if line.steps.served:
                served[capability], line.steps.served = line.steps.served, {}
        return served

    def waiting(self, capability: str) -> dict[str, float]:
        """The weights of the tenants whose steps of the capability can be claimed here."""
        line = self._lines.get(capability)
        return {} if line is None else line.steps.waiting()

    def adjust(self, capability: str, costs: Mapping[str, float]) -> None:
        """Put tenants behind others, or before them, for what other replicas did."""
        line = self._lines.get(capability)
        if line is not None:
            line.steps.adjust(costs)

    def size(self, capability: str) -> int:
        """How many steps of the capability wait."""
        line = self._lines.get(capability)
        return 0 if line is None else line.size

    def sizes(self) -> dict[str, int]:
        """How many steps wait, by capability."""
        return {capability: line.size for capability, line in self._lines.items() if line.size}

    def _charged(self, step: ReadyStep) -> float:
        step.cost = self._cost_of(step)
        return step.cost

    def _freshen(self, capability: str, line: _Lines) -> None:
        if line.waiters and line.size:
            self._fresh.add(capability)

    def _line(self, capability: str) -> _Lines:
        line = self._lines.get(capability)
        if line is None:
            steps: FairQueue[ReadyStep] = FairQueue(
                _is_live, cost_of=self._charged, weight_of=self._weight_of, debt_max=self._debt_max
            )

            def may(tenant: str, gate: Any) -> May:
                found: May = gate.may(tenant, capability)
                return found

            line = self._lines[capability] = _Lines(steps, may)
        return line
