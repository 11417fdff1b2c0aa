"""A JSON value as YAML 1.2 for people: block style, several lines as they are, quotes where they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..source.scalars import plain_scalar

_STEP = "  "
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@*+=()$ -]*(?<! )")
_PLAIN_MAX = 100
_SHORT = 80
_SHORT_ITEMS = 20
_LITERAL = re.compile(r"(?!\s)[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*\n", re.DOTALL)
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def written(value: Any) -> str:
    """The YAML text of a mapping; reading it gives the same value again."""
    return "".join(f"{line}\n" for line in _lines(value, ""))


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{indent}{_scalar(key)}:", item, indent + _STEP)
    else:
        for item in value:
            yield from _item(item, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """What stands behind a key, or behind the dash of a list."""
    if isinstance(value, str) and "\n" in value and _is_literal(value):
        yield f"{head} |" if value.endswith("\n") else f"{head} |-"
        yield from ((f"{indent}{line}" if line else "") for line in value.removesuffix("\n").split("\n"))
    elif isinstance(value, dict | list) and not _is_short(value):
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_flow(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    if not isinstance(value, dict | list) or not value or (isinstance(value, list) and _is_short(value)):
        yield from _entry(f"{indent}-", value, indent + _STEP)
        return
    lines = _lines(value, indent + _STEP)
    yield f"{indent}- {next(lines)[len(indent) + len(_STEP) :]}"
    yield from lines


def _is_short(value: Any) -> bool:
    """Whether a mapping or list fits on the line of its key; lists of mappings do not, such as steps."""
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return False
    inner = list(value.values()) if isinstance(value, dict) else value
    return len(inner) <= _SHORT_ITEMS and all(map(_is_flat, inner)) and len(_flow(value)) <= _SHORT


def _is_flat(value: Any) -> bool:
    if isinstance(value, dict | list):
        return len(value) <= _SHORT_ITEMS and _is_short(value)
    return not isinstance(value, str) or (len(value) <= _SHORT and "\n" not in value)


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_scalar(key)}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _is_literal(text: str) -> bool:
    """Whether a text can stand as a literal block: no lines that begin or end it empty, nothing unprintable."""
    whole = text if text.endswith("\n") else text + "\n"
    return not whole.endswith("\n\n") and _LITERAL.fullmatch(whole) is not None


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    if len(text) > _PLAIN_MAX or _PLAIN.fullmatch(text) is None or text.startswith("..."):
        return False
    try:
        return plain_scalar(text) == text and isinstance(plain_scalar(text), str)
    except ValueError:
        return False


def _quoted(text: str) -> str:
    if '"' in text and "'" not in text and _LITERAL.fullmatch(f"x{text}\n") and "\n" not in text:
        return f"'{text}'"
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
