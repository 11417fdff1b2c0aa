"""Child instances: the shares of a foreach, and sub-workflows. What they are called, and what they start with."""

from __future__ import annotations

from hashlib import sha256

CHILD_ITEMS = 16
"""How many items one child of a foreach runs: their states are in one document, which each transition writes."""

MAX_DEPTH = 8
"""How deep sub-workflows may call each other."""


def child_id(parent_id: str, path: str, attempt: int, number: int = 0) -> str:
    """The id of a child instance: the same whenever it is asked for, in the parent's lane, of the form of every id.

    Lane and time are the parent's; the rest is the hash of the parent's id, the step's run path, its attempt and the
    child's number.
    """
    name = sha256(f"{parent_id}:{path}:{attempt}:{number}".encode()).hexdigest()[:16]
    return f"{parent_id[: parent_id.index('-') + 13]}{name}"
