"""Heads of chains: one document each in `workflow-keys`, that says which row is the last that was confirmed.

It is written before each bulk and after it. Before, it announces up to where the chain may go; so rows of a process
that died meanwhile can be told from rows that somebody has added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from ...ilm import IndexNames
from ..errors import StoreError
from ..es.chain_heads import (
    HEADS_A_PAGE,
    chain_heads_body,
    newest_chain_heads_body,
)
from ..es.lines import create_line, newest_line_in
from ..ports import Store
from .rows import Head, HeadName

NAMED_MAX = 1_000
"""Of so many chains the first row of a new one names the heads: those written last."""

_PIT_KEEP_ALIVE_MS = 60_000


async def begin_head(store: Store, names: IndexNames, head: Head) -> bool:
    """Write the head of a chain that has no row yet; false where the writer's name is taken. Raises: StoreError."""
    (item,) = await store.bulk([create_line(head.id), msgspec.json.encode(head)], index=names.keys)
    if item.status not in (200, 201, 409):
        raise StoreError(f"the head of chain {head.writer} could not be stored: {item.status} {item.error_reason}")
    return item.status != 409


async def write_head(store: Store, names: IndexNames, head: Head, version: int) -> None:
    """Versions grow with each write, from 2, so that none that lands late takes the head back.

    Raises: StoreError; to be repeated until it returns.
    """
    lines = [newest_line_in(names.keys, head.id, version), msgspec.json.encode(head)]
    (item,) = await store.bulk(lines)
    if item.status not in (200, 201, 409):
        raise StoreError(f"the head of chain {head.writer} could not be stored: {item.status} {item.error_reason}")


async def heads_to_name(store: Store, names: IndexNames) -> list[HeadName]:
    """The chains that were written to last, as they stand now. Raises: StoreError."""
    await store.refresh(names.keys)
    page = await store.search(names.keys, newest_chain_heads_body(NAMED_MAX))
    heads = [msgspec.json.decode(hit.source, type=Head) for hit in page.hits]
    return [HeadName(head.writer, head.index, head.seq, head.hash) for head in heads if head.seq]


async def all_heads(store: Store, names: IndexNames) -> AsyncIterator[Head]:
    """Every head that stood when this began, in the order of their writes. Raises: StoreError."""
    await store.refresh(names.keys)
    pit = await store.open_pit(names.keys, keep_alive_ms=_PIT_KEEP_ALIVE_MS)
    try:
        after: tuple[Any, ...] | None = None
        while True:
            page = await store.search(None, chain_heads_body(pit, after, keep_alive_ms=_PIT_KEEP_ALIVE_MS))
            for hit in page.hits:
                yield msgspec.json.decode(hit.source, type=Head)
            if len(page.hits) < HEADS_A_PAGE:
                return
            pit, after = page.pit_id or pit, page.hits[-1].sort
    finally:
        await store.close_pit(pit)
