"""Leaves out of a page what is not its instance's latest life, so that each instance is on one page, once.

Of one instance a list may meet its document, and a row for each of its ends; it ended again after each time that it was
brought back. The number of that (`redrives`) orders them, and an end comes after the document that it is the end of.
A row of success is the last for good: such an instance is never brought back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ....claim.wire.search import FoundInstance
from ...es.instance_list import ends_body, lives_body
from ...ports import Store
from .snapshots import Snapshot


class Hit(Struct, frozen=True):
    """One document or row that passes the filters. `key` and `after` are its place in its list."""

    instance: FoundInstance
    live: bool
    key: int
    after: tuple[Any, ...]
    looked_at: int = 0


class _Workflow(Struct):
    id: str


class _Life(Struct):
    workflow: _Workflow | None = None
    redrives: int = 0


_decoder = msgspec.json.Decoder(_Life)


async def latest(store: Store, snapshot: Snapshot, hits: Sequence[Hit], *, keep_alive_ms: int) -> list[bool]:
    """Which hits are their instance's latest life: one search in each point in time, where any is in doubt."""
    live = [hit.instance.instance_id for hit in hits if hit.live]
    ended = [hit.instance.instance_id for hit in hits if not hit.live and hit.instance.status != "succeeded"]
    if not live and not ended:
        return [True] * len(hits)
    ends, lives = await asyncio.gather(
        store.search(None, ends_body(live, ended, snapshot.ended, keep_alive_ms)),
        _lives(store, snapshot, ended, keep_alive_ms),
    )
    last_end: dict[str, int] = {}
    for found in ends.hits:
        life = _decoder.decode(found.source)
        assert life.workflow is not None
        last_end[life.workflow.id] = max(life.redrives, last_end.get(life.workflow.id, 0))
    return [_is_latest(hit, last_end, lives) for hit in hits]


async def _lives(store: Store, snapshot: Snapshot, ids: Sequence[str], keep_alive_ms: int) -> dict[str, int]:
    if not ids:
        return {}
    page = await store.search(None, lives_body(ids, snapshot.live, keep_alive_ms))
    return {hit.id: _decoder.decode(hit.source).redrives for hit in page.hits}


def _is_latest(hit: Hit, last_end: dict[str, int], lives: dict[str, int]) -> bool:
    id, redrives = hit.instance.instance_id, hit.instance.redrives
    if hit.live:
        return last_end.get(id, -1) < redrives
    return last_end.get(id, -1) <= redrives and lives.get(id, -1) <= redrives
