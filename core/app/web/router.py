"""From a method and a raw path to a route: the first thing that happens to every request.

Paths are matched segment by segment, literals before parameters. A parameter never matches a segment that begins with
`_`: those are operations, and no definition, instance or step is named so; hence no path can match two routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from ..problems import refuse
from ..words import did_you_mean, shown

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


class Routable(Protocol):
    """What the router needs of a route."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...


R = TypeVar("R", bound=Routable)


class _Node(Generic[R]):
    __slots__ = ("literals", "methods", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[R]] = {}
        self.parameter: _Node[R] | None = None
        self.methods: dict[str, R] = {}


class Router(Generic[R]):
    """A tree of path segments. Building it rejects two routes of one method and path (ValueError)."""

    def __init__(self, routes: Iterable[R]) -> None:
        self._root: _Node[R] = _Node()
        self._paths: list[str] = []
        for route in routes:
            self._add(route)

    def find(self, method: str, raw_path: str) -> tuple[R, list[str]]:
        """The route, and the values of its path parameters in order, decoded.

        HEAD is answered by the GET route. Raises: RequestProblem (404 for a path that nothing answers, 405 with
        `Allow` for a method that the path does not answer, 400 for a path that is no UTF-8 text).
        """
        node, values = self._walk(raw_path)
        route = node.methods.get("GET" if method == "HEAD" else method)
        if route is None:
            allow = _allow(node)
            raise refuse(
                "method-not-allowed", f"the method is {shown(method)}; allowed here: {allow}", headers={"Allow": allow}
            )
        return route, values

    def allow(self, raw_path: str) -> str:
        """What `Allow` says of a path. Raises: RequestProblem, as `find` does."""
        return _allow(self._walk(raw_path)[0])

    def _walk(self, raw_path: str) -> tuple[_Node[R], list[str]]:
        segments = raw_path.split("/")[1:]
        if "%" in raw_path or not raw_path.isascii():
            segments = [decoded(segment, "the path") for segment in segments]
        node = self._root
        values: list[str] = []
        for segment in segments:
            child = node.literals.get(segment)
            if child is None and node.parameter is not None and segment and segment[0] != "_":
                child = node.parameter
                values.append(segment)
            if child is None:
                raise self._unknown(raw_path)
            node = child
        if not node.methods:
            raise self._unknown(raw_path)
        return node, values

    def _unknown(self, raw_path: str) -> Exception:
        return refuse("not-found", f"no such path: {shown(raw_path)}{did_you_mean(raw_path, self._paths)}")

    def _add(self, route: R) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if route.method in node.methods:
            raise ValueError(f"two routes for {route.method} {route.path}")
        node.methods[route.method] = route
        self._paths.append(route.path)


def decoded(text: str, where: str) -> str:
    """`text` with its percent escapes resolved. Raises: RequestProblem unless the result is UTF-8 text."""
    broken = _BAD_ESCAPE.search(text)
    if broken is not None:
        found = text[broken.start() : broken.start() + 3]
        raise refuse("invalid-request", f"{where} holds {shown(found)}; % is followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise refuse("invalid-request", f"{where} holds {shown(text)}, which is not UTF-8") from None


def _allow(node: _Node[R]) -> str:
    methods = set(node.methods) | {"OPTIONS"} | ({"HEAD"} if "GET" in node.methods else set())
    return ", ".join(sorted(methods))
