"""Where steps may stand, and how many: what the models can't see, since it is about a step's surroundings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import Violation
from ..outline import NESTING_MAX, STEPS_MAX, BlockTree, StepTree, Tree
from ..source.nodes import Document
from ..templates import path_text
from ..words import did_you_mean

Path = tuple[str | int, ...]


def rule_violations(tree: Tree, document: Document, raw: Mapping[str, Any]) -> Iterator[Violation]:
    """Everything about the places of steps."""
    yield from _bounds(tree, document, raw)
    names = frozenset(tree.step_names())
    for block in tree.every_block():
        yield from _graph(block, names, document)
        for step in block.steps:
            yield from _of_step(step, document, raw)


def _bounds(tree: Tree, document: Document, raw: Mapping[str, Any]) -> Iterator[Violation]:
    steps = raw.get("steps")
    if tree.count > STEPS_MAX and isinstance(steps, list) and len(steps) <= STEPS_MAX:
        line, column = document.root.key_place(("steps",))
        message = f"found more than {STEPS_MAX} steps, those inside steps counted; move some into a sub-workflow"
        yield Violation("steps", message, line, column)
    if tree.too_deep is not None:
        message = f"steps stand inside each other deeper than {NESTING_MAX} levels; move some into a sub-workflow"
        node = document.root.at(tree.too_deep)
        yield Violation(path_text(tree.too_deep), message, node.line, node.column)


def _graph(block: BlockTree, names: frozenset[str], document: Document) -> Iterator[Violation]:
    for fault in block.faults:
        path = (*block.at, fault.index, *fault.keys)
        node = document.root.at(path)
        message, near = fault.message, fault.near
        if fault.unknown and fault.found in names:
            message = f"`{fault.found}` stands in another list of steps; `depends_on` names those of its own"
            message += did_you_mean(near)
        yield Violation(path_text(path), message, node.line, node.column, fault.found, nearest=near)


def _of_step(step: StepTree, document: Document, raw: Mapping[str, Any]) -> Iterator[Violation]:
    message = None
    if step.kind in ("succeed", "wait_for_signal", "set", "remember"):
        message = _misplaced(step, step.kind)
    if message is None and step.kind == "remember" and "memory" not in raw:
        message = "`remember` has no effect in a definition without a memory: add `memory: {key: ...}` to it"
    if message is not None and step.kind is not None:
        path = (*step.at, step.kind)
        line, column = document.root.key_place(path)
        yield Violation(path_text(path), message, line, column, step.kind)


_WAYS_OUT = {
    **dict.fromkeys(
        ("succeed", "wait_for_signal"),
        "call a sub-workflow for each item (`workflow:` in place of `steps:`) that has it",
    ),
    **dict.fromkeys(("set", "remember"), "let it follow the `foreach`, and take the values from its result"),
}


def _misplaced(step: StepTree, kind: str) -> str | None:
    for block in _around(step):
        if block.role == "item":
            return f"`{kind}` can't stand inside a `foreach`, whose items run apart; {_WAYS_OUT[kind]}"
        if kind == "succeed" and block.role in ("on_failure", "on_cancel"):
            return f"`succeed` can't stand in the definition's `{block.role}`: how the instance ends is settled by then"
    return None


def _around(step: StepTree) -> Iterator[BlockTree]:
    block = step.block
    yield block
    while block.owner is not None:
        block = block.owner.block
        yield block
