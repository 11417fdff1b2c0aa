"""What the insides of a foreach speak of outside it: its items run elsewhere, so that has to be taken along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..outline import Layer, StepTree, Tree, layers, places
from ..templates import Reference, ValueCompiler, has_template

CHANGING = frozenset({"vars", "signals"})
"""The names whose values may change while a step waits."""


@dataclass(slots=True)
class Spoken:
    """`steps`: names of steps outside. `reads`: which of the names that change."""

    steps: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)


def spoken_inside(tree: Tree, values: ValueCompiler) -> dict[str, Spoken]:
    """By the static path of each foreach. Raises: DefinitionError for what is no valid template."""
    found = {step.path: Spoken() for step in tree.walk() if step.kind == "foreach"}
    for step in tree.walk() if found else ():
        around = list(_loops_around(step))
        for place in places(step) if around else ():
            if has_template(place.value):
                seen = layers(tree, step, place.sight)
                for reference in values.compile_always(place.value, place.at).references:
                    _take(reference, seen, around, found)
    return found


def _loops_around(step: StepTree) -> Iterator[str]:
    block = step.block
    while block.owner is not None:
        if block.role == "item":
            yield block.owner.path
        block = block.owner.block


def _take(reference: Reference, seen: tuple[Layer, ...], around: list[str], found: dict[str, Spoken]) -> None:
    if reference.name in CHANGING:
        for path in around:
            found[path].reads.add(reference.name)
    elif reference.name == "steps":
        name = reference.keys[0] if reference.keys and isinstance(reference.keys[0], str) else None
        for path, outside in _crossings(name, seen):
            found[path].steps.update(outside)


def _crossings(name: str | None, seen: tuple[Layer, ...]) -> Iterator[tuple[str, set[str]]]:
    """Each foreach that a look outwards goes through, with the steps meant outside it: all visible ones for no name."""
    crossed: list[str] = []
    inside: set[str] = set()
    for layer in seen:
        meant = set(layer.visible) - inside if name is None else {name} & set(layer.visible)
        yield from ((path, meant) for path in crossed)
        if name is not None and meant:
            return
        inside |= meant
        if layer.block.role == "item" and layer.block.owner is not None:
            crossed.append(layer.block.owner.path)
