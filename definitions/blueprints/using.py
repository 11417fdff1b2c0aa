"""A step that uses a block becomes a `switch` whose only case is the block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import Violation
from ..source.documents import DEPTH_MAX
from ..source.nodes import Key, Node
from ..steps.kinds import KINDS
from ..templates import path_text
from ..words import did_you_mean, kind, listed, nearest
from .building import Builder, Entry, TooLarge, too_deep
from .placing import Placing
from .spec import BlockSpec
from .values import Giver, checked

Path = tuple[Key, ...]

_LISTS = ("steps", "else", "on_failure")
_LISTS_BY_NAME = ("cases", "parallel")
DOCUMENT_LISTS = ("steps", "on_failure", "on_cancel")
_NOTHING = Node({}, 0, 0)


@dataclass(frozen=True, slots=True)
class Block:
    """A block that can be used: what it declares, and the node of its mapping. `shared`: it is of another text."""

    spec: BlockSpec
    node: Node
    shared: bool = False


@dataclass(slots=True)
class Using:
    """Writes the blocks out in the steps of one document. Faults go into `violations`."""

    blocks: Mapping[str, Block]
    builder: Builder
    violations: list[Violation]
    _open: list[str] = field(default_factory=list)

    def document(self, root: Node) -> Node:
        """The document's mapping with its blocks written out; the very same where it uses none. Raises: TooLarge."""
        return self._with_lists(root, (), DOCUMENT_LISTS, (), 0)

    def _with_lists(self, node: Node, path: Path, lists: tuple[str, ...], named: tuple[str, ...], depth: int) -> Node:
        """A mapping in which lists of steps stand under some keys, or mappings of such lists."""
        self.builder.count(node, nodes=len(node.children))
        if depth > DEPTH_MAX:
            raise TooLarge(too_deep(node))
        entries: list[Entry] = []
        for key, child in node.children.items():
            if key in lists and isinstance(child.value, list):
                made = self._steps(child, (*path, key), depth)
            elif key in named and isinstance(child.value, dict):
                made = self._with_lists(child, (*path, key), tuple(map(str, child.children)), (), depth + 1)
            else:
                made = child
            entries.append((str(key), node.key_places[str(key)], made))
        same = all(made is child for (_, _, made), child in zip(entries, node.children.values(), strict=True))
        return node if same else self.builder.mapping(node, entries)

    def _steps(self, node: Node, path: Path, depth: int) -> Node:
        made = [self._step(child, (*path, at), depth) for at, child in node.children.items()]
        same = all(one is child for one, child in zip(made, node.children.values(), strict=True))
        return node if same else self.builder.sequence(node, made)

    def _step(self, node: Node, path: Path, depth: int) -> Node:
        if not isinstance(node.value, dict):
            return node
        if "use" not in node.children:
            return self._with_lists(node, path, _LISTS, _LISTS_BY_NAME, depth + 1)
        entries = list(self._written_out(node, path, depth))
        own = self.builder.mapping(node, entries)
        return own if "on_failure" not in own.children else self._with_lists(own, path, ("on_failure",), (), depth + 1)

    def _written_out(self, node: Node, path: Path, depth: int) -> Iterator[Entry]:
        """The keys of a step that uses a block, as those of a switch."""
        use = node.children["use"]
        name = use.value if isinstance(use.value, str) else None
        steps = self._block(node, path, depth)
        if "name" not in node.children and name is not None:
            yield "name", node.key_places["use"], self.builder.scalar(use, name)
        for key, child in node.children.items():
            place = node.key_places[str(key)]
            if key == "use" and name is not None:
                yield "switch", place, self.builder.scalar(use, f"{{{{ '{name[:200]}' }}}}")
                if steps is not None:
                    yield "cases", place, self.builder.mapping(use, [(name, (use.line, use.column), steps)])
            elif key not in ("use", "with", *KINDS, "cases"):
                yield str(key), place, child

    def _block(self, node: Node, path: Path, depth: int) -> Node | None:
        """The steps of the block that a step uses; None where it can't be used, as the violations say."""
        use = node.children["use"]
        other = next((kind for kind in KINDS if kind in node.children), None)
        if other is not None:
            place = node.key_place((other,))
            self._wrong((*path, other), f"found `{other}` beside `use`; a step is one of both", place)
            return None
        found = self.blocks.get(use.value) if isinstance(use.value, str) else None
        if found is None:
            self._unknown(use, path)
            return None
        if use.value in self._open:
            circle = " -> ".join([*self._open[self._open.index(use.value) :], use.value])
            message = f"blocks use each other in a circle: {circle}"
            self._wrong((*path, "use"), message, (use.line, use.column))
            return None
        block = self.builder.moved(found.node, use) if found.shared else found.node
        before = len(self.violations)
        placing = self._placing(found.spec, block, node, path)
        if placing is None or len(self.violations) > before:
            return None
        self._open.append(use.value)
        steps = placing.placed(block.children["steps"], ("blocks", use.value, "steps"))
        made = self._steps(steps, (*path, "cases", use.value), depth + 1)
        self._open.pop()
        return made

    def _placing(self, spec: BlockSpec, block: Node, node: Node, path: Path) -> Placing | None:
        """What puts the values that a step gives into the block."""
        given = node.children.get("with")
        if given is not None and not isinstance(given.value, dict):
            message = f"found {kind(given.value)}; the parameters of a block are a mapping"
            self._wrong((*path, "with"), message, (given.line, given.column))
            return None
        use = node.children["use"]
        giver = Giver(f"of the block `{use.value}`", (*path, "with"), use.line, use.column, given)
        declarations = block.children.get("parameters", _NOTHING)
        values, faults = checked(spec.parameters or {}, declarations, {} if given is None else given.value, giver)
        self.violations += faults
        return Placing(values, self.builder, self.violations)

    def _unknown(self, use: Node, path: Path) -> None:
        place = use.line, use.column
        if not isinstance(use.value, str):
            self._wrong((*path, "use"), f"found {kind(use.value)}; allowed: the name of a block", place)
            return
        near = nearest(use.value, self.blocks)
        there_are = f"there are: {listed(self.blocks)}" if self.blocks else "define it under `blocks`"
        end = did_you_mean(near) if near else f"; {there_are}"
        self._wrong((*path, "use"), f"there is no block `{use.value[:100]}`{end}", place)

    def _wrong(self, path: Path, message: str, place: tuple[int, int]) -> None:
        self.violations.append(Violation(path_text(path), message, *place))
