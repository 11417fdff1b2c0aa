"""The ready queue: claimable steps of the lanes that this replica owns, and the claims that wait for them. Pure.

Each capability has its own weighted fair queue over tenants, so a step that nobody can run holds up no other. Priority
is part of an entry's rank (`ready_at_ms + priority * age_step_ms`): what waits long enough overtakes by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ....tenancy import FairQueue


@dataclass(slots=True, eq=False)
class ReadyStep:
    """A step that may be claimed. `holder` is its lane's resident; `live` while it is in the queue.

    `line` is the window that it belongs to, which is told when it leaves the queue.
    """

    holder: Any
    path: str
    capability: str
    tenant: str
    rank: int
    live: bool = True
    line: Any = None


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
    waiters: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)
    size: int = 0


def _is_live(step: ReadyStep) -> bool:
    return step.live


class ReadyQueue:
    """Matches ready steps with claims. Every ready step goes to exactly one claim."""

    def __init__(self) -> None:
        self._lines: dict[str, _Lines] = {}
        self._fresh: set[str] = set()

    @property
    def has_matches(self) -> bool:
        """Whether steps have come for which claims wait."""
        return bool(self._fresh)

    def add(self, step: ReadyStep) -> None:
        """The step waits; `match` will offer it to the claims that wait for its capability."""
        line = self._line(step.capability)
        line.steps.push(step.tenant, step.rank, step)
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
                step = line.steps.pop(tenant)
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

    def size(self, capability: str) -> int:
        """How many steps of the capability wait."""
        line = self._lines.get(capability)
        return 0 if line is None else line.size

    def sizes(self) -> dict[str, int]:
        """How many steps wait, by capability."""
        return {capability: line.size for capability, line in self._lines.items() if line.size}

    def _line(self, capability: str) -> _Lines:
        line = self._lines.get(capability)
        if line is None:
            line = self._lines[capability] = _Lines(FairQueue(_is_live))
        return line
