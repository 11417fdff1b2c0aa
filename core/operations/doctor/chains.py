"""The cheap part of `leasehold audit verify`: do the indices and the last rows stand that heads of chains speak of?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

from ....ilm.policies import retention_ms
from ...audit.rows import Head
from ...engine import Engine
from ...es.chain_heads import newest_chain_heads_body
from ...retention.chains import indices_of_trail, standing_in
from .found import Found

_LATEST = 50
_VERIFY = "leasehold audit verify reads all of it; a snapshot may hold what is missing."


class Standing(Struct, frozen=True):
    """A head, and whether the row stands that it says is the last one."""

    head: Head
    last_row: bool


def judge(chains: Sequence[Standing], indices: Collection[str], *, kept_ms: int | None, now_ms: int) -> list[Found]:
    """Pure. `indices` are those that stand, by their first names; `kept_ms`: how long each is kept, None: for ever."""
    found: list[Found] = []
    early: set[str] = set()
    for one in chains:
        head = one.head
        if head.index not in indices:
            # It was still written to at that time, so it can't have been of age before.
            if kept_ms is None or now_ms - head.at_ms < kept_ms:
                early.add(head.index)
        elif not one.last_row:
            found.append(
                Found(
                    severity="error",
                    what=f"Row {head.seq} of chain {head.writer} was confirmed, and {head.index} does not hold it.",
                    way_out=_VERIFY,
                    left="a row of the audit trail is never made again",
                )
            )
    found += [
        Found(
            severity="error",
            what=f"Index {index} of the audit trail is gone, before its policy lets it go.",
            way_out=_VERIFY,
            left="what it held can't be made again",
        )
        for index in sorted(early)
    ]
    return found


async def check(engine: Engine) -> list[Found]:
    """The chains that were written to last. Raises: StoreError."""
    store, names = engine.store, engine.names
    await store.refresh(names.keys)
    page = await store.search(names.keys, newest_chain_heads_body(_LATEST))
    heads = [head for head in (msgspec.json.decode(hit.source, type=Head) for hit in page.hits) if head.seq]
    there = await indices_of_trail(store, names)
    chains: list[Standing] = []
    indices: set[str] = set()
    for head in heads:
        index = standing_in(head.index, there)
        if index is not None:
            indices.add(head.index)
        chains.append(Standing(head, index is not None and await _stands(engine, head, index)))
    policy = (await engine.ageing.policies.of("audit")).policy
    kept_ms = None if policy is None else retention_ms(policy)
    return judge(chains, indices, kept_ms=kept_ms, now_ms=engine.clock.now_ms())


async def _stands(engine: Engine, head: Head, index: str) -> bool:
    """A row is searched as of the last refresh, so what is not found is looked for once more after one."""
    row = [{"term": {"chain.writer": head.writer}}, {"term": {"chain.seq": head.seq}}]
    body = {"query": {"bool": {"filter": row}}, "size": 1, "_source": False, "track_total_hits": False}
    if (await engine.store.search(index, body)).hits:
        return True
    await engine.store.refresh(index)
    return bool((await engine.store.search(index, body)).hits)
