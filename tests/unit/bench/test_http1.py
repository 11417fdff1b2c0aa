"""The lean HTTP client: requests as bytes, answers however they are cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.bench.load import Address
from leasehold.bench.load.http1 import read_answer

SIZED = b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"a":\r\n4;x=y\r\n[1]}\r\n0\r\n\r\n'
)


def pieces(answer: bytes, cuts: list[int]) -> Callable[[int], bytes]:
    edges = [0, *sorted({min(cut, len(answer)) for cut in cuts}), len(answer)]
    parts = [answer[start:end] for start, end in itertools.pairwise(edges) if start < end]
    return lambda _: parts.pop(0) if parts else b""


@given(st.lists(st.integers(1, 200), max_size=30))
def test_a_sized_answer_is_read_however_it_is_cut(cuts: list[int]) -> None:
    assert read_answer(pieces(SIZED, cuts)) == (201, b'{"ok":true}', False)


@given(st.lists(st.integers(1, 200), max_size=30))
def test_a_chunked_answer_is_read_however_it_is_cut(cuts: list[int]) -> None:
    assert read_answer(pieces(CHUNKED, cuts)) == (200, b'{"a":[1]}', False)


def test_an_answer_without_content_ends_with_its_head() -> None:
    assert read_answer(pieces(b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", [])) == (204, b"", False)


def test_a_server_that_will_close_is_noticed() -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert read_answer(pieces(answer, [])) == (503, b"", True)


@pytest.mark.parametrize("length", [10, len(SIZED) - 1])
def test_an_answer_that_breaks_off_is_an_error(length: int) -> None:
    with pytest.raises(ConnectionError):
        read_answer(pieces(SIZED[:length], []))


def test_a_request_has_its_length_and_authorization() -> None:
    address = Address("http://127.0.0.1:9200", authorization="ApiKey abc")
    assert address.request("POST", "/x/_bulk", b"{}\n", content_type="application/x-ndjson") == (
        b"POST /x/_bulk HTTP/1.1\r\nHost: 127.0.0.1:9200\r\nAuthorization: ApiKey abc\r\n"
        b"Content-Type: application/x-ndjson\r\nContent-Length: 3\r\n\r\n{}\n"
    )


def test_a_get_has_no_body_and_no_length() -> None:
    assert Address("http://es:9200").request("GET", "/") == b"GET / HTTP/1.1\r\nHost: es:9200\r\n\r\n"
