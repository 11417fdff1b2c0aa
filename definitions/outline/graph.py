"""Which step runs after which: dependencies, their order, what is upstream of each, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..words import did_you_mean, nearest

FAULTS_MAX = 1_000
_COMPARED_FAULTS = 100
"""To find the nearest name costs a millisecond: what a hostile text may ask for is bounded."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A step as far as it can be read, even of a definition with errors. `depends_on` is None where it is left out."""

    index: int
    name: str | None
    depends_on: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: at which step, under which key of it (and which item of that). `unknown`: no such step is here."""

    index: int
    keys: tuple[str | int, ...]
    message: str
    found: str | None = None
    near: str | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps by name, in the order of the YAML. `ancestors` is empty for every step when there is a cycle."""

    depends_on: Mapping[str, tuple[str, ...]]
    dependents: Mapping[str, tuple[str, ...]]
    ancestors: Mapping[str, frozenset[str]]
    cyclic: bool


def outlines(steps: Any) -> list[Outline]:
    """What can be read of a list of steps, whatever it is."""
    if not isinstance(steps, list):
        return []
    return [_outline(index, step) for index, step in enumerate(steps) if isinstance(step, dict)]


def _outline(index: int, step: Mapping[str, Any]) -> Outline:
    name, given = step.get("name"), step.get("depends_on")
    depends_on = tuple(item for item in given if isinstance(item, str)) if isinstance(given, list) else None
    return Outline(index, name if isinstance(name, str) else None, depends_on)


def build(steps: Sequence[Outline], at: str = "steps") -> tuple[Graph, list[Fault]]:
    """The graph of a list of steps, and its faults: doubled names, unknown, doubled and own dependencies, cycles.

    `at` is how messages write the list.
    """
    faults: list[Fault] = []
    depends_on: dict[str, tuple[str, ...]] = {}
    first_at: dict[str, int] = {}
    names = {step.name for step in steps if step.name is not None}
    before: str | None = None
    for step in steps:
        if step.name is None:
            continue
        if step.name in depends_on:
            message = f"`{step.name}` is the name of {at}[{first_at[step.name]}] as well; names are unique"
            faults.append(Fault(step.index, ("name",), message, step.name))
        else:
            first_at[step.name] = step.index
            depends_on[step.name] = _dependencies(step, before, names, faults)
        before = step.name
    ancestors = _ancestors(depends_on)
    if ancestors is None:
        cycle = _cycle(depends_on)
        index = first_at[cycle[0]]
        message = f"steps depend on each other in a circle: {' -> '.join([*cycle, cycle[0]])}"
        faults.append(Fault(index, ("depends_on",), message, cycle[0]))
    return Graph(depends_on, _dependents(depends_on), ancestors or {}, ancestors is None), faults


def _dependencies(step: Outline, before: str | None, names: Iterable[str], faults: list[Fault]) -> tuple[str, ...]:
    if step.depends_on is None:
        return () if before is None or before == step.name else (before,)
    known: dict[str, None] = {}
    for at, name in enumerate(step.depends_on):
        if len(faults) >= FAULTS_MAX:
            break
        place = ("depends_on", at)
        if name == step.name:
            faults.append(Fault(step.index, place, f"`{name}` depends on itself", name))
        elif name not in names:
            others = [other for other in names if other != step.name] if len(faults) < _COMPARED_FAULTS else ()
            near = nearest(name, others)
            message = f"there is no step `{name[:100]}`{did_you_mean(near)}"
            faults.append(Fault(step.index, place, message, name[:100], near, unknown=True))
        elif name in known:
            faults.append(Fault(step.index, place, f"`{name}` stands twice", name))
        else:
            known[name] = None
    return tuple(known)


def _dependents(depends_on: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    dependents: dict[str, list[str]] = {name: [] for name in depends_on}
    for name, needed in depends_on.items():
        for other in needed:
            dependents[other].append(name)
    return {name: tuple(others) for name, others in dependents.items()}


def _ancestors(depends_on: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]] | None:
    """All steps upstream of each, in the order of the graph; None when there is a cycle."""
    ancestors: dict[str, frozenset[str]] = {}
    waiting = dict(depends_on)
    while waiting:
        before = len(waiting)
        for name, needed in list(waiting.items()):
            if all(other in ancestors for other in needed):
                del waiting[name]
                ancestors[name] = frozenset(needed).union(*(ancestors[other] for other in needed))
        if len(waiting) == before:
            return None
    return ancestors


def _cycle(depends_on: Mapping[str, tuple[str, ...]]) -> list[str]:
    """One cycle, beginning with that of its steps which stands first; each step depends on the next."""
    remaining = dict(depends_on)
    while True:
        leaves = [name for name, needed in remaining.items() if not any(other in remaining for other in needed)]
        if not leaves:
            break
        for name in leaves:
            del remaining[name]
    path = [next(iter(remaining))]
    while True:
        following = next(other for other in remaining[path[-1]] if other in remaining)
        if following in path:
            cycle = path[path.index(following) :]
            first = cycle.index(min(cycle, key=list(depends_on).index))
            return cycle[first:] + cycle[:first]
        path.append(following)
