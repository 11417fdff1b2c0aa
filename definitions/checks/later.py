"""Parts of the language that come later: known by name, and refused by it rather than as unknown keys."""

from __future__ import annotations

DEFINITION_KEYS = frozenset({"triggers", "secrets"})


def not_yet(key: str) -> str:
    """The sentence that refuses a later key."""
    return f"`{key}` is not supported yet"
