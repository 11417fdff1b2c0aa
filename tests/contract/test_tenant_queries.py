"""What a replica asks the tenants index: all that stands in it, what is new, and how much there is."""

from __future__ import annotations

import msgspec
from leasehold.core.es.lines import delete_line, put_line
from leasehold.core.es.tenant_documents import Found, tenant_documents
from leasehold.ilm import live

from .ground import Ground


async def put(ground: Ground, index: str, *tenants: str) -> int:
    """Write these documents anew; returns the highest sequence number."""
    lines = [line for tenant in tenants for line in (put_line(tenant), msgspec.json.encode({"weight": 2}))]
    items = await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)
    return max(item.version.seq_no for item in items if item.version is not None)


def ids(found: Found) -> list[str]:
    return [document.id for document in found.documents]


async def test_all_documents_come_in_pages_in_the_order_of_their_writes(ground: Ground) -> None:
    index = await ground.make_index(live.TENANTS)
    await put(ground, index, *(f"t{n}" for n in range(7)))
    await put(ground, index, "t3")
    for page_size in (2, 7, 100):
        found = await tenant_documents(ground.store, index, above_seq_no=-1, page_size=page_size)
        assert ids(found) == ["t0", "t1", "t2", "t4", "t5", "t6", "t3"]
        assert found.total == 7


async def test_what_is_new_comes_alone_and_all_are_counted(ground: Ground) -> None:
    index = await ground.make_index(live.TENANTS)
    known = await put(ground, index, "a", "b", "c")
    await ground.store.bulk([delete_line("a")], index=index)
    await put(ground, index, "b", "*", "audited:b")
    found = await tenant_documents(ground.store, index, above_seq_no=known)
    assert ids(found) == ["b", "*", "audited:b"]
    assert found.total == 4
    assert all(document.version is not None for document in found.documents)


async def test_nothing_is_nothing(ground: Ground) -> None:
    index = await ground.make_index(live.TENANTS)
    assert await tenant_documents(ground.store, index, above_seq_no=-1) == Found([], 0)
