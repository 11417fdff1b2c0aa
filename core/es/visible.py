"""The part of every search that binds it to whoever asks: their tenant, and the spaces they act in.

Fields: `tenant` and `space`, keywords in lanes and in history alike, compared exactly. Cost: two posting lists.
"""

from __future__ import annotations

from typing import Any

from ..principal import EVERY_SPACE, EVERY_TENANT, Principal


def visible_to(principal: Principal) -> list[dict[str, Any]]:
    """Filters that leave what `access.Access.sees` says: none for one who sees all."""
    filters: list[dict[str, Any]] = []
    if principal.tenant != EVERY_TENANT:
        filters.append({"term": {"tenant": principal.tenant}})
    if EVERY_SPACE not in principal.spaces:
        filters.append({"terms": {"space": [*principal.spaces, EVERY_SPACE]}})
    return filters
