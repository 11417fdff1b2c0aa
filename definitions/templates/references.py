"""What a parsed template speaks of: its names and the keys behind them, for checks before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from jinja2 import nodes

Locate = Callable[[int, str], tuple[int, int]]
"""From a line of a template, counted from 1, and a word in it, to line and column of the YAML."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One name that a template takes from outside, with its constant keys: of `steps.a.result` they are a and result.

    `guarded`: it may be absent, since `default` or `is defined` stands behind it. `path` is that of the template's
    string, `lineno` the line in it.
    """

    name: str
    keys: tuple[str | int, ...]
    guarded: bool
    path: str = ""
    lineno: int = 1
    locate: Locate | None = field(default=None, compare=False, repr=False)

    def place(self) -> tuple[int | None, int | None]:
        """Line and column in the YAML, where known. To find them takes a search, which few references are worth."""
        if self.locate is None:
            return None, None
        return self.locate(self.lineno, f"{self.name}.{self.keys[0]}" if self.keys else self.name)


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    keys: tuple[str | int, ...]
    guarded: bool
    lineno: int


def references(template: nodes.Template, path: str = "", locate: Locate | None = None) -> list[Reference]:
    """Each reference once, in the order of the text.

    What the template sets itself is left out. A name that is guarded once is guarded throughout, as in
    `x if x is defined else y`.
    """
    own = {name.name for name in template.find_all(nodes.Name) if name.ctx != "load"}
    if template.find(nodes.For) is not None:
        own.add("loop")
    found = [use for use in _uses(template, guarded=False) if use.name not in own and use.name != "range"]
    guarded = {(use.name, use.keys[:1]) for use in found if use.guarded}
    unique: dict[tuple[str, tuple[str | int, ...]], Reference] = {}
    for use in found:
        if (use.name, use.keys) not in unique:
            may_miss = (use.name, use.keys[:1]) in guarded
            unique[use.name, use.keys] = Reference(use.name, use.keys, may_miss, path, use.lineno, locate)
    return list(unique.values())


def path_of(node: nodes.Node) -> tuple[str | int, ...] | None:
    """The name and keys of an expression that is nothing but a path, such as `inputs.hosts[0]`; else None."""
    keys: list[str | int] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        key = _key(node)
        if key is None:
            return None
        keys.append(key)
        node = node.node
    if not isinstance(node, nodes.Name):
        return None
    return (node.name, *reversed(keys))


def _uses(node: nodes.Node, *, guarded: bool) -> Iterator[_Found]:
    if isinstance(node, nodes.Name):
        yield _Found(node.name, (), guarded, node.lineno)
    elif isinstance(node, nodes.Getattr | nodes.Getitem):
        yield from _chain(node, guarded=guarded)
    elif isinstance(node, nodes.Filter | nodes.Test) and node.name in {"default", "d", "defined", "undefined"}:
        for child in node.iter_child_nodes():
            yield from _uses(child, guarded=child is node.node)
    else:
        for child in node.iter_child_nodes():
            yield from _uses(child, guarded=False)


def _chain(node: nodes.Expr, *, guarded: bool) -> Iterator[_Found]:
    keys: list[str | int | None] = []
    base: nodes.Node = node
    while isinstance(base, nodes.Getattr | nodes.Getitem):
        key = _key(base)
        keys.append(key)
        if key is None and isinstance(base, nodes.Getitem):
            yield from _uses(base.arg, guarded=False)
        base = base.node
    if isinstance(base, nodes.Name):
        constant: list[str | int] = []
        for key in reversed(keys):
            if key is None:
                break
            constant.append(key)
        yield _Found(base.name, tuple(constant), guarded, base.lineno)
    else:
        yield from _uses(base, guarded=False)


def _key(node: nodes.Getattr | nodes.Getitem) -> str | int | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str | int):
        return node.arg.value
    return None
