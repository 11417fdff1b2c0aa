"""What the queries that count instances, and find queued ones, find in a lane."""

from __future__ import annotations

from typing import Any

import msgspec
from leasehold.core.es import instance_counts as module
from leasehold.core.es.instance_counts import KEEP_ALIVE_MS, Counted, instance_counts
from leasehold.core.es.lines import create_line
from leasehold.core.es.queued_instances import queued_instances_body

from .ground import LANE_FIELDS, Ground

ONE = {"kind": "instance", "tenant": "acme", "workflow": "one"}
QUEUED = {**ONE, "queued": True, "backlogged": True, "status": "waiting"}
LANE: dict[str, dict[str, Any]] = {
    "runs": {**ONE, "created_at_ms": 1},
    "ready": {**ONE, "backlogged": True, "created_at_ms": 2},
    "waits": {**ONE, "workflow": "other", "status": "waiting", "created_at_ms": 3},
    "queued": {**QUEUED, "created_at_ms": 20},
    "queued-before": {**QUEUED, "created_at_ms": 10},
    "queued-by-an-earlier-release": {**ONE, "queued": True, "group": "g", "created_at_ms": 5},
    "ended": {**ONE, "status": "failed", "queued": True, "created_at_ms": 6},
    "child": {**ONE, "parent_id": "runs", "created_at_ms": 7},
    "elsewhere": {**ONE, "tenant": "globex", "created_at_ms": 8},
    "side": {"kind": "side", "side_of": "runs"},
}


async def lane_of(ground: Ground) -> str:
    index = await ground.make_index(LANE_FIELDS)
    lines = [line for id, fields in LANE.items() for line in (create_line(id), msgspec.json.encode(fields))]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)
    return index


async def counts(ground: Ground, counted: Counted, ids: list[str] | None = None) -> dict[tuple[str, str], int]:
    index = await lane_of(ground)
    pit_id = await ground.store.open_pit(index, keep_alive_ms=KEEP_ALIVE_MS)
    try:
        return dict(await instance_counts(ground.store, pit_id, counted, ids=ids))
    finally:
        await ground.store.close_pit(pit_id)


async def test_live_instances_that_are_nobodys_children_are_counted_by_what_they_do(ground: Ground) -> None:
    assert await counts(ground, "running") == {("acme", "one"): 2, ("acme", "other"): 1, ("globex", "one"): 1}
    assert await counts(ground, "waiting") == {("acme", "one"): 4}
    assert await counts(ground, "queued") == {("acme", "one"): 3}
    assert await counts(ground, "queued_alone") == {("acme", "one"): 2}


async def test_only_those_named_are_counted_where_some_are(ground: Ground) -> None:
    assert await counts(ground, "running", ["runs", "waits", "queued"]) == {("acme", "one"): 1, ("acme", "other"): 1}


async def test_counts_come_in_pages(ground: Ground, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_PAGE", 1)
    assert await counts(ground, "running") == {("acme", "one"): 2, ("acme", "other"): 1, ("globex", "one"): 1}


async def test_queued_instances_outside_groups_come_oldest_first_without_their_documents(ground: Ground) -> None:
    index = await lane_of(ground)
    hits = (await ground.store.search(index, queued_instances_body("acme", "one", from_ms=0, size=9))).hits
    assert [hit.id for hit in hits if hit.id != "ended"] == ["queued-before", "queued"]
    assert all(hit.source == b"" for hit in hits)
    later = (await ground.store.search(index, queued_instances_body("acme", "one", from_ms=20, size=9))).hits
    assert [(hit.id, hit.sort[0]) for hit in later] == [("queued", 20)]
