"""What the queries for concurrency groups find in a lane."""

from __future__ import annotations

from typing import Any

import msgspec
from leasehold.core.es.group_members import decode_member, group_members_body, groups_of, queued_groups_body
from leasehold.core.es.lines import create_line, newest_line_in

from .ground import LANE_FIELDS, Ground

MEMBER = {"kind": "instance", "definition_tenant": "acme", "workflow": "one", "version": 3}
LANE: dict[str, dict[str, Any]] = {
    "b": {**MEMBER, "group": "g", "created_at_ms": 20, "queued": True, "status": "waiting", "inputs": {"a": 1}},
    "a": {**MEMBER, "group": "g", "created_at_ms": 10},
    "c": {**MEMBER, "group": "h", "created_at_ms": 5, "queued": True, "queued_at_ms": 30},
    "d": {**MEMBER, "created_at_ms": 1},
    "e": {**MEMBER, "group": "i", "created_at_ms": 40},
}


async def lane_of(ground: Ground) -> str:
    index = await ground.make_index(LANE_FIELDS)
    lines = [line for id, fields in LANE.items() for line in (create_line(id), msgspec.json.encode(fields))]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)
    return index


async def test_a_groups_members_come_oldest_first_in_pages(ground: Ground) -> None:
    index = await lane_of(ground)

    first = (await ground.store.search(index, group_members_body("g", after=None, size=1))).hits
    second = (await ground.store.search(index, group_members_body("g", after=first[-1].sort, size=9))).hits
    everybody = (await ground.store.search(index, group_members_body(None, after=None, size=9))).hits

    assert [hit.id for hit in (*first, *second)] == ["a", "b"]
    assert [hit.id for hit in everybody] == ["c", "a", "b", "e"]
    members = [decode_member(hit.source) for hit in everybody]
    assert [(one.group, one.queued, one.status, one.created_at_ms, one.queued_at_ms) for one in members] == [
        ("h", True, "running", 5, 30),
        ("g", False, "running", 10, 0),
        ("g", True, "waiting", 20, 0),
        ("i", False, "running", 40, 0),
    ]
    assert all(b"inputs" not in hit.source for hit in everybody)


async def test_groups_with_waiting_members_are_found_in_pages(ground: Ground) -> None:
    index = await lane_of(ground)

    found: list[str] = []
    after = None
    for _ in range(3):
        page = await ground.store.search(index, queued_groups_body(after=after, size=1))
        assert page.aggregations is not None
        groups, after = groups_of(page.aggregations)
        found += groups

    assert found == ["g", "h"]
    assert after is None


async def test_of_what_is_written_under_a_version_the_newest_stands(ground: Ground) -> None:
    index = await ground.make_index()

    statuses = []
    for version, value in ((5, "first"), (9, "newer"), (7, "older"), (9, "again")):
        (item,) = await ground.store.bulk([newest_line_in(index, "m", version), msgspec.json.encode({"v": value})])
        statuses.append(item.status)

    found = await ground.store.get(index, "m")
    assert statuses == [201, 200, 409, 200]
    assert found is not None
    assert msgspec.json.decode(found.source) == {"v": "again"}
