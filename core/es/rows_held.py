"""Which rows stand in history, when the concrete index that they were to go to takes no more writes.

Indices: that concrete index, in real time, and then all behind its alias, after a refresh: a rolled index may have been
shrunk or mounted under another name, and a row may have gone to the next one. Cost: one multi-GET, one refresh, and a
term lookup an id and segment; no sources.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import StoreRejected
from ..ports import Store
from .rows_by_id import ROWS_A_SEARCH, rows_by_id_body


async def rows_held(store: Store, alias: str, index: str, ids: Sequence[str]) -> set[str]:
    """Those of these row ids that stand in `index`, or elsewhere behind the alias. Raises: StoreError."""
    held: set[str] = set()
    try:
        held.update(found.id for found in await store.mget(index, ids) if found is not None)
    except StoreRejected as error:
        if error.status != 404:
            raise
    left = [id for id in ids if id not in held]
    if left:
        await store.refresh(alias)
    for at in range(0, len(left), ROWS_A_SEARCH):
        page = await store.search(alias, rows_by_id_body(left[at : at + ROWS_A_SEARCH], sources=False))
        held.update(hit.id for hit in page.hits)
    return held
