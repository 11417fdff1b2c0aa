"""Words for messages: values as they stand in JSON, and the nearest of the valid ones."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

_SHOWN_CHARS = 60


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that is most like the word, if one is like it at all."""
    folded = {choice.replace("-", "_"): choice for choice in choices}
    found = difflib.get_close_matches(word[:128].lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str | None) -> str:
    """The half sentence that offers the nearest word; empty without one."""
    return f"; did you mean `{word}`?" if word else ""


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def shown(value: Any) -> str:
    """A value, short."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + '..."'
