"""Conditional writes, and how a bulk answers for each of its items."""

from __future__ import annotations

import pytest
from leasehold.core.errors import StoreRejected
from leasehold.core.es.lines import create_line, create_line_in, delete_line, fence_lines, index_line, put_line
from leasehold.core.ports import BulkItem, Store, Version

from .ground import Ground

CONFLICT = "version_conflict_engine_exception"


async def one(store: Store, index: str, *lines: bytes) -> BulkItem:
    (item,) = await store.bulk(lines, index=index)
    return item


async def test_a_created_document_is_read_back_at_once_with_its_version(store: Store, index: str) -> None:
    item = await one(store, index, create_line("a"), b'{"count":1}')

    found = await store.get(index, "a")

    assert (item.status, item.index, item.id, item.version) == (201, index, "a", Version(0, 1))
    assert found is not None
    assert (found.index, found.id, found.source, found.version) == (index, "a", b'{"count":1}', item.version)


async def test_creating_what_exists_is_a_conflict_and_changes_nothing(store: Store, index: str) -> None:
    await one(store, index, create_line("a"), b'{"count":1}')

    second = await one(store, index, create_line("a"), b'{"count":2}')

    found = await store.get(index, "a")
    assert (second.status, second.error_type, second.version) == (409, CONFLICT, None)
    assert found is not None
    assert found.source == b'{"count":1}'


async def test_a_write_under_the_current_version_replaces_the_document(store: Store, index: str) -> None:
    first = await one(store, index, create_line("a"), b'{"count":1}')
    assert first.version is not None

    second = await one(store, index, index_line("a", first.version.seq_no, first.version.primary_term), b'{"count":2}')

    found = await store.get(index, "a")
    assert (second.status, second.version) == (200, Version(1, 1))
    assert found is not None
    assert found.source == b'{"count":2}'


@pytest.mark.parametrize("stale", [Version(7, 1), Version(0, 2)])
async def test_a_write_under_another_version_is_a_conflict(store: Store, index: str, stale: Version) -> None:
    await one(store, index, create_line("a"), b"{}")

    item = await one(store, index, index_line("a", stale.seq_no, stale.primary_term), b'{"count":2}')

    assert (item.status, item.error_type) == (409, CONFLICT)


async def test_a_conditional_write_of_a_missing_document_is_a_conflict(store: Store, index: str) -> None:
    assert (await one(store, index, index_line("a", 0, 1), b"{}")).status == 409
    assert (await one(store, index, delete_line("a", 0, 1))).status == 409


async def test_a_deleted_document_is_gone_for_reads_and_conditional_writes(store: Store, index: str) -> None:
    await one(store, index, create_line("a"), b"{}")

    deleted = await one(store, index, delete_line("a", 0, 1))
    repeated = await one(store, index, delete_line("a", 0, 1))
    rewritten = await one(store, index, index_line("a", 0, 1), b"{}")

    assert (deleted.status, deleted.version) == (200, Version(1, 1))
    assert await store.get(index, "a") is None
    assert (repeated.status, rewritten.status) == (409, 409)


async def test_a_deleted_id_can_be_created_again(store: Store, index: str) -> None:
    await one(store, index, create_line("a"), b"{}")
    await one(store, index, delete_line("a"))

    again = await one(store, index, create_line("a"), b'{"count":2}')

    assert (again.status, again.version) == (201, Version(2, 1))


async def test_deleting_nothing_is_404_and_takes_a_sequence_number_all_the_same(store: Store, index: str) -> None:
    nothing = await one(store, index, delete_line("a"))

    following = await one(store, index, create_line("b"), b"{}")

    assert (nothing.status, nothing.version, nothing.error_type) == (404, Version(0, 1), "")
    assert following.version == Version(1, 1)


async def test_a_conflict_takes_no_sequence_number(store: Store, index: str) -> None:
    await one(store, index, create_line("a"), b"{}")
    await one(store, index, create_line("a"), b"{}")

    assert (await one(store, index, create_line("b"), b"{}")).version == Version(1, 1)


async def test_items_answer_in_order_and_one_that_fails_does_not_stop_the_next(store: Store, index: str) -> None:
    items = await store.bulk(
        [
            create_line("a"),
            b"{}",
            create_line("a"),
            b"{}",
            delete_line("none"),
            put_line("b"),
            b"{}",
            put_line("b"),
            b"{}",
        ],
        index=index,
    )

    assert [(item.id, item.status) for item in items] == [("a", 201), ("a", 409), ("none", 404), ("b", 201), ("b", 200)]


