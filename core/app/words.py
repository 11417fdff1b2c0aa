"""Words for people: what was found, shown safely, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN_CHARACTERS = 80


def shown(value: str) -> str:
    """`value` in quotes, shortened, with control characters and lone surrogates escaped: safe in logs and in JSON."""
    short = value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 1] + "…"
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short) + '"'


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is probably a misspelling of."""
    found = difflib.get_close_matches(word[:_SHOWN_CHARACTERS], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause to end a sentence with, or nothing."""
    candidate = nearest(word, known)
    return f"; did you mean {candidate}?" if candidate else ""


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def allowed_by(schema: Mapping[str, Any]) -> str:
    """What a JSON Schema of one plain value allows, in words."""
    if "x-allowed" in schema:
        return str(schema["x-allowed"])
    if "enum" in schema:
        return " or ".join(str(word) for word in schema["enum"])
    kinds = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if kinds:
        return allowed_by(kinds[0])
    if schema.get("type") == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        if high is None:
            return "an integer" if low is None else f"an integer of at least {low}"
        return f"an integer from {low} to {high}"
    if schema.get("type") == "boolean":
        return "true or false"
    if schema.get("type") == "array":
        return "a list of texts"
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    if "maxLength" in schema:
        return f"text of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return "text"
