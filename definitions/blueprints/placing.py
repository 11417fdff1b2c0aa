"""`${{ parameters.index }}` becomes the value: of any type alone, as text in text, as a literal in an expression."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import Violation
from ..source.nodes import Key, Node
from ..templates import path_text
from ..words import did_you_mean, kind, listed, nearest
from .building import Builder, Entry
from .values import Values

_WORDS = re.compile(
    r"(?P<placed>\$\{\{(?P<body>(?:(?!\}\}).){0,200})\}\})|(?P<loose>\$\{\{)"
    r"|(?P<open>\{\{|\{%)|(?P<close>\}\}|%\})|(?P<quote>['\"])|(?P<escape>\\['\"\\])",
    re.DOTALL,
)
_BODY = re.compile(r"\s*parameters((?:\.[A-Za-z0-9_-]+)+)\s*")
_EXPRESSION = re.compile(r"\s*\{\{(?P<inner>(?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
_MARK = "${{"
_SHOWN = 60


class _Unknown(Exception):
    """There is no such value; the message says why, and the way out."""


class Placing:
    """Puts the values of one blueprint, or of one use of a block, in their places. Faults go into `violations`."""

    def __init__(self, values: Values, builder: Builder, violations: list[Violation]) -> None:
        self._values = values
        self._builder = builder
        self._violations = violations

    def placed(self, node: Node, path: tuple[Key, ...]) -> Node:
        """The node with every value in its place; the very same node where there is nothing to place.

        Raises: TooLarge.
        """
        self._builder.count(node)
        if isinstance(node.value, str):
            return self._text(node, path) if _MARK in node.value else node
        if isinstance(node.value, list):
            items = [self.placed(child, (*path, key)) for key, child in node.children.items()]
            same = all(item is child for item, child in zip(items, node.children.values(), strict=True))
            return node if same else self._builder.sequence(node, items)
        if isinstance(node.value, dict):
            return self._mapping(node, path)
        return node

    def _mapping(self, node: Node, path: tuple[Key, ...]) -> Node:
        entries = list(self._entries(node, path))
        same = all(key in node.children and child is node.children[key] for key, _, child in entries)
        if same and len(entries) == len(node.children):
            return node
        return self._builder.mapping(node, entries)

    def _entries(self, node: Node, path: tuple[Key, ...]) -> Iterator[Entry]:
        seen: set[str] = set()
        for raw_key, child in node.children.items():
            key, place = str(raw_key), node.key_places[str(raw_key)]
            if _MARK in key:
                key = self._inside(key, (*path, key), place)
            if key in seen:
                self._wrong((*path, key), f"`{key[:100]}` stands twice in one mapping, with its values placed", place)
            else:
                seen.add(key)
                yield key, place, self.placed(child, (*path, raw_key))

    def _text(self, node: Node, path: tuple[Key, ...]) -> Node:
        alone = _WORDS.fullmatch(node.value.strip())
        place = node.line, node.column
        if alone is None or alone["placed"] is None:
            return self._builder.scalar(node, self._inside(node.value, path, place))
        try:
            value, given = self._value(alone["body"])
        except _Unknown as error:
            self._wrong(path, str(error), place)
            return self._builder.scalar(node, None)
        return self._builder.value(node, value) if given is None else given

    def _inside(self, text: str, path: tuple[Key, ...], place: tuple[int, int]) -> str:
        """The text with every value in its place."""
        parts: list[str] = []
        position, is_open, quote = 0, False, ""
        for word in _WORDS.finditer(text):
            if word["placed"] is not None:
                parts.append(text[position : word.start()])
                position = word.end()
                try:
                    value, _ = self._value(word["body"])
                    parts.append(_literal(value, quote) if is_open else _as_text(value))
                except _Unknown as error:
                    self._wrong(path, str(error), place)
            elif word["loose"] is not None:
                self._wrong(path, str(_not_a_place(text[word.end() : word.end() + _SHOWN])), place)
                break
            elif word["quote"] is not None:
                quote = "" if quote == word["quote"] else quote or (word["quote"] if is_open else "")
            elif not quote and word["escape"] is None:
                is_open = word["open"] is not None
        return "".join([*parts, text[position:]])

    def _value(self, body: str) -> tuple[Any, Node | None]:
        """What stands for `parameters.name`, or for a key in it, with its node if it is part of the text.

        Raises: _Unknown.
        """
        match = _BODY.fullmatch(body)
        if match is None:
            raise _not_a_place(f"{body}}}}}")
        name, *keys = match[1][1:].split(".")
        declared = self._values.declared
        if name not in declared:
            near = nearest(name, declared)
            end = did_you_mean(near) if near else f"; there are: {listed(declared) or 'none'}"
            raise _Unknown(f"there is no parameter `{name[:100]}`{end}")
        if name not in self._values.given:
            raise _Unknown(f"the parameter `{name}` was not given; give it a value, or its declaration a default")
        value, node = self._values.given[name], self._values.nodes.get(name)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                found = f"has the keys {listed(value)}" if isinstance(value, dict) and value else f"is {kind(value)}"
                raise _Unknown(f"there is no `{key[:100]}` in the parameter `{name}`, which {found}")
            value, node = value[key], None if node is None else node.children[key]
        return value, node

    def _wrong(self, path: tuple[Key, ...], message: str, place: tuple[int, int]) -> None:
        self._violations.append(Violation(path_text(path), message, *place))


def _not_a_place(rest: str) -> _Unknown:
    """What is said of a mark that begins no place for a value, given what stands behind it."""
    return _Unknown(
        f"found `${{{{{rest[:_SHOWN]}`; allowed: `${{{{ parameters.NAME }}}}` and keys in it; filters and other names"
        " belong between `{{` and `}}`"
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _literal(value: Any, quote: str) -> str:
    """A value within an expression, or within the quotes of a text in one."""
    if quote:
        return json.dumps(_as_text(value), ensure_ascii=False)[1:-1].replace("'", "\\'")
    if isinstance(value, str):
        expression = _EXPRESSION.fullmatch(value)
        return f"({expression['inner'].strip()})" if expression else json.dumps(value, ensure_ascii=False)
    return "none" if value is None else _as_text(value)
