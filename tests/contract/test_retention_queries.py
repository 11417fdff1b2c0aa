"""What retention and the doctor ask of Elasticsearch: pages by write, ids that stand, keys by instance, versions."""

from __future__ import annotations

from typing import Any

import msgspec
from leasehold.core.es.lines import create_line, index_line
from leasehold.core.es.sweeps import before, keys_naming_body, named_body, of_kind, sweep
from leasehold.core.es.versions_in_use import versions_in_use_body, versions_of
from leasehold.core.retention.clearing import delete
from leasehold.ilm import live

from .ground import LANE_FIELDS, Ground


async def put(ground: Ground, index: str, documents: dict[str, dict[str, Any]]) -> None:
    lines = [line for id, one in documents.items() for line in (create_line(id), msgspec.json.encode(one))]
    assert {item.status for item in await ground.store.bulk(lines, index=index)} == {201}
    await ground.store.refresh(index)


KEYS: dict[str, dict[str, Any]] = {
    "k1": {"kind": "start", "instance_id": "00-a", "created_at_ms": 10},
    "k2": {"kind": "start", "instance_id": "00-b", "created_at_ms": 20},
    "g": {"kind": "group", "lane": "00", "created_at_ms": 5},
    "k3": {"kind": "start", "instance_id": "00-a", "created_at_ms": 15},
    "m": {"kind": "memory", "at_ms": 1, "value": {"large": "x"}},
}


async def test_a_sweep_brings_every_document_once_by_its_last_write_and_only_the_fields_it_names(
    ground: Ground,
) -> None:
    index = await ground.make_index(live.KEYS)
    await put(ground, index, KEYS)
    found = await ground.store.get(index, "k1")
    assert found is not None
    assert found.version is not None
    line = index_line("k1", found.version.seq_no, found.version.primary_term)
    await ground.store.bulk([line, found.source], index=index)
    await ground.store.refresh(index)

    filters = [of_kind("start"), before("created_at_ms", 20)]
    fields = ["instance_id"]
    pages = [page async for page in sweep(ground.store, index, filters, fields=fields, page_size=1)]

    assert [[hit.id for hit in page] for page in pages] == [["k3"], ["k1"]]
    assert [msgspec.json.decode(page[0].source) for page in pages] == [{"instance_id": "00-a"}] * 2
    assert [page async for page in sweep(ground.store, index, [of_kind("x")], fields=None, page_size=1)] == []


async def test_only_the_version_that_was_judged_is_deleted(ground: Ground) -> None:
    index = await ground.make_index(live.KEYS)
    await put(ground, index, KEYS)
    (page,) = [page async for page in sweep(ground.store, index, [of_kind("start")], fields=[], page_size=10)]
    first = page[0].version
    assert first is not None
    line = index_line(page[0].id, first.seq_no, first.primary_term)
    await ground.store.bulk([line, b'{"kind":"start"}'], index=index)

    gone = await delete(ground.store, index, page)

    assert [item.id for item in gone] == ["k2", "k3"]
    assert [await ground.store.get(index, id) is None for id in ("k1", "k2", "k3")] == [False, True, True]
    assert await delete(ground.store, index, page) == []


async def test_ids_that_stand_and_keys_that_name_instances_are_found(ground: Ground) -> None:
    index = await ground.make_index(live.KEYS)
    await put(ground, index, KEYS)

    there = await ground.store.search(index, named_body(["k1", "g", "x"]))
    naming = await ground.store.search(index, keys_naming_body(["00-a", "00-c"]))

    assert sorted(hit.id for hit in there.hits) == ["g", "k1"]
    assert sorted(hit.id for hit in naming.hits) == ["k1", "k3"]
    assert {msgspec.json.decode(hit.source)["instance_id"] for hit in naming.hits} == {"00-a"}


async def test_versions_in_use_are_counted_in_pages(ground: Ground) -> None:
    index = await ground.make_index(LANE_FIELDS)
    instance = {"kind": "instance", "tenant": "acme", "workflow": "one", "version": 1}
    await put(
        ground,
        index,
        {
            "a": instance,
            "b": instance,
            "c": instance | {"version": 2},
            "d": instance | {"tenant": "other"},
            "d:inputs": {"kind": "side", "side_of": "d"},
        },
    )

    found, after = [], None
    for _ in range(3):
        page = await ground.store.search(index, versions_in_use_body(after=after, size=2))
        assert page.aggregations is not None
        versions, after = versions_of(page.aggregations)
        found += [(tuple(key.values()), count) for key, count in versions]

    assert found == [(("acme", "one", 1), 2), (("acme", "one", 2), 1), (("other", "one", 1), 1)]
