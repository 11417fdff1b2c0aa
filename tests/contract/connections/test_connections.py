"""The connections to Elasticsearch: every framing of HTTP/1.1, kept open while that is safe, and never mixed up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from leasehold.core.errors import StoreUnavailable
from leasehold.core.es import ElasticsearchStore, connection
from leasehold.core.es.connection import AnswerLost, ConnectionPool, NotConnected
from leasehold.core.es.transport import client_for
from leasehold.core.settings import StoreSettings

TLS = Path(__file__).parents[2] / "data" / "tls"

Answers = Callable[["Asked"], bytes]


class Asked:
    """One request as the node saw it: `number` counts on its connection, from 1."""

    def __init__(self, head: bytes, body: bytes, connection: int, number: int) -> None:
        self.method, self.target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.head = head
        self.body = body
        self.connection = connection
        self.number = number


class Node:
    """Answers each request with bytes of the test's; empty bytes close the connection."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[Asked] = []
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._answers = answers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        mine, number = len(self.writers), 0
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                number += 1
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                self.asked.append(Asked(head, await reader.readexactly(length), mine, number))
                answer = self._answers(self.asked[-1])
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def connections(self) -> list[int]:
        """The connection that each request came on."""
        return [asked.connection for asked in self.asked]


@asynccontextmanager
async def node(answers: Answers, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Node]:
    one = Node(answers)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for writer in one.writers:
            writer.close()


@asynccontextmanager
async def pool_to(one: Node, *, limit: int = 4) -> AsyncIterator[ConnectionPool]:
    pool = ConnectionPool("127.0.0.1", one.port, tls=None, limit=limit)
    try:
        yield pool
    finally:
        pool.close()


async def ask(
    pool: ConnectionPool, method: str = "POST", body: bytes = b"", *, timeout_s: float | None = 5.0
) -> tuple[int, bytes]:
    head = f"{method} / HTTP/1.1\r\nhost: n\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    answer = await pool.exchange(method, head, body, timeout_s=timeout_s)
    return answer.status, answer.body


async def until(gone: Callable[[], bool]) -> None:
    """Let the loop take notice of what the other side did."""
    for _ in range(1_000):
        if gone():
            return
        await asyncio.sleep(0)
    raise AssertionError("nothing happened")


def sized(body: bytes, *, status: int = 200, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%scontent-length: %d\r\n\r\n" % (status, extra, len(body)) + body


def chunked(*chunks: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (sized(b"abc"), (200, b"abc")),
        (sized(b""), (200, b"")),
        (chunked(b"abc", b"x" * 300_000, b"d"), (200, b"abc" + b"x" * 300_000 + b"d")),
        (chunked(), (200, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"abc", status=201), (201, b"abc")),
    ],
    ids=["length", "empty", "chunks", "no chunks", "no content", "continue first"],
)
async def test_every_framing_is_read_and_its_connection_used_again(raw: bytes, expected: tuple[int, bytes]) -> None:
    async with node(lambda asked: raw) as one, pool_to(one) as pool:
        assert [await ask(pool) for _ in range(3)] == [expected] * 3
    assert one.connections == [1, 1, 1]


async def test_an_answer_that_arrives_byte_by_byte_is_the_same_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for raw in (chunked(b"abc", b"de"), sized(b"second")):
            await reader.readuntil(b"\r\n\r\n")
            for at in range(len(raw)):
                writer.write(raw[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], tls=None, limit=1)
    assert [await ask(pool), await ask(pool)] == [(200, b"abcde"), (200, b"second")]
    pool.close()
    server.close()


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil here")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], tls=None, limit=1)
    assert [await ask(pool), await ask(pool)] == [(200, b"until here")] * 2
    pool.close()
    server.close()


@pytest.mark.parametrize("framing", [b"content-length: 95\r\n", b"transfer-encoding: chunked\r\n"])
async def test_the_answer_to_head_has_no_body_and_the_next_request_is_not_mistaken_for_it(framing: bytes) -> None:
    def answers(asked: Asked) -> bytes:
        return b"HTTP/1.1 404 X\r\n" + framing + b"\r\n" if asked.method == "HEAD" else sized(b"body")

    async with node(answers) as one, pool_to(one) as pool:
        assert [await ask(pool, method) for method in ("HEAD", "POST", "HEAD")] == [
            (404, b""),
            (200, b"body"),
            (404, b""),
        ]
    assert one.connections == [1, 1, 1]


async def test_bodies_of_any_size_arrive_whole() -> None:
    async with node(lambda asked: sized(b"%d" % len(asked.body))) as one, pool_to(one) as pool:
        sizes = [0, 1, connection.LARGEST_COPIED_BYTES, connection.LARGEST_COPIED_BYTES + 1, 6_000_000]
        assert [int((await ask(pool, body=b"x" * size))[1]) for size in sizes] == sizes
    assert one.connections == [1] * len(sizes)


async def test_a_connection_that_its_server_means_to_close_is_not_used_again() -> None:
    async with node(lambda asked: sized(b"", extra=b"connection: close\r\n")) as one, pool_to(one) as pool:
        await ask(pool)
        await ask(pool)
    assert one.connections == [1, 2]


