"""All groups of an aggregation, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..es.usage.groups import PAGE, Group, go_on_after, groups_of
from ..ports import Store


async def pages(store: Store, index: str, body: dict[str, Any]) -> AsyncIterator[list[Group]]:
    """One search a page. Raises: StoreError."""
    while True:
        page = await store.search(index, body)
        assert page.aggregations is not None
        groups = groups_of(page.aggregations)
        if groups:
            yield groups
        if len(groups) < PAGE:
            return
        go_on_after(body, groups[-1])
