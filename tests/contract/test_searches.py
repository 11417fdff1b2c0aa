"""Searches see the last refresh, and find what the mapping indexes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from leasehold.core.errors import StoreRejected
from leasehold.core.es.lines import create_line, delete_line, index_line
from leasehold.core.ports import Store, Version

from .ground import Ground

DOCUMENTS: dict[str, bytes] = {
    "a": b'{"name":"red","count":1,"flag":true,"at":"2026-01-01T00:00:00Z","group":{"name":"x"}}',
    "b": b'{"name":["red","blue"],"count":2,"at":"2026-01-02T00:00:00.5Z","share":0.5}',
    "c": b'{"name":"green","count":2,"small":-3,"flag":false}',
    "d": b'{"count":[5,9],"unknown":"red","anything":{"name":"red"}}',
    "e": b'{"name":"a name above the limit"}',
}


@pytest.fixture
async def filled(store: Store, index: str) -> str:
    """An index with DOCUMENTS, refreshed."""
    await store.bulk([line for id, source in DOCUMENTS.items() for line in (create_line(id), source)], index=index)
    await store.refresh(index)
    return index


async def ids(store: Store, index: str, query: dict[str, Any]) -> set[str]:
    return {hit.id for hit in (await store.search(index, {"query": query})).hits}


async def test_a_search_sees_the_last_refresh_only(store: Store, index: str) -> None:
    everything: dict[str, Any] = {"match_all": {}}
    await store.bulk([create_line("a"), b'{"count":1}'], index=index)
    assert await ids(store, index, everything) == set()
    await store.refresh(index)
    assert await ids(store, index, everything) == {"a"}

    await store.bulk([index_line("a", 0, 1), b'{"count":2}', create_line("b"), b"{}"], index=index)
    assert await ids(store, index, {"term": {"count": 1}}) == {"a"}
    assert await ids(store, index, {"term": {"count": 2}}) == set()
    await store.refresh(index)
    assert await ids(store, index, {"term": {"count": 2}}) == {"a"}

    await store.bulk([delete_line("a")], index=index)
    assert await ids(store, index, everything) == {"a", "b"}
    await store.refresh(index)
    assert await ids(store, index, everything) == {"b"}


QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"match_all": {}}, "abcde"),
    ({"term": {"name": "red"}}, "ab"),
    ({"term": {"name": {"value": "blue"}}}, "b"),
    ({"term": {"other_name": "red"}}, "ab"),
    ({"term": {"group.name": "x"}}, "a"),
    ({"term": {"count": 2}}, "bc"),
    ({"term": {"count": "9"}}, "d"),
    ({"term": {"flag": True}}, "a"),
    ({"term": {"at": "2026-01-02T00:00:00.5Z"}}, "b"),
    ({"term": {"unknown": "red"}}, ""),
    ({"term": {"anything.name": "red"}}, ""),
    ({"term": {"name": "a name above the limit"}}, ""),
    ({"terms": {"name": ["blue", "green", "none"]}}, "bc"),
    ({"terms": {"name": []}}, ""),
    ({"range": {"count": {"gt": 1, "lte": 5}}}, "bcd"),
    ({"range": {"count": {"gte": 6, "lt": 9}}}, ""),
    ({"range": {"small": {"lt": 0}}}, "c"),
    ({"range": {"share": {"gte": 0.5}}}, "b"),
    ({"range": {"at": {"gt": "2026-01-01T00:00:00Z"}}}, "b"),
    ({"range": {"_seq_no": {"gt": 2}}}, "de"),
    ({"range": {"unknown": {"gt": 0}}}, ""),
    ({"exists": {"field": "name"}}, "abc"),
    ({"exists": {"field": "unknown"}}, ""),
    ({"ids": {"values": ["b", "none", "b"]}}, "b"),
    ({"bool": {"filter": [{"term": {"name": "red"}}, {"term": {"count": 2}}]}}, "b"),
    ({"bool": {"filter": {"term": {"count": 2}}, "must_not": [{"term": {"name": "red"}}]}}, "c"),
    ({"bool": {"must_not": [{"exists": {"field": "count"}}]}}, "e"),
    ({"bool": {"should": [{"term": {"count": 1}}, {"term": {"count": 9}}]}}, "ad"),
    ({"bool": {"filter": [{"match_all": {}}], "should": [{"term": {"count": 1}}]}}, "abcde"),
    (
        {
            "bool": {
                "filter": [{"match_all": {}}],
                "should": [{"term": {"count": 1}}, {"term": {"name": "red"}}],
                "minimum_should_match": 2,
            }
        },
        "a",
    ),
    ({"bool": {}}, "abcde"),
]

SORTS: list[tuple[list[Any], list[tuple[str, Any]]]] = [
    (["_seq_no"], [("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 4)]),
    ([{"_seq_no": "desc"}], [("e", 4), ("d", 3), ("c", 2), ("b", 1), ("a", 0)]),
    (["count"], [("a", 1), ("b", 2), ("c", 2), ("d", 5), ("e", 2**63 - 1)]),
    ([{"count": {"order": "desc"}}, "_seq_no"], [("d", 9), ("b", 2), ("c", 2), ("a", 1), ("e", -(2**63))]),
    (["name", "_seq_no"], [("b", "blue"), ("c", "green"), ("a", "red"), ("d", None), ("e", None)]),
    ([{"name": "desc"}, "_seq_no"], [("a", "red"), ("b", "red"), ("c", "green"), ("d", None), ("e", None)]),
    (
        ["at", "_seq_no"],
        [("a", 1767225600000), ("b", 1767312000500), ("c", 2**63 - 1), ("d", 2**63 - 1), ("e", 2**63 - 1)],
    ),
]


async def test_queries_find_what_the_mapping_indexes(store: Store, filled: str) -> None:
    found = {str(query): "".join(sorted(await ids(store, filled, query))) for query, _ in QUERIES}

    assert found == {str(query): expected for query, expected in QUERIES}


async def test_hits_come_sorted_with_what_they_were_sorted_by(store: Store, filled: str) -> None:
    found = {}
    for sort, _ in SORTS:
        page = await store.search(filled, {"sort": sort})
        found[str(sort)] = [(hit.id, hit.sort[0]) for hit in page.hits]

    assert found == {str(sort): expected for sort, expected in SORTS}


async def test_pages_follow_each_other_without_gap_or_double(store: Store, filled: str) -> None:
    sorts: list[list[Any]] = [["_seq_no"], [{"count": {"order": "desc"}}, "_seq_no"], ["name", "_seq_no"]]
    for sort in sorts:
        everything = await store.search(filled, {"sort": sort})
        seen: list[str] = []
        body: dict[str, Any] = {"sort": sort, "size": 2}
        while (page := await store.search(filled, body)).hits:
            seen += [hit.id for hit in page.hits]
            body["search_after"] = list(page.hits[-1].sort)

        assert seen == [hit.id for hit in everything.hits]
        assert len(seen) == len(DOCUMENTS)


async def test_ten_hits_come_where_no_size_is_given(store: Store, index: str) -> None:
    await store.bulk([line for n in range(12) for line in (create_line(str(n)), b"{}")], index=index)
    await store.refresh(index)

    page = await store.search(index, {})
    none = await store.search(index, {"size": 0})

    assert (len(page.hits), page.total) == (10, 12)
    assert (len(none.hits), none.total) == (0, 12)


async def test_the_total_comes_unless_it_is_declined(store: Store, filled: str) -> None:
    assert (await store.search(filled, {"size": 1})).total == 5
    assert (await store.search(filled, {"size": 1, "track_total_hits": False})).total is None


async def test_versions_come_when_asked_for_and_sources_unless_declined(store: Store, filled: str) -> None:
    query = {"ids": {"values": ["c"]}}
    (bare,) = (await store.search(filled, {"query": query, "_source": False})).hits
    (full,) = (await store.search(filled, {"query": query, "seq_no_primary_term": True})).hits
    (part,) = (await store.search(filled, {"query": query, "_source": ["flag", "count", "none"]})).hits

    nested = (await store.search(filled, {"_source": ["group.name", "name"], "sort": ["_seq_no"], "size": 1})).hits

    assert msgspec.json.decode(part.source) == {"count": 2, "flag": False}
    assert msgspec.json.decode(nested[0].source) == {"name": "red", "group": {"name": "x"}}
    assert (bare.source, bare.version, bare.index) == (b"", None, filled)
    assert (full.source, full.version) == (DOCUMENTS["c"], Version(2, 1))


async def test_an_alias_is_searched_in_all_its_indices(ground: Ground, index_prefix: str) -> None:
    alias = f"{index_prefix}-alias"
    older = await ground.make_index(alias=alias)
    newer = await ground.make_index(alias=alias)
    for index in (older, newer):
        await ground.store.bulk([create_line("a"), b'{"count":1}'], index=index)
    await ground.store.refresh(alias)

    page = await ground.store.search(alias, {"query": {"ids": {"values": ["a"]}}})

    assert {(hit.index, hit.id) for hit in page.hits} == {(older, "a"), (newer, "a")}


async def test_a_search_that_makes_no_sense_is_rejected(store: Store, filled: str) -> None:
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"sort": ["unknown"]}, "query_shard_exception"),
        ({"sort": ["story"]}, "illegal_argument_exception"),
        ({"size": 10_001}, "illegal_argument_exception"),
        ({"query": {"term": {"count": "abc"}}}, "query_shard_exception"),
    ]
    for body, error_type in bodies:
        with pytest.raises(StoreRejected) as rejected:
            await store.search(filled, body)
        assert (rejected.value.status, rejected.value.error_type) == (400, error_type)