async def test_later_items_of_a_bulk_see_earlier_ones(store: Store, index: str) -> None:
    first, second = await store.bulk([create_line("a"), b"{}", index_line("a", 0, 1), b'{"count":2}'], index=index)

    assert (first.version, second.version) == (Version(0, 1), Version(1, 1))


async def test_a_fence_takes_its_own_epoch_and_higher_ones_and_refuses_lower(store: Store, index: str) -> None:
    statuses = [
        (await one(store, index, *fence_lines(epoch, writer))).status
        for epoch, writer in [(3, "old"), (3, "old"), (4, "new"), (3, "old"), (4, "new")]
    ]

    found = await store.get(index, "fence")

    assert statuses == [201, 200, 200, 409, 200]
    assert found is not None
    assert b'"epoch":4' in found.source


async def test_a_refused_fence_does_not_undo_the_items_before_it(store: Store, index: str) -> None:
    await one(store, index, *fence_lines(5, "new"))

    written, fence = await store.bulk([create_line("a"), b"{}", *fence_lines(4, "old")], index=index)

    assert (written.status, fence.status, fence.error_type) == (201, 409, CONFLICT)
    assert await store.get(index, "a") is not None


async def test_a_fence_remembers_its_epoch_after_a_deletion(store: Store, index: str) -> None:
    await one(store, index, *fence_lines(5, "new"))
    await one(store, index, delete_line("fence"))

    assert (await one(store, index, *fence_lines(4, "old"))).status == 409


async def test_a_write_creates_no_index(ground: Ground, index: str) -> None:
    await ground.remove_index(index)

    item = await one(ground.store, index, create_line("a"), b"{}")

    assert (item.status, item.index, item.error_type) == (404, index, "index_not_found_exception")
    with pytest.raises(StoreRejected) as missing:
        await ground.store.get(index, "a")
    assert (missing.value.status, missing.value.error_type) == (404, "index_not_found_exception")


async def test_one_bulk_can_span_indices_and_a_missing_one_fails_its_own_items_only(ground: Ground) -> None:
    first, second = await ground.make_index(), await ground.make_index()
    await ground.remove_index(second)

    items = await ground.store.bulk([create_line_in(first, "a"), b"{}", create_line_in(second, "a"), b"{}"])

    assert [(item.index, item.status) for item in items] == [(first, 201), (second, 404)]


async def test_a_write_through_an_alias_goes_to_its_write_index_and_says_so(ground: Ground, index_prefix: str) -> None:
    alias = f"{index_prefix}-alias"
    await ground.make_index(alias=alias)
    newer = await ground.make_index(alias=alias)

    item = await one(ground.store, alias, create_line("a"), b"{}")

    assert (item.status, item.index) == (201, newer)


async def test_an_alias_without_a_write_index_takes_no_writes(ground: Ground, index_prefix: str) -> None:
    alias = f"{index_prefix}-alias"
    await ground.make_index(alias=alias, write=False)
    await ground.make_index(alias=alias, write=False)

    item = await one(ground.store, alias, create_line("a"), b"{}")

    assert (item.status, item.error_type) == (400, "illegal_argument_exception")


async def test_a_blocked_index_answers_403_and_still_reads(ground: Ground, index: str) -> None:
    await one(ground.store, index, create_line("a"), b"{}")
    await ground.block_writes(index)

    item = await one(ground.store, index, create_line("b"), b"{}")

    assert (item.status, item.error_type) == (403, "cluster_block_exception")
    assert await ground.store.get(index, "a") is not None


UNFIT = [
    b"nope",
    b"[1]",
    b'{"count":"abc"}',
    b'{"count":true}',
    b'{"count":99999999999999999999}',
    b'{"small":3000000000}',
    b'{"share":"much"}',
    b'{"at":"yesterday"}',
    b'{"flag":"yes"}',
    b'{"name":{"first":"x"}}',
    b'{"story":{}}',
    b'{"group":"x"}',
    b'{"":1}',
    b'{"anything":NaN}',
    b'{"anything":{"a":1,"a":2}}',
    b'{"anything":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}",
]
FIT = [
    b'{"unknown":{"":1,"a..b":[{}],"deep":[[[1]]]}}',
    b'{"anything":5}',
    b'{"anything":{"":{"count":"abc"}}}',
    b'{"anything":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    b'{"count":"12","small":1.7,"share":"2.5","flag":"true","name":7}',
    b'{"count":null,"name":[],"group":null}',
    b'{"count":[1,[2]],"group":[{"name":"a"},{"name":"b"}]}',
    b'{"group.name":"dotted"}',
    b'{"name":"' + b"x" * 40_000 + b'","story":"' + b"y" * 40_000 + b'"}',
    b'{"anything":{"' + b"k" * 40_000 + b'":1}}',
    '{"story":"\\u0000 \U0001f680"}'.encode(),
]


