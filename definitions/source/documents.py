"""YAML 1.2 to values with places, safely: no tags, no merge keys, bounded size, depth and aliases.

ruamel.yaml parses into events; the values are built here, since its own constructors know neither bounds nor places.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from ..errors import Violation
from ..words import shown
from .nodes import LINE_BREAK, Document, Node
from .scalars import plain_scalar

SOURCE_MAX_BYTES = 524_288
DEPTH_MAX = 64
VALUES_MAX = 20_000
WEIGHT_MAX = 1_048_576
"""Values and characters of one document with every alias written out."""


class _Stop(Exception):
    """Reading can't go on; the violation says why."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.message)
        self.violation = violation


def read_documents(source: str | bytes) -> tuple[str, list[Document], list[Violation]]:
    """The text, its documents (empty ones left out) and what is wrong with it as YAML. Never raises.

    After an error of syntax the documents before it are returned.
    """
    documents: list[Document] = []
    violations: list[Violation] = []
    text = ""
    try:
        text = _decoded(source)
        _Reading(text, documents, violations).run()
    except _Stop as stop:
        violations.append(stop.violation)
    return text, documents, violations


def _decoded(source: str | bytes) -> str:
    if len(source) > SOURCE_MAX_BYTES:
        found = f"{len(source)} bytes"
        raise _Stop(Violation("", f"the text has {found}; at most {SOURCE_MAX_BYTES} are allowed", 1, 1, found))
    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        line, column = _place(before, len(before))
        found = f"byte 0x{raw[error.start]:02x}"
        raise _Stop(
            Violation("", f"found {found}, which is not UTF-8; definitions are UTF-8", line, column, found)
        ) from None


def _place(text: str, index: int) -> tuple[int, int]:
    breaks = list(LINE_BREAK.finditer(text, 0, index))
    return len(breaks) + 1, index - (breaks[-1].end() if breaks else 0) + 1


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read; `key` is the mapping's key that waits for its value."""

    node: Node
    anchor: str | None
    key: str | None = None
    key_node: Node | None = None


