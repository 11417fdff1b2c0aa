"""Nodes made of nodes, within the bounds of what a text may hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..errors import Violation
from ..source.documents import DEPTH_MAX, VALUES_MAX, WEIGHT_MAX
from ..source.nodes import Node

Place = tuple[int, int]
Entry = tuple[str, Place, Node]
"""A key, where it stands, and its value."""

NODES_MAX = 5 * VALUES_MAX
"""Nodes that may be made or looked at for one document: about a second of work. What is stored has VALUES_MAX."""


class TooLarge(Exception):
    """What is being written out grows beyond its bounds; the violation says where."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.message)
        self.violation = violation


class Builder:
    """Makes new nodes of one document. Everything made counts; the work done is thereby bounded as well."""

    def __init__(self) -> None:
        self._weight = 0
        self._nodes = 0

    def mapping(self, at: Node, entries: Iterable[Entry]) -> Node:
        """A mapping in the place of `at`. Keys are unique. Raises: TooLarge."""
        node = self._empty(at, {})
        for key, place, child in entries:
            node.value[key] = child.value
            node.children[key] = child
            node.key_places[key] = place
            self._hold(node, child, 1 + len(key))
        return node

    def sequence(self, at: Node, items: Iterable[Node]) -> Node:
        """A list in the place of `at`. Raises: TooLarge."""
        node = self._empty(at, [])
        for index, child in enumerate(items):
            node.value.append(child.value)
            node.children[index] = child
            self._hold(node, child, 0)
        return node

    def scalar(self, at: Node, value: Any) -> Node:
        """A string, number, boolean or null in the place of `at`. Raises: TooLarge."""
        node = self._empty(at, value)
        node.weight += len(value) if isinstance(value, str) else 8
        self.count(at, weight=node.weight)
        return node

    def value(self, at: Node, value: Any) -> Node:
        """Any JSON value, all of it in the place of `at`. Raises: TooLarge."""
        place = at.line, at.column
        if isinstance(value, dict):
            return self.mapping(at, ((key, place, self.value(at, item)) for key, item in value.items()))
        if isinstance(value, list):
            return self.sequence(at, (self.value(at, item) for item in value))
        return self.scalar(at, value)

    def moved(self, node: Node, at: Node) -> Node:
        """The same value, all of it in the place of `at`. Raises: TooLarge."""
        return self.value(at, node.value)

    def _empty(self, at: Node, value: Any) -> Node:
        return replace(at, value=value, weight=1, height=0, children={}, key_places={})

    def _hold(self, above: Node, child: Node, key_weight: int) -> None:
        above.weight += child.weight + key_weight
        above.height = max(above.height, child.height + 1)
        self.count(child, weight=key_weight)
        if above.weight > WEIGHT_MAX:
            raise TooLarge(_too_large(child))
        if above.height > DEPTH_MAX:
            raise TooLarge(too_deep(child))

    def count(self, at: Node, *, nodes: int = 1, weight: int = 0) -> None:
        """Something was made or looked at. Raises: TooLarge when that was too much."""
        self._nodes += nodes
        self._weight += weight
        if self._nodes > NODES_MAX:
            message = f"written out, the definition has more than {VALUES_MAX} values, the limit; use fewer blocks"
            raise TooLarge(Violation("", message, at.line, at.column))
        if self._weight > WEIGHT_MAX:
            raise TooLarge(_too_large(at))


def _too_large(node: Node) -> Violation:
    message = f"written out, the definition is larger than {WEIGHT_MAX} characters, the limit; use fewer blocks"
    return Violation("", message, node.line, node.column)


def too_deep(node: Node) -> Violation:
    """The refusal of what is nested too deep."""
    message = f"written out, the definition is nested deeper than {DEPTH_MAX} levels, the limit; use fewer blocks"
    return Violation("", message, node.line, node.column)
