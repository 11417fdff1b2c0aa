"""Words for messages: values as they stand in JSON, places in a document, and the nearest of the valid words."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN_CHARS = 60
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that is most like the word, if one is like it at all."""
    folded = {choice.replace("_", ""): choice for choice in choices}
    found = difflib.get_close_matches(re.sub(r"[_\s-]", "", word[:128].lower()), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def shown(value: Any) -> str:
    """A value, short."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        # A date of YAML, say, or a whole number of more digits than Python writes out.
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + '..."'


def place(path: str, key: Any) -> str:
    """The path of what stands under a key; one that is no plain word stands in quotes."""
    word = key if isinstance(key, str) and _PLAIN.fullmatch(key) else shown(key)
    return f"{path}.{word}" if path else word


def unknown(key: Any, known: Iterable[str], *, what: str = "key") -> str:
    """What to say of a key that nobody knows."""
    choices = list(known)
    near = nearest(key, choices) if isinstance(key, str) else None
    if near is not None:
        return f"unknown {what} {shown(key)}; did you mean `{near}`?"
    return f"unknown {what} {shown(key)}; allowed: {listed(choices) or 'none'}"