async def test_a_connection_that_was_closed_while_idle_is_replaced_before_anything_is_sent() -> None:
    async with node(lambda asked: sized(b"")) as one, pool_to(one) as pool:
        await ask(pool)
        one.writers[0].close()
        await until(lambda: not any(kept.ready for kept in pool.idle))
        assert await ask(pool) == (200, b"")
    assert one.connections == [1, 2]


async def test_a_get_that_meets_a_closing_connection_is_asked_again_and_a_write_never() -> None:
    def answers(asked: Asked) -> bytes:
        return b"" if asked.number == 2 else sized(b"")

    async with node(answers) as one, pool_to(one) as pool:
        await ask(pool, "GET")
        assert await ask(pool, "GET") == (200, b"")
        assert one.connections == [1, 1, 2]
        with pytest.raises(AnswerLost):
            await ask(pool, "POST")
        assert one.connections == [1, 1, 2, 2]


async def test_what_nobody_asked_for_ends_a_connection() -> None:
    async with node(lambda asked: sized(b"first") + sized(b"unasked")) as one, pool_to(one) as pool:
        assert await ask(pool) == (200, b"first")
        assert await ask(pool) == (200, b"first")
    assert one.connections == [1, 2]


async def test_an_answer_that_is_no_http_is_a_lost_one() -> None:
    async with node(lambda asked: b"SSH-2.0-OpenSSH\r\n\r\n") as one, pool_to(one) as pool:
        with pytest.raises(AnswerLost, match="no HTTP"):
            await ask(pool)


async def test_connections_are_shared_up_to_the_limit_and_the_last_used_comes_first() -> None:
    async with node(lambda asked: sized(b"")) as one, pool_to(one, limit=2) as pool:
        await asyncio.gather(*(ask(pool) for _ in range(6)))
        assert len(one.asked) == 6
        assert set(one.connections) == {1, 2}
        before = len(one.asked)
        for _ in range(4):
            await ask(pool)
        assert len(set(one.connections[before:])) == 1


async def test_a_request_that_finds_no_connection_free_in_time_was_not_sent() -> None:
    held = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await held.wait()
        writer.write(sized(b"late"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], tls=None, limit=1)
    first = asyncio.create_task(ask(pool))
    await asyncio.sleep(0)
    with pytest.raises(NotConnected, match="in use"):
        await ask(pool, timeout_s=0.01)
    held.set()
    assert await first == (200, b"late")
    pool.close()
    server.close()


async def test_a_cancelled_or_late_request_takes_its_connection_with_it() -> None:
    def answers(asked: Asked) -> bytes:
        return sized(b"") if asked.connection == 3 else b"HTTP/1.1 200 OK\r\n"

    async with node(answers) as one, pool_to(one, limit=1) as pool:
        with pytest.raises(TimeoutError):
            await ask(pool, timeout_s=0.01)
        waiting = asyncio.create_task(ask(pool))
        await until(lambda: len(one.asked) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await ask(pool) == (200, b"")
    assert one.connections == [1, 2, 3]


async def test_a_connection_that_was_idle_for_long_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node(lambda asked: sized(b"")) as one, pool_to(one) as pool:
        await ask(pool)
        monkeypatch.setattr(connection, "IDLE_MAX_S", -1.0)
        await ask(pool)
    assert one.connections == [1, 2]


def test_tls_is_spoken_with_whom_the_given_certificate_names() -> None:
    """In a loop of its own, since a refused handshake is logged by the server's side of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    found = b'{"_index":"i","_id":"a","_seq_no":0,"_primary_term":1,"found":true,"_source":{}}'

    async def read(store: ElasticsearchStore) -> object:
        return await store.get("i", "a")

    async def speak() -> None:
        async with node(lambda asked: sized(found), tls=context) as one:
            for host, certificates, trusted in (
                ("127.0.0.1", str(TLS / "certificate.pem"), True),
                ("localhost", str(TLS / "certificate.pem"), True),
                ("127.0.0.1", None, False),
            ):
                settings = StoreSettings(urls=(f"https://{host}:{one.port}",), ca_certs=certificates)
                client = client_for(settings, 2)
                store = ElasticsearchStore(client, settings)
                if trusted:
                    assert await read(store) is not None
                    assert await read(store) is not None
                else:
                    with pytest.raises(StoreUnavailable, match="certificate"):
                        await read(store)
                await client.close()
            assert one.connections == [1, 1, 2, 2]

    asyncio.run(speak())


def test_a_path_before_the_target_is_kept() -> None:
    found = b'{"_index":"i","_id":"a","_seq_no":0,"_primary_term":1,"found":true,"_source":{}}'

    async def read() -> None:
        async with node(lambda asked: sized(found)) as one:
            settings = StoreSettings(urls=(f"http://127.0.0.1:{one.port}/behind/a/proxy",))
            client = client_for(settings, 2)
            await ElasticsearchStore(client, settings).get("i", "a")
            await client.close()
            assert one.asked[0].target == "/behind/a/proxy/i/_doc/a"

    asyncio.run(read())
