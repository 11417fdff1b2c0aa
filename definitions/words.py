"""Words for messages: values as they would stand in YAML, choices as a list, the nearest of the valid ones."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable
from typing import Any

_SHOWN_CHARS = 60
_COMPARED = 32


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that is most like the word, if one is like it at all.

    Of many choices only those that begin like it and are about as long are compared, since comparing costs 25 us each.
    """
    asked = _folded(word[:128])
    folded = {_folded(choice): choice for choice in choices}
    candidates: Collection[str] = folded
    if len(folded) > _COMPARED:
        candidates = sorted(folded, key=lambda choice: (-_in_common(asked, choice), abs(len(choice) - len(asked))))
    found = difflib.get_close_matches(asked, list(candidates)[:_COMPARED], n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def _in_common(word: str, other: str) -> int:
    """How many letters they begin with alike."""
    pairs = enumerate(zip(word, other, strict=False))
    return next((at for at, (mine, theirs) in pairs if mine != theirs), min(len(word), len(other)))


def _folded(word: str) -> str:
    return word.lower().replace("_", "-")


def did_you_mean(word: str | None) -> str:
    """The half sentence that offers the nearest word; empty without one."""
    return f"; did you mean `{word}`?" if word else ""


def listed(words: Collection[str], limit: int = 24) -> str:
    """`a`, `b`, `c`: the words in their order, a few of them if they are many."""
    shown = ", ".join(f"`{word}`" for word in list(words)[:limit])
    return f"{shown}, ..." if len(words) > limit else shown


def shown(value: Any) -> str:
    """A value, short, as it may be found in the YAML."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = kind(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + '..."'


def kind(value: Any) -> str:
    """What kind of JSON value it is, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"
