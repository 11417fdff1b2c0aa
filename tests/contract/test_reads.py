"""Reads by id are realtime; names resolve as Elasticsearch resolves them."""

from __future__ import annotations

import pytest
from leasehold.core.errors import StoreRejected
from leasehold.core.es.lines import create_line, index_line
from leasehold.core.ports import Store

from .ground import Ground


async def test_a_missing_document_is_none(store: Store, index: str) -> None:
    assert await store.get(index, "none") is None


async def test_many_documents_come_in_the_order_asked_for(store: Store, index: str) -> None:
    await store.bulk([create_line("a"), b'{"count":1}', create_line("b"), b'{"count":2}'], index=index)

    found = await store.mget(index, ["b", "none", "a", "b"])

    assert [document and document.id for document in found] == ["b", None, "a", "b"]
    assert found[2] == await store.get(index, "a")


async def test_no_ids_need_no_request(store: Store) -> None:
    assert await store.mget("there-is-no-such-index", []) == []


async def test_reads_by_id_do_not_wait_for_a_refresh(store: Store, index: str) -> None:
    await store.bulk([create_line("a"), b'{"count":1}'], index=index)
    await store.refresh(index)
    await store.bulk([index_line("a", 0, 1), b'{"count":2}'], index=index)

    found = await store.get(index, "a")
    (many,) = await store.mget(index, ["a"])

    assert found is not None
    assert found.source == b'{"count":2}'
    assert many == found


async def test_an_alias_of_one_index_is_read_like_the_index(ground: Ground, index_prefix: str) -> None:
    alias = f"{index_prefix}-alias"
    index = await ground.make_index(alias=alias)
    await ground.store.bulk([create_line("a"), b"{}"], index=index)

    found = await ground.store.get(alias, "a")

    assert found is not None
    assert found.index == index
    assert await ground.store.resolve_write_index(alias) == index


async def test_an_alias_of_two_indices_cannot_be_read_by_id(ground: Ground, index_prefix: str) -> None:
    alias = f"{index_prefix}-alias"
    await ground.make_index(alias=alias)
    newer = await ground.make_index(alias=alias)

    for reading in (ground.store.get(alias, "a"), ground.store.mget(alias, ["a"])):
        with pytest.raises(StoreRejected) as rejected:
            await reading
        assert rejected.value.status == 400
    assert await ground.store.resolve_write_index(alias) == newer


async def test_a_missing_index_is_404_for_every_read(ground: Ground, index: str) -> None:
    await ground.remove_index(index)
    store = ground.store

    for request in (
        store.get(index, "a"),
        store.mget(index, ["a"]),
        store.search(index, {"query": {"match_all": {}}}),
        store.open_pit(index, keep_alive_ms=60_000),
        store.refresh(index),
        store.checkpoint(index),
        store.resolve_write_index(index),
    ):
        with pytest.raises(StoreRejected) as rejected:
            await request
        assert rejected.value.status == 404


async def test_an_index_is_no_alias(store: Store, index: str) -> None:
    with pytest.raises(StoreRejected) as rejected:
        await store.resolve_write_index(index)
    assert rejected.value.status == 404
