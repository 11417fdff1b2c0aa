"""A YAML text as values with places: what stands where, for messages that point at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Key = str | int

_OPENING = re.compile(r"\{\{|\{%|\{#")
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What the YAML reader counts as the end of a line."""


@dataclass(slots=True)
class Node:
    """One value with the place where it begins; `line` and `column` count from 1.

    `start` and `end` are its slice of the text. `weight` is its size with every alias written out: one for each value
    and for each character; `height` is how many levels of mappings and lists it has.
    """

    value: Any
    line: int
    column: int
    start: int = 0
    end: int = 0
    weight: int = 1
    height: int = 0
    children: dict[Key, Node] = field(default_factory=dict)
    key_places: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def at(self, path: tuple[Key, ...]) -> Node:
        """The node at a path, or the nearest one above it that exists."""
        node = self
        for key in path:
            below = node.children.get(key)
            if below is None:
                break
            node = below
        return node

    def key_place(self, path: tuple[Key, ...]) -> tuple[int, int]:
        """Where the last key of the path stands; where that is unknown, the value."""
        parent = self.at(path[:-1])
        if path and path[-1] in parent.key_places:
            return parent.key_places[path[-1]]
        node = self.at(path)
        return node.line, node.column


@dataclass(slots=True)
class Document:
    """One YAML document: its root, its own part of the text, and the whole text, which places refer to."""

    root: Node
    source: str
    text: str

    def locator(self, path: tuple[Key, ...]) -> Callable[[int, str], tuple[int, int]]:
        """What finds lines of the templates in the string at this path: see `TemplatePlaces.find`.

        It holds on to that string alone, since a plan keeps it for ever.
        """
        return TemplatePlaces(self.root.at(path), self.text).find


class TemplatePlaces:
    """Where the templates of one string stand in the YAML.

    A line of the string is not always a line of the YAML: quoted and folded scalars are joined from several. Each
    `{{` of the string is paired with its own in the YAML, and lines are counted from there.
    """

    def __init__(self, node: Node, text: str) -> None:
        self._begin = node.line, node.column
        raw = text[node.start : node.end]
        value = node.value if isinstance(node.value, str) else ""
        in_value = [match.start() for match in _OPENING.finditer(value)]
        in_raw = [match.start() for match in _OPENING.finditer(raw)]
        if len(in_raw) != len(in_value):  # a blueprint's `${{ }}` are in the YAML, and in the string no more
            in_raw = [at for at in in_raw if not raw.startswith("$", at - 1)]
        self._raw = raw
        self._openings = list(_paired(value, raw, in_value, in_raw, node)) if len(in_value) == len(in_raw) else []

    def find(self, lineno: int, word: str) -> tuple[int, int]:
        """Line and column of a word in the template that stands on this line of the string; of its `{{` without one."""
        if not self._openings:
            return self._begin
        last = max((at for at, opening in enumerate(self._openings) if opening.lineno <= lineno), default=0)
        first = min((at for at, opening in enumerate(self._openings) if opening.lineno == lineno), default=last)
        if word:
            for at in [*range(first, last + 1), max(first - 1, 0)]:  # the one before may reach into this line
                found = self._word(at, word)
                if found is not None:
                    return found
        opening = self._openings[first]
        if opening.lineno == lineno:
            return opening.line, opening.column
        return self._line_within(opening, lineno - opening.lineno)

    def _word(self, at: int, word: str) -> tuple[int, int] | None:
        opening = self._openings[at]
        end = self._openings[at + 1].offset if at + 1 < len(self._openings) else len(self._raw)
        found = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w-])").search(self._raw, opening.offset, end)
        return None if found is None else _moved(self._raw, opening.offset, found.start(), opening.line, opening.column)

    def _line_within(self, opening: _Opening, lines: int) -> tuple[int, int]:
        """A later line of a template that goes over several: its first character that is no space."""
        breaks = list(LINE_BREAK.finditer(self._raw, opening.offset))
        if lines > len(breaks):
            return opening.line, opening.column
        begin = breaks[lines - 1].end()
        rest = self._raw[begin:]
        return opening.line + lines, 1 + len(rest) - len(rest.lstrip(" "))


@dataclass(frozen=True, slots=True)
class _Opening:
    lineno: int
    offset: int
    line: int
    column: int


def _paired(value: str, raw: str, in_value: list[int], in_raw: list[int], node: Node) -> Iterator[_Opening]:
    lineno, line, column, value_at, raw_at = 1, node.line, node.column, 0, 0
    for in_value_at, in_raw_at in zip(in_value, in_raw, strict=True):
        lineno += value.count("\n", value_at, in_value_at)
        line, column = _moved(raw, raw_at, in_raw_at, line, column)
        value_at, raw_at = in_value_at, in_raw_at
        yield _Opening(lineno, in_raw_at, line, column)


def _moved(text: str, start: int, end: int, line: int, column: int) -> tuple[int, int]:
    """Line and column of `end`, given those of `start`."""
    breaks = list(LINE_BREAK.finditer(text, start, end))
    if not breaks:
        return line, column + end - start
    return line + len(breaks), 1 + end - breaks[-1].end()
