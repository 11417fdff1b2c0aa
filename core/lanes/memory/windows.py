"""Windows: which of a lane's ready steps are in memory, and which only in the index. Pure.

The ready steps of one tenant and capability in one lane are a *line*, ordered by key: the rank of the instance, then
the sequence number of its document. Steps up to the line's `end` are offered to the ready queue. Those behind it are
*surplus* while their instance is still in memory, and *spilled* once only the index knows them. The one rule: every
ready step whose key is at or before the `end` is offered. So a refill is one search behind the `end`, and nothing that
happens in memory meanwhile can slip through.

A line that is whole has no end. How many steps a line may offer follows from the number of lines (`Budget`), so that
ten tenants get long windows and ten thousand short ones, in the same memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from .ready_queue import ReadyQueue, ReadyStep

Key = tuple[int, int]

# A line begins with this part of what it may offer.
_FIRST_SHARE = 16
_FIRST_STEPS = 8

# With so many steps of a capability at hand there is no hurry to refill single lines.
_PLENTY = 4_000

# The key before all others: nothing of the line is in memory.
_FIRST: Key = (-(2**62), -1)


@dataclass(slots=True)
class Budget:
    """What the windows of all lanes of a replica share: about `max_steps` offered steps, `line_max_steps` a line."""

    line_max_steps: int
    max_steps: int
    lines: int = 0
    offered: int = 0

    @property
    def limit(self) -> int:
        """How many steps a line has a right to: one at least, so that no tenant is forgotten."""
        return max(1, min(self.line_max_steps, self.max_steps // max(1, self.lines)))

    @property
    def room(self) -> int:
        """How many steps more than its right a line may take in at once."""
        return _FIRST_STEPS if 2 * self.offered < self.max_steps else 0

    def exceeded(self, offered: int) -> bool:
        """Whether a line that offers so many steps is to give some back: it has twice its right, and memory is full."""
        if offered <= 2 * self.limit:
            return False
        return self.offered > self.max_steps or offered > 2 * self.line_max_steps


@dataclass(slots=True, eq=False)
class Line:
    """The ready steps of one tenant and capability. `spilled`: the index may know of more behind the `end`.

    `target` is how many steps a refill is to bring the line to: it doubles with each one, so a line that nobody claims
    from takes little memory and a take-over loads little, and one that runs dry soon has the window that its claims
    need.
    """

    tenant: str
    capability: str
    windows: Windows
    end: Key | None = None
    spilled: bool = False
    target: int = _FIRST_STEPS
    offered: dict[ReadyStep, None] = field(default_factory=dict)
    surplus: dict[ReadyStep, None] = field(default_factory=dict)

    def left(self, step: ReadyStep) -> None:
        """The step was claimed or withdrawn."""
        if step in self.offered:
            del self.offered[step]
            self.windows.budget.offered -= 1
        else:
            self.surplus.pop(step, None)
        self.windows.check(self)


class Windows:
    """One lane's lines.

    `on_low` is called when a refill from the index is due, `on_surplus` with its instance when a step goes behind the
    end of its line, `on_offered` when one joins the queue.
    """

    def __init__(
        self,
        queue: ReadyQueue,
        budget: Budget,
        *,
        on_low: Callable[[], None],
        on_surplus: Callable[[Any], None],
        on_offered: Callable[[], None],
    ) -> None:
        self._queue = queue
        self.budget = budget
        self._on_low = on_low
        self._on_surplus = on_surplus
        self._on_offered = on_offered
        self.closed = False
        self._lines: dict[tuple[str, str], Line] = {}
        self._low: dict[Line, None] = {}

    @property
    def offered(self) -> int:
        """How many steps stand in the ready queue."""
        return sum(len(line.offered) for line in self._lines.values())

    @property
    def plenty(self) -> bool:
        """Whether some lines run low, and enough can be claimed of all that they ask for."""
        capabilities = {line.capability for line in self._low}
        return bool(capabilities) and all(self._queue.size(capability) >= _PLENTY for capability in capabilities)

    def size(self, tenant: str, capability: str) -> int:
        """How many steps of a line stand in the ready queue."""
        line = self._lines.get((tenant, capability))
        return 0 if line is None else len(line.offered)

    def before(self, tenant: str, capability: str, rank: int) -> tuple[int, bool]:
        """How many steps of a line are in memory and of a lower rank, and whether the index knows of no more."""
        line = self._lines.get((tenant, capability))
        if line is None:
            return 0, True
        steps = [*line.offered, *line.surplus]
        complete = not line.spilled or line.end is None or line.end[0] >= rank
        return sum(step.rank < rank for step in steps), complete

    def add(self, step: ReadyStep) -> None:
        """A step became ready, or came in with its instance: it is offered, or surplus behind its line's end."""
        line = self._line(step.tenant, step.capability)
        step.line = line
        if line.end is None or step.holder.ready_key <= line.end:
            self._offer(line, step)
            if self.budget.exceeded(len(line.offered)):
                self._trim(line)
        else:
            step.live = False
            line.surplus[step] = None
            self.check(line)

    def found(self, tenant: str, capability: str) -> None:
        """The index holds ready steps of this line, none of which is in memory yet."""
        line = self._line(tenant, capability)
        line.end = _FIRST
        line.spilled = True
        self._low[line] = None
        self._on_low()

    def take_low(self, at_most: int) -> list[tuple[Line, Key, int]]:
        """Lines to refill from the index now, each with its end and how many steps it is to get."""
        chosen = list(islice(self._low, at_most))
        limit, room = self.budget.limit, self.budget.room
        low = []
        for line in chosen:
            del self._low[line]
            line.target = max(line.target, limit // _FIRST_SHARE)
            if line.end is not None:
                low.append((line, line.end, max(1, min(line.target, limit) - len(line.offered), room)))
                line.target = min(2 * line.target, self.budget.line_max_steps)
        return low

    def advance(self, line: Line, end: Key | None) -> None:
        """A refill found the line's steps up to `end`, or to its last one: those in memory are offered.

        What is not in memory is to be added right after, then `check` called.
        """
        if end is not None and line.end is not None:
            end = max(end, line.end)
        line.end = end
        line.spilled = end is not None
        for step in [step for step in line.surplus if end is None or step.holder.ready_key <= end]:
            del line.surplus[step]
            self._offer(line, step)

    def check(self, line: Line) -> None:
        """Look whether the line runs low, or is done with."""
        if self.closed:
            return
        if line.end is None:
            if not (line.offered or line.surplus) and (line.tenant, line.capability) in self._lines:
                del self._lines[line.tenant, line.capability]
                self.budget.lines -= 1
        elif 2 * len(line.offered) < min(line.target, self.budget.limit):
            if not line.spilled:
                self._offer_surplus(line)
                if line.end is None:
                    self.check(line)
            elif line not in self._low:
                self._low[line] = None
                self._on_low()

    def may_leave(self, instance: Any) -> bool:
        """Whether none of the instance's ready steps has to be offered; those that have to are."""
        steps: list[ReadyStep] = list(instance.ready.values())
        if any(step.live for step in steps):
            return False
        for step in steps:
            line = step.line
            if line.end is None or instance.ready_key <= line.end:
                line.surplus.pop(step, None)
                self._offer(line, step)
        return not any(step.live for step in steps)

    def spill(self, instance: Any) -> None:
        """The instance has left memory: its ready steps are in the index alone."""
        for step in instance.ready.values():
            line = step.line
            line.surplus.pop(step, None)
            line.spilled = True
            self.check(line)

    def shrink(self) -> None:
        """Trim the lines that offer too much since there are more of them."""
        if self.budget.offered > self.budget.max_steps:
            for line in self._lines.values():
                if self.budget.exceeded(len(line.offered)):
                    self._trim(line)

    def close(self) -> None:
        """The lane is lost: nothing is offered any more."""
        self.closed = True
        self.budget.lines -= len(self._lines)
        self.budget.offered -= self.offered
        for line in self._lines.values():
            line.offered.clear()
            line.surplus.clear()
        self._lines.clear()
        self._low.clear()

    def _line(self, tenant: str, capability: str) -> Line:
        line = self._lines.get((tenant, capability))
        if line is None:
            line = self._lines[tenant, capability] = Line(tenant, capability, self)
            self.budget.lines += 1
        return line

    def _offer(self, line: Line, step: ReadyStep) -> None:
        step.live = True
        line.offered[step] = None
        self.budget.offered += 1
        self._queue.add(step)
        self._on_offered()

    def _offer_surplus(self, line: Line) -> None:
        """All of the line is in memory: offer the first of its surplus."""
        waiting = sorted(line.surplus, key=_key)
        room = self.budget.limit - len(line.offered)
        for step in waiting[:room]:
            del line.surplus[step]
            self._offer(line, step)
        self._end_before(line, waiting[room:])

    def _trim(self, line: Line) -> None:
        """Keep the first steps of a line that offers too many; the others become surplus."""
        limit = self.budget.limit
        ordered = sorted(line.offered, key=_key)
        self._end_before(line, ordered[limit:])
        for step in ordered[limit:]:
            del line.offered[step]
            self.budget.offered -= 1
            # The queue drops what is dead when it meets it: that may be late, and the instance may leave before.
            instance, step.line = step.holder, None
            self._queue.withdraw(step)
            step.holder = None
            again = replace(step, holder=instance, live=False, line=line)
            instance.ready[step.path] = again
            line.surplus[again] = None
            self._on_surplus(instance)

    def _end_before(self, line: Line, behind: list[ReadyStep]) -> None:
        """The line's end is just before these, which are in order: before all of their rank, since ranks tie."""
        if behind:
            end = (behind[0].holder.ready_key[0], -1)
            line.end = end if line.end is None or not line.spilled else min(end, line.end)
        elif not line.spilled:
            line.end = None


def _key(step: ReadyStep) -> Key:
    key: Key = step.holder.ready_key
    return key
