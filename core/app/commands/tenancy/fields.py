"""Single fields of a document, as they are given to a command: `claim_rate.per_s=5`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ..failures import CommandFailed

_KEY = re.compile(r'"([^"]*)"|([^."]+)')
_PLAIN = re.compile(r"[^.\"=]+")

Path = tuple[str, ...]


def assignment(given: str) -> tuple[Path, Any]:
    """The path and the value of `path=value`; None for no value, which takes the field away. Raises: CommandFailed."""
    left, equals, right = _split(given)
    path = _path(left)
    if not equals or path is None:
        raise CommandFailed(
            f"found {given!r}; write path=value, such as weight=3 or capabilities.es-query.max_running_steps=4"
            ' (a name with dots in quotes: capabilities."es.query".max_running_steps=4)'
        )
    return path, _value(right)


def assigned(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The document with that field set, or without it; what is empty then goes too. Raises: CommandFailed."""
    key, rest = path[0], path[1:]
    if not rest:
        kept = {name: one for name, one in document.items() if name != key}
        return kept if value is None else document | {key: value}
    inner = document.get(key, {})
    if not isinstance(inner, dict):
        raise CommandFailed(f"{key} is {msgspec.json.encode(inner).decode()}, which has no field {'.'.join(rest)}")
    changed = assigned(inner, rest, value)
    kept = {name: one for name, one in document.items() if name != key}
    return document | {key: changed} if changed or value is not None else kept


def fields_of(document: dict[str, Any], begin: str = "") -> Iterator[str]:
    """Every field as `path=value`, as `assignment` takes it."""
    for key, value in document.items():
        name = begin + (key if _PLAIN.fullmatch(key) else f'"{key}"')
        if isinstance(value, dict) and value:
            yield from fields_of(value, f"{name}.")
        else:
            yield f"{name}={value if isinstance(value, str) else msgspec.json.encode(value).decode()}"


def _split(given: str) -> tuple[str, str, str]:
    """At the first `=` outside of quotes."""
    quoted = False
    for at, character in enumerate(given):
        quoted ^= character == '"'
        if character == "=" and not quoted:
            return given[:at], "=", given[at + 1 :]
    return given, "", ""


def _path(text: str) -> Path | None:
    keys, at = [], 0
    while match := _KEY.match(text, at):
        keys.append(match[1] if match[1] is not None else match[2])
        at = match.end()
        if at == len(text):
            return tuple(keys)
        if text[at] != ".":
            return None
        at += 1
    return None


def _value(text: str) -> Any:
    """JSON where it is that, text otherwise; nothing, or null, is None."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
