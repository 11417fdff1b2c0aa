"""Where the templates of a step stand, and what is visible from there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .tree import BlockTree, Path, StepTree, Tree

Sight = Literal["step", "approved", "while", "compensation"]
"""What a template sees: what its step sees; also its approval; for the condition of a while its body too; for a
compensation its step."""

_VALUES = {
    None: ("input", "with", "model"),
    "executor": ("input", "with", "model"),
    "workflow": ("input",),
    "until": ("until",),
    "set": ("set",),
    "remember": ("remember",),
    "fail": ("fail",),
    "succeed": ("succeed",),
    "switch": ("switch",),
}
# Their values are made after the decision.
_APPROVED = ("executor", "workflow")
_EXPRESSIONS = {"foreach": "foreach", "while": "while"}


@dataclass(frozen=True, slots=True)
class Place:
    """A value with templates, perhaps. `expression`: it has to be one expression and nothing else."""

    at: Path
    value: Any
    sight: Sight = "step"
    expression: bool = False


def places(step: StepTree) -> Iterator[Place]:
    """The values of a step that may hold templates, those of the steps inside it left out."""
    raw, at = step.raw, step.at
    if "if" in raw:
        yield Place((*at, "if"), stripped(raw["if"]), expression=True)
    key = _EXPRESSIONS.get(step.kind or "")
    if key is not None:
        value = stripped(raw[key])
        yield Place((*at, key), value, "while" if key == "while" else "step", expression=isinstance(value, str))
    sight: Sight = "approved" if raw.get("requires_approval") is True and step.kind in _APPROVED else "step"
    for key in _VALUES.get(step.kind, ()):
        yield from _values(raw, key, at, sight)
    compensate = raw.get("compensate")
    if isinstance(compensate, dict):
        for key in ("input", "with"):
            yield from _values(compensate, key, (*at, "compensate"), "compensation")


def stripped(value: Any) -> Any:
    """An expression as it is compiled: white space around it would make it text."""
    return value.strip() if isinstance(value, str) else value


def _values(raw: Any, key: str, at: Path, sight: Sight) -> Iterator[Place]:
    value = raw.get(key)
    if key == "with" and isinstance(value, dict):
        for inner, part in value.items():
            yield Place((*at, key, inner), part, sight)
    elif key in raw:
        yield Place((*at, key), stripped(value) if key in ("switch", "until") else value, sight)


@dataclass(frozen=True, slots=True)
class Layer:
    """What is visible of one list of steps. `step` is the one that looks, or has it inside; None sees all of it."""

    block: BlockTree
    visible: Collection[str]
    step: str | None = None


def layers(tree: Tree, step: StepTree | None, sight: Sight = "step") -> tuple[Layer, ...]:
    """The lists of steps that a template sees something of, the nearest first. No step: that of the outputs."""
    if step is None:
        return (_whole(tree.main),)
    found = [_upstream(step)]
    if sight == "while":
        found[:0] = [_whole(block) for block in step.blocks if block.role == "iteration"]
    if sight == "compensation" and step.name is not None:
        found = [Layer(step.block, frozenset({*found[0].visible, step.name}), step.name)]
    block = step.block
    while block.owner is not None:
        found.append(_upstream(block.owner))
        block = block.owner.block
    if block is not tree.main:
        found.append(_whole(tree.main))
    return tuple(found)


def _whole(block: BlockTree) -> Layer:
    return Layer(block, block.graph.depends_on)


def _upstream(step: StepTree) -> Layer:
    name = step.name
    return Layer(step.block, () if name is None else step.block.graph.ancestors.get(name, ()), name)


_GIVEN: dict[str, tuple[str, ...]] = {
    "item": ("item", "index"),
    "iteration": ("index",),
    "handler": ("error",),
    "on_failure": ("error",),
    "on_cancel": ("error",),
}


def given_names(step: StepTree, sight: Sight = "step") -> frozenset[str]:
    """The names that a template sees because of where it stands: `item`, `index`, `error`, `approval`.

    A compensation inside a foreach has its input made when its item is done: there is no error then.
    """
    names: set[str] = set()
    block: BlockTree | None = step.block
    in_item = False
    while block is not None:
        in_item = in_item or block.role == "item"
        names.update(_GIVEN.get(block.role, ()))
        block = block.owner.block if block.owner is not None else None
    if sight == "approved":
        names.add("approval")
    if sight == "compensation":
        names.discard("error") if in_item else names.add("error")
    return frozenset(names)