async def test_documents_that_do_not_fit_fail_alone(store: Store, index: str) -> None:
    lines = [line for n, source in enumerate(UNFIT) for line in (create_line(f"bad-{n}"), source)]

    *bad, good = await store.bulk([*lines, create_line("good"), b"{}"], index=index)

    answers = {source[:40]: (item.status, item.error_type) for source, item in zip(UNFIT, bad, strict=True)}
    assert answers == {source[:40]: (400, "document_parsing_exception") for source in UNFIT}
    assert good.status == 201
    assert await store.mget(index, [item.id for item in bad]) == [None] * len(bad)


async def test_documents_that_fit_are_stored_byte_for_byte(store: Store, index: str) -> None:
    lines = [line for n, source in enumerate(FIT) for line in (create_line(f"d{n}"), source)]

    items = await store.bulk(lines, index=index)

    found = await store.mget(index, [item.id for item in items])
    assert [(item.status, item.error_reason) for item in items] == [(201, "")] * len(FIT)
    assert [document and document.source for document in found] == FIT


async def test_any_id_is_written_read_and_deleted(store: Store, index: str) -> None:
    ids = ["a/b", "..", ".", "a b", 'quote"d', "back\\slash", "100%", "%2e", "a+b?c#d&e", "ü", "\U0001f680", "a\nb"]
    ids += ["03-0:each[17].scan:1", "~", "i" * 512]

    created = await store.bulk([line for id in ids for line in (create_line(id), b"{}")], index=index)
    found = [await store.get(index, id) for id in ids]
    many = await store.mget(index, ids)
    deleted = await store.bulk([delete_line(id, n, 1) for n, id in enumerate(ids)], index=index)

    assert [(item.id, item.status) for item in created] == [(id, 201) for id in ids]
    assert [document and document.id for document in found] == ids
    assert many == found
    assert [(item.id, item.status) for item in deleted] == [(id, 200) for id in ids]


async def test_a_malformed_bulk_is_rejected_as_a_whole(store: Store, index: str) -> None:
    first = (create_line("first"), b"{}")
    for lines in (
        [],
        [create_line("without a source")],
        [*first, b"nope", b"{}"],
        [*first, b'{"nope":{"_id":"a"}}', b"{}"],
        [*first, delete_line("a"), b"{}"],
        [*first, b'{"create":{"_id":"a","if_seq_no":1,"if_primary_term":1}}', b"{}"],
        [*first, create_line("i" * 513), b"{}"],
    ):
        with pytest.raises(StoreRejected) as rejected:
            await store.bulk(lines, index=index)
        assert rejected.value.status == 400

    assert await store.get(index, "first") is None


async def test_a_last_action_without_its_source_is_dropped_silently(store: Store, index: str) -> None:
    items = await store.bulk([create_line("a"), b"{}", create_line("b")], index=index)

    assert [item.id for item in items] == ["a"]


async def test_an_empty_id_fails_alone(store: Store, index: str) -> None:
    assert (await one(store, index, create_line(""), b"{}")).status == 400


async def test_a_bulk_of_two_megabytes_passes_in_one_request(store: Store, index: str) -> None:
    body = b'{"anything":"' + b"x" * 20_000 + b'"}'
    lines = [line for number in range(100) for line in (create_line(f"d{number}"), body)]

    items = await store.bulk(lines, index=index)

    assert [item.status for item in items] == [201] * 100


async def test_an_index_is_created_once_takes_writes_at_once_and_is_deleted_with_all_it_holds(
    ground: Ground, store: Store, index: str
) -> None:
    other = f"{index}-other"
    await store.create_index(other)
    (item,) = await store.bulk([create_line("a"), b"{}"], index=other)
    assert item.status == 201
    await store.create_index(other)
    assert await store.get(other, "a") is not None
    await store.delete_index(other)
    await store.delete_index(other)
    with pytest.raises(StoreRejected) as refused:
        await store.get(other, "a")
    assert refused.value.status == 404
