"""What the store says when the way to Elasticsearch breaks: whether anything can have been applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from leasehold.core.errors import OutcomeUnknown, StoreError, StoreRejected, StoreUnavailable
from leasehold.core.es import ElasticsearchStore
from leasehold.core.es.lines import create_line
from leasehold.core.es.transport import client_for
from leasehold.core.settings import StoreSettings

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

FOUND = b'{"_index":"i","_id":"a","_seq_no":0,"_primary_term":1,"found":true,"_source":{}}'
WRITTEN = b'{"items":[{"create":{"_index":"i","_id":"a","_seq_no":0,"_primary_term":1,"status":201}}]}'


def response(status: int, body: bytes, *, length: int | None = None) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))


def answering(status: int, body: bytes, *, length: int | None = None) -> Answer:
    """Answer every request the same; with a `length` beyond the body's the answer is cut short."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response(status, body, length=length))
        await writer.drain()

    return answer


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def speak_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(response(400, b""))
    await writer.drain()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


class Node:
    """A server that behaves as told. `requests` counts connections that it took."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        try:
            await self._answer(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def node(answer: Answer) -> AsyncIterator[Node]:
    one = Node(answer)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def store_on(*urls: str, timeout_ms: int = 5_000) -> AsyncIterator[ElasticsearchStore]:
    settings = StoreSettings(urls=urls, request_timeout_ms=timeout_ms)
    client = client_for(settings, 4)
    try:
        yield ElasticsearchStore(client, settings)
    finally:
        await client.close()


async def closed_port() -> str:
    async with node(hang_up) as one:
        return one.url


async def write(store: ElasticsearchStore, timeout_ms: int = 5_000) -> object:
    return await store.bulk([create_line("a"), b"{}"], index="i", timeout_ms=timeout_ms)


async def read(store: ElasticsearchStore) -> object:
    return await store.get("i", "a")


async def failure(request: Awaitable[object]) -> StoreError:
    with pytest.raises(StoreError) as raised:
        await request
    return raised.value


async def test_a_refused_connection_means_that_nothing_was_applied() -> None:
    async with store_on(await closed_port()) as store:
        assert type(await failure(write(store))) is StoreUnavailable
        assert type(await failure(read(store))) is StoreUnavailable


async def test_a_name_that_does_not_resolve_means_that_nothing_was_applied() -> None:
    async with store_on("http://no-such-host.invalid:9200") as store:
        assert type(await failure(write(store))) is StoreUnavailable


async def test_a_failed_tls_handshake_means_that_nothing_was_applied() -> None:
    async with node(speak_no_tls) as plain, store_on(plain.url.replace("http:", "https:")) as store:
        assert type(await failure(write(store))) is StoreUnavailable


@pytest.mark.parametrize(
    "answer",
    [
        hang_up,
        answering(200, WRITTEN[:20], length=len(WRITTEN)),
        answering(200, b"<html>"),
        answering(200, WRITTEN[:20]),
    ],
    ids=["hangs up", "cut short", "no JSON", "half a body"],
)
async def test_a_write_whose_answer_is_lost_may_have_been_applied_and_a_read_changes_nothing(answer: Answer) -> None:
    async with node(answer) as one, store_on(one.url) as store:
        assert type(await failure(write(store))) is OutcomeUnknown
        assert one.requests == 1
        assert type(await failure(read(store))) is StoreUnavailable


async def test_a_write_without_an_answer_in_time_may_have_been_applied() -> None:
    async with node(say_nothing) as one, store_on(one.url, timeout_ms=50) as store:
        assert type(await failure(write(store, timeout_ms=50))) is OutcomeUnknown
        assert type(await failure(read(store))) is StoreUnavailable


@pytest.mark.parametrize(
    ("status", "of_a_write", "of_a_read"),
    [
        (429, StoreUnavailable, StoreUnavailable),
        (503, StoreUnavailable, StoreUnavailable),
        (500, OutcomeUnknown, StoreUnavailable),
        (502, OutcomeUnknown, StoreUnavailable),
        (504, OutcomeUnknown, StoreUnavailable),
        (400, StoreRejected, StoreRejected),
        (401, StoreRejected, StoreRejected),
        (403, StoreRejected, StoreRejected),
        (413, StoreRejected, StoreRejected),
    ],
)
async def test_a_status_is_one_kind_of_failure(
    status: int, of_a_write: type[StoreError], of_a_read: type[StoreError]
) -> None:
    body = b'{"error":{"root_cause":[{"type":"deep_exception","reason":"why"}],"type":"top_exception"},"status":0}'
    async with node(answering(status, body)) as one, store_on(one.url) as store:
        for request, expected in ((write, of_a_write), (read, of_a_read)):
            error = await failure(request(store))
            assert type(error) is expected
            assert "deep_exception: why" in str(error)
            if isinstance(error, StoreRejected):
                assert (error.status, error.error_type) == (status, "deep_exception")


async def test_a_rejection_without_a_body_still_says_its_status() -> None:
    async with node(answering(413, b"")) as one, store_on(one.url) as store:
        error = await failure(write(store))

    assert isinstance(error, StoreRejected)
    assert (error.status, error.error_type) == (413, "")


async def test_a_read_goes_on_to_the_next_node_and_a_write_is_sent_once() -> None:
    async with node(hang_up) as broken, node(answering(200, FOUND)) as sound:
        for _ in range(4):
            async with store_on(broken.url, sound.url) as store:
                assert await read(store) is not None
    assert sound.requests == 4

    async with node(hang_up) as one, node(hang_up) as other, store_on(one.url, other.url) as store:
        assert type(await failure(write(store))) is OutcomeUnknown
        assert one.requests + other.requests == 1


async def test_credentials_go_with_every_request() -> None:
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(response(200, FOUND))

    async with node(note) as one:
        for settings in (
            StoreSettings(urls=(one.url,), api_key="c2VjcmV0"),
            StoreSettings(urls=(one.url,), username="u", password="p"),
        ):
            client = client_for(settings, 1)
            await ElasticsearchStore(client, settings).get("i", "a")
            await client.close()

    assert b"authorization: ApiKey c2VjcmV0" in seen[0].replace(b"Authorization", b"authorization")
    assert b"authorization: Basic dTpw" in seen[1].replace(b"Authorization", b"authorization")
    assert b"accept: application/vnd.elasticsearch+json; compatible-with=8" in seen[0].replace(b"Accept", b"accept")
