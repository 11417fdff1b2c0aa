"""Sentences that both backends say."""

from __future__ import annotations

from .facts import FamilyFacts


def without_write_index(family: FamilyFacts) -> str:
    """An alias that writes to no index of ours, and the way out."""
    return (
        f"{family.alias} writes to no index named {family.alias}-<number>, so nothing of it ages; "
        f'point it there (POST /_aliases, "is_write_index": true)'
    )
