"""The lists of steps of a definition and how they stand inside each other, read from its values.

It is read of any document, however wrong, so that one error does not hide another; the checks and the compiler walk the
same tree. What it can't make sense of it leaves out: the models say what is wrong with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..plan import BlockRole
from ..steps.kinds import kind_of
from .graph import Fault, Graph, build, outlines

STEPS_MAX = 500
NESTING_MAX = 8

Path = tuple[str | int, ...]


@dataclass(slots=True, eq=False)
class StepTree:
    """One step: what the YAML says of it, and where. `name` is None for one without a name of its own.

    `at` leads to it in the YAML, `path` is its static path in the plan. `kind` is None where it can't be told.
    """

    name: str | None
    raw: Mapping[str, Any]
    at: Path
    path: str
    kind: str | None
    block: BlockTree
    blocks: list[BlockTree] = field(default_factory=list)

    def inner(self, role: BlockRole, key: str | None = None) -> BlockTree:
        """Its block of a role (and of a branch or case). Raises: StopIteration where it has none."""
        return next(block for block in self.blocks if block.role == role and key in (None, block.key))


@dataclass(slots=True, eq=False)
class BlockTree:
    """One list of steps: see `plan.Block`. `at` leads to it in the YAML; `key` is the name of a branch or case."""

    role: BlockRole
    prefix: str
    at: Path
    owner: StepTree | None
    level: int
    key: str | None = None
    steps: list[StepTree] = field(default_factory=list)
    graph: Graph = field(default_factory=lambda: Graph({}, {}, {}, False))
    faults: list[Fault] = field(default_factory=list)

    def kind_of(self, name: str) -> str | None:
        """The kind of one of its steps, where it can be told."""
        return next((step.kind for step in self.steps if step.name == name), None)

    def walk(self) -> Iterator[StepTree]:
        """Every step in it and inside its steps, in the order of the text but for the keys of a step."""
        for step in self.steps:
            yield step
            for block in step.blocks:
                yield from block.walk()


@dataclass(slots=True, eq=False)
class Tree:
    """All lists of steps of a definition. `count` is how many steps there are; reading stops above `STEPS_MAX`.

    `too_deep` leads to the first list that stands inside too many others, which is left out.
    """

    main: BlockTree
    on_failure: BlockTree | None = None
    on_cancel: BlockTree | None = None
    count: int = 0
    too_deep: Path | None = None

    def blocks(self) -> Iterator[BlockTree]:
        """The lists that stand in no step."""
        yield from (block for block in (self.main, self.on_failure, self.on_cancel) if block is not None)

    def walk(self) -> Iterator[StepTree]:
        """Every step."""
        for block in self.blocks():
            yield from block.walk()

    def step_names(self) -> list[str]:
        """The names of all steps, each once."""
        return list(dict.fromkeys(step.name for step in self.walk() if step.name is not None))

    def signal_names(self) -> list[str]:
        """The names of all signals that are waited for."""
        names = (step.raw.get("wait_for_signal") for step in self.walk())
        return list(dict.fromkeys(name for name in names if isinstance(name, str)))

    def every_block(self) -> Iterator[BlockTree]:
        """Every list, an outer one before those inside it."""
        yield from self.blocks()
        for step in self.walk():
            yield from step.blocks


def read_tree(raw: Mapping[str, Any]) -> Tree:
    """The tree of a definition's values."""
    reading = _Reading()
    tree = Tree(reading.block(raw.get("steps"), BlockTree("main", "", ("steps",), None, 1)))
    if isinstance(raw.get("on_failure"), list):
        block = BlockTree("on_failure", "on_failure.", ("on_failure",), None, 1)
        tree.on_failure = reading.block(raw["on_failure"], block)
    if isinstance(raw.get("on_cancel"), list):
        tree.on_cancel = reading.block(raw["on_cancel"], BlockTree("on_cancel", "on_cancel.", ("on_cancel",), None, 1))
    tree.count, tree.too_deep = reading.count, reading.too_deep
    return tree


class _Reading:
    """A definition being read; `count` are the steps so far."""

    def __init__(self) -> None:
        self.count = 0
        self.too_deep: Path | None = None

    def block(self, steps: Any, block: BlockTree) -> BlockTree:
        """The block with its steps in it."""
        if isinstance(steps, list):
            self.count += len(steps)
        if self.count > STEPS_MAX:
            return block
        block.graph, block.faults = build(outlines(steps), _list_text(block.at))
        for index, raw in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(raw, dict):
                block.steps.append(self._step(raw, (*block.at, index), block))
        return block

    def _step(self, raw: Mapping[str, Any], at: Path, block: BlockTree) -> StepTree:
        name = raw.get("name")
        known = name if isinstance(name, str) and name in block.graph.depends_on else None
        step = StepTree(known, raw, at, f"{block.prefix}{name}", kind_of(raw), block)
        for inner, steps in _inner(step):
            if inner.level > NESTING_MAX:
                self.too_deep = self.too_deep or inner.at
            elif inner.role == "item" and isinstance(steps, dict):
                step.blocks.append(_called(inner, step))
            else:
                step.blocks.append(self.block(steps, inner))
        return step


def _inner(step: StepTree) -> Iterator[tuple[BlockTree, Any]]:
    """The lists of steps that a step has, still without their steps."""
    raw, level = step.raw, step.block.level + 1

    def block(role: BlockRole, part: str, *keys: str, key: str | None = None) -> BlockTree:
        return BlockTree(role, f"{step.path}.{part}", (*step.at, *keys), step, level, key)

    if step.kind == "foreach" and isinstance(raw.get("steps"), list):
        yield block("item", "", "steps"), raw["steps"]
    elif step.kind == "foreach" and "workflow" in raw:
        yield block("item", ""), {}
    elif step.kind == "while" and isinstance(raw.get("steps"), list):
        yield block("iteration", "", "steps"), raw["steps"]
    elif step.kind in ("parallel", "switch"):
        keys = ("parallel",) if step.kind == "parallel" else ("cases",)
        branches = raw.get(keys[0])
        for name, steps in branches.items() if isinstance(branches, dict) else ():
            if isinstance(steps, list):
                yield block("branch", f"{name}.", *keys, name, key=name), steps
    if step.kind == "switch" and isinstance(raw.get("else"), list):
        yield block("branch", "else.", "else", key="else"), raw["else"]
    if isinstance(raw.get("on_failure"), list):
        yield block("handler", "on_failure.", "on_failure"), raw["on_failure"]


def _called(block: BlockTree, owner: StepTree) -> BlockTree:
    """What a foreach runs that calls a workflow: one step, named `run`, with the foreach's input."""
    block.graph = Graph({"run": ()}, {"run": ()}, {"run": frozenset()}, False)
    raw = {key: owner.raw[key] for key in ("workflow", "version", "input", "retry") if key in owner.raw}
    block.steps = [StepTree("run", raw, owner.at, f"{block.prefix}run", "workflow", block)]
    return block


def _list_text(at: Path) -> str:
    """How messages write a list: its last key."""
    return str(at[-1])
