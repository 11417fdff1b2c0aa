"""Bulk requests and what is read of their answers."""

from __future__ import annotations

import pytest
from leasehold.bench.load import Address, Answer
from leasehold.bench.load.bulks import BulkRefused, bulk_request, every_item_written, written_items

WRITTEN = (
    b'{"errors":false,"took":3,"items":[{"index":{"_index":"i","_id":"a","_version":2,"result":"updated",'
    b'"_seq_no":7,"_primary_term":1,"status":200}}]}'
)
REFUSED = (
    b'{"errors":true,"took":1,"items":[{"index":{"_index":"i","_id":"a","status":409,'
    b'"error":{"type":"version_conflict_engine_exception","reason":"gone"}}}]}'
)


def answer(status: int, body: bytes) -> Answer:
    return Answer(status, body, 0, 1)


def test_the_version_that_now_stands_is_read() -> None:
    took_ms, (item,) = written_items(answer(200, WRITTEN))
    assert (took_ms, item.status, item.seq_no, item.primary_term) == (3, 200, 7, 1)
    assert every_item_written(answer(200, WRITTEN))


def test_a_refused_item_is_noticed_without_parsing_and_by_its_status() -> None:
    assert not every_item_written(answer(200, REFUSED))
    assert [item.status for item in written_items(answer(200, REFUSED))[1]] == [409]


def test_a_bulk_that_is_refused_as_a_whole_says_what_elasticsearch_said() -> None:
    assert not every_item_written(answer(429, b"{}"))
    with pytest.raises(BulkRefused, match="429 to a bulk: too much"):
        written_items(answer(429, b"too much"))


def test_every_line_of_a_bulk_ends_in_a_line_feed() -> None:
    request = bulk_request(Address("http://es:9200"), "i", [b"{}", b'{"a":1}'])
    assert request.startswith(b"POST /i/_bulk HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{}\n{"a":1}\n')
