"""Definitions as a test names them: as objects, as YAML, or as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...definitions import Definition, Plan, load

Source = Definition | Plan | Path | str
"""A definition, a plan, YAML text (of more than one line), or the path of a YAML file."""


@dataclass(frozen=True, slots=True)
class Playable:
    """A plan, and the check of what its starts give."""

    plan: Plan
    check: Callable[[Mapping[str, Any]], dict[str, Any]]


class Library:
    """The definitions of a run, by name and version. The first one is the one to play."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._known: dict[tuple[str, int], Playable] = {}
        self._active: dict[str, Playable] = {}
        for source in sources:
            for playable in _playables(source):
                self._add(playable)

    @property
    def first(self) -> Playable:
        return next(iter(self._known.values()))

    def find(self, name: str, version: int | None) -> Playable | None:
        """A version of it; None asks for the active one, which is the highest here."""
        return self._active.get(name) if version is None else self._known.get((name, version))

    def _add(self, playable: Playable) -> None:
        plan = playable.plan
        self._known[plan.name, plan.version] = playable
        active = self._active.get(plan.name)
        if active is None or active.plan.version < plan.version:
            self._active[plan.name] = playable


def _playables(source: Source) -> Iterable[Playable]:
    """Raises: DefinitionError for YAML that is no definition; OSError for a file that can't be read."""
    if isinstance(source, Plan):
        return [Playable(source, dict)]
    if isinstance(source, Definition):
        definitions = [source]
    elif isinstance(source, Path) or "\n" not in source:
        definitions = load(Path(source).read_bytes(), origin=str(source))
    else:
        definitions = load(source)
    return [Playable(definition.compile(), definition.check_params) for definition in definitions]
