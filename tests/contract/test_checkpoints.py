"""Checkpoints tell, without a search, whether an index has changed."""

from __future__ import annotations

import pytest
from leasehold.core.errors import StoreRejected
from leasehold.core.es.lines import create_line, delete_line
from leasehold.core.ports import Store

from .ground import Ground


async def test_every_operation_advances_the_checkpoint_and_a_refused_one_does_not(store: Store, index: str) -> None:
    before = await store.checkpoint(index)
    await store.bulk([create_line("a"), b"{}", delete_line("none"), delete_line("a")], index=index)
    after = await store.checkpoint(index)
    await store.bulk([delete_line("a", 0, 1)], index=index)

    assert (before.global_checkpoint, before.max_seq_no) == (-1, -1)
    assert (after.global_checkpoint, after.max_seq_no) == (2, 2)
    assert await store.checkpoint(index) == after
    assert after.index_uuid == before.index_uuid


async def test_an_index_made_again_under_its_name_has_another_identity(ground: Ground, index: str) -> None:
    before = await ground.store.checkpoint(index)

    await ground.make_again(index)

    assert (await ground.store.checkpoint(index)).index_uuid != before.index_uuid


async def test_a_checkpoint_belongs_to_one_index(ground: Ground, index_prefix: str) -> None:
    alias = f"{index_prefix}-alias"
    await ground.make_index(alias=alias)
    await ground.store.checkpoint(alias)
    await ground.make_index(alias=alias)

    with pytest.raises(StoreRejected) as rejected:
        await ground.store.checkpoint(alias)

    assert rejected.value.status == 400