@dataclass(slots=True)
class _Reading:
    """A text being read: finished documents and violations go into the given lists."""

    text: str
    documents: list[Document]
    violations: list[Violation]
    anchors: dict[str, Node] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    root: Node | None = None
    count: int = 0

    def run(self) -> None:
        """Raises: _Stop."""
        begin = 0
        for event in self._events():
            if isinstance(event, DocumentStartEvent):
                self.anchors, self.stack, self.root = {}, [], None
                self._check_directives(event)
            elif isinstance(event, DocumentEndEvent):
                end: int = event.end_mark.index
                if self.root is not None and self.root.value is not None:
                    self.documents.append(Document(self.root, self.text[begin:end], self.text))
                begin = end
            else:
                self._take(event)

    def _events(self) -> Iterator[Any]:
        """The parser's events. Whatever the library raises on hostile bytes is an error of syntax."""
        events = YAML(typ="safe", pure=True).parse(self.text)
        while True:
            try:
                event = next(events, None)
            except MarkedYAMLError as error:
                mark = error.problem_mark or error.context_mark
                line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
                raise _Stop(Violation("", f"YAML syntax: {_sentence(error)}", line, column)) from error
            except ReaderError as error:
                line, column = _place(self.text, error.position)
                code = ord(error.character) if isinstance(error.character, str) else error.character
                found = f"character U+{code:04X}"
                raise _Stop(Violation("", f"found {found}, which YAML does not allow", line, column, found)) from error
            except Exception as error:
                line, column = self._last_place()
                raise _Stop(Violation("", f"YAML syntax: {type(error).__name__}: {error}", line, column)) from error
            if event is None:
                return
            yield event

    def _take(self, event: Any) -> None:
        if isinstance(event, ScalarEvent):
            self._add(self._scalar(event), event.anchor, scalar=event)
        elif isinstance(event, AliasEvent):
            self._alias(event)
        elif isinstance(event, SequenceStartEvent | MappingStartEvent):
            self._open(event)
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            self._close(event)

    def _open(self, event: SequenceStartEvent | MappingStartEvent) -> None:
        node = self._node([] if isinstance(event, SequenceStartEvent) else {}, event)
        if len(self.stack) >= DEPTH_MAX:
            raise _Stop(_too_deep(node))
        self.stack.append(_Open(node, event.anchor))

    def _close(self, event: SequenceEndEvent | MappingEndEvent) -> None:
        closed = self.stack.pop()
        closed.node.end = event.end_mark.index
        self._add(closed.node, closed.anchor)

    def _alias(self, event: AliasEvent) -> None:
        target = self.anchors.get(event.anchor)
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if target is None:
            found = f"*{event.anchor}"
            message = f"found {found}, but no `&{event.anchor}` ends before it"
            self.violations.append(Violation("", message, line, column, found))
            target = Node(None, line, column)
        self._add(target, None)

    def _add(self, node: Node, anchor: str | None, scalar: ScalarEvent | None = None) -> None:
        """A finished value takes its place in what is open."""
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        above = self.stack[-1]
        if isinstance(above.node.value, list):
            above.node.children[len(above.node.value)] = node
            above.node.value.append(node.value)
        elif above.key_node is None:
            above.key_node, above.key = node, self._key(above.node, node, scalar)
        else:
            if node.value is None and node.start == node.end:
                # Nothing was written: the parser is already at the next word, the author still at the key.
                node.line, node.column = above.key_node.line, above.key_node.column
            if above.key is not None:
                above.node.children[above.key] = node
                above.node.value[above.key] = node.value
            above.key_node = None
        self._weigh(above.node, node)

    def _weigh(self, above: Node, node: Node) -> None:
        above.height = max(above.height, node.height + 1)
        if len(self.stack) + node.height > DEPTH_MAX:  # an alias may be deeper than what is written here
            raise _Stop(_too_deep(node))
        above.weight += node.weight
        if above.weight > WEIGHT_MAX:
            message = f"with its aliases written out the document is larger than {WEIGHT_MAX} characters, the limit"
            raise _Stop(Violation("", message, node.line, node.column))

    def _key(self, mapping: Node, node: Node, scalar: ScalarEvent | None) -> str | None:
        """The key, or None for one that is refused: its value is then read and left out."""
        key = node.value
        if scalar is not None and key == "<<" and scalar.style is None:
            self._refuse(node, "merge keys (`<<`) are not part of YAML 1.2; write the keys out", "<<")
            return None
        if not isinstance(key, str) and self._names_cases() and scalar is not None:
            key = "null" if key is None else json.dumps(key)
        if not isinstance(key, str):
            found = shown(key)
            advice = f'; quote it: "{scalar.value}"' if scalar is not None and len(scalar.value) <= 40 else ""
            self._refuse(node, f"a key must be a string, not {found}{advice}", found)
            return None
        if key in mapping.key_places:
            line = mapping.key_places[key][0]
            self._refuse(node, f"`{key[:100]}` stands twice in one mapping; the first is on line {line}", key[:100])
            return None
        mapping.key_places[key] = (node.line, node.column)
        return key

    def _names_cases(self) -> bool:
        """Whether the mapping stands under the key `cases` of an item of a list, as a step is: its keys are values."""
        above = self.stack[-3:-1]
        return len(above) == 2 and above[1].key == "cases" and isinstance(above[0].node.value, list)

    def _scalar(self, event: ScalarEvent) -> Node:
        node = self._node(event.value, event)
        node.end = event.end_mark.index
        if event.style is None and event.tag is None:
            try:
                node.value = plain_scalar(event.value)
            except ValueError as error:
                self._refuse(node, str(error), shown(event.value))
        elif any("\ud800" <= character <= "\udfff" for character in event.value):
            self._refuse(node, "the text holds half of a surrogate pair, which is not valid Unicode")
            node.value = ""
        node.weight += len(event.value)
        return node

    def _node(self, value: Any, event: Any) -> Node:
        mark = event.start_mark
        node = Node(value, mark.line + 1, mark.column + 1, mark.index, mark.index)
        self.count += 1
        if self.count > VALUES_MAX:
            raise _Stop(Violation("", f"more than {VALUES_MAX} values, the limit", node.line, node.column))
        if event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._refuse(node, f"tags are not allowed: found {tag}", tag)
        return node

    def _check_directives(self, event: DocumentStartEvent) -> None:
        if event.version is not None and tuple(event.version) != (1, 2):
            found = ".".join(map(str, event.version))
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            self.violations.append(Violation("", f"found YAML {found}; definitions are YAML 1.2", line, column, found))

    def _refuse(self, node: Node, message: str, found: str | None = None) -> None:
        self.violations.append(Violation("", message, node.line, node.column, found))

    def _last_place(self) -> tuple[int, int]:
        node = self.stack[-1].node if self.stack else None
        return (1, 1) if node is None else (node.line, node.column)


def _too_deep(node: Node) -> Violation:
    return Violation("", f"nested deeper than {DEPTH_MAX} levels, the limit", node.line, node.column)


def _sentence(error: MarkedYAMLError) -> str:
    """The library's two halves of an error, without its excerpt."""
    problem = " ".join(str(error.problem or "").split())
    context = " ".join(str(error.context or "").split())
    return f"{problem} ({context})" if context else problem
