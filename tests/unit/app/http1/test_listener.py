"""The HTTP server: whatever a client does, answers come whole, in order, and once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leasehold.core.app.http1 import BodyBroken, BodyTooLarge, Listener, Request, Response, connection, listener

LIMIT_BYTES = 1_000_000

Answer = Callable[[Request], Awaitable[Response]]


async def echo(request: Request) -> Response:
    """Path, query and body; `/unread` leaves the body alone."""
    if request.raw_path == "/unread":
        return Response(200, b"unread")
    try:
        body = await request.body(LIMIT_BYTES)
    except BodyTooLarge:
        return Response(413, b"too large")
    except BodyBroken as error:
        return Response(400, f"broken: {error}".encode())
    return Response(200, f"{request.raw_path}?{request.raw_query}:".encode() + body)


def refusal(status: int, reason: str) -> Response:
    return Response(status, f"refused: {reason}".encode())


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    async def answer(self, *, body: bool = True) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return int(head[9:12]), await self.reader.readexactly(length if body else 0)

    async def rest(self) -> bytes:
        return await self.reader.read()


class Served:
    def __init__(self, one: Listener, port: int) -> None:
        self.listener = one
        self.port = port
        self._clients: list[Client] = []

    async def client(self) -> Client:
        one = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(one)
        return one

    async def close(self) -> None:
        for one in self._clients:
            one.writer.close()
        self.listener.stop_accepting()
        await self.listener.finish(0.0)


@asynccontextmanager
async def serving(answer: Answer = echo) -> AsyncIterator[Served]:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    one = Listener(answer, refusal)
    await one.start(sock, backlog=16)
    served = Served(one, sock.getsockname()[1])
    try:
        async with asyncio.timeout(20):
            yield served
    finally:
        await served.close()
        sock.close()


def get(path: str, *lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: a", *lines, "")).encode()


def post(path: str, body: bytes, *lines: str) -> bytes:
    return get(path, f"Content-Length: {len(body)}", *lines).replace(b"GET", b"POST") + body


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/a/b?c=d&e", b"/a/b?c=d&e:"),
        ("/%2F%zz", b"/%2F%zz?:"),
        ("http://host:80/a?b", b"/a?b:"),
        ("http://host", b"/?:"),
        ("//a", b"//a?:"),
        ("*", b"*?:"),
    ],
)
async def test_path_and_query_are_what_was_sent(target: str, seen: bytes) -> None:
    async with serving() as served:
        client = await served.client()
        client.send(get(target).replace(b"GET", b"OPTIONS" if target == "*" else b"GET"))
        assert await client.answer() == (200, seen)


async def test_pipelined_requests_are_answered_in_their_order_one_at_a_time() -> None:
    running = most = 0

    async def slowly(request: Request) -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        return await echo(request)

    async with serving(slowly) as served:
        client = await served.client()
        client.send(b"".join(post(f"/{n}", b"%d" % n) for n in range(50)))
        assert [await client.answer() for _ in range(50)] == [(200, b"/%d?:%d" % (n, n)) for n in range(50)]
    assert most == 1


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 400), max_size=12))
def test_requests_may_be_cut_anywhere(cuts: list[int]) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    stream = (
        post("/1", b"x" * 100)
        + get("/2?q")
        + get("/3", "Transfer-Encoding: chunked").replace(b"GET", b"PUT")
        + chunks
        + get("/4", "Connection: close")
    )

    async def talk() -> None:
        async with serving() as served:
            client = await served.client()
            at = 0
            for cut in sorted({*cuts, len(stream)}):
                client.send(stream[at:cut])
                await client.writer.drain()
                await asyncio.sleep(0)
                at = cut
            answers = [await client.answer() for _ in range(4)]
            assert answers == [(200, b"/1?:" + b"x" * 100), (200, b"/2?q:"), (200, b"/3?:abcde"), (200, b"/4?:")]
            assert await client.rest() == b""

    asyncio.run(talk())


async def test_a_body_of_any_size_up_to_the_limit_is_read_whole_and_a_larger_one_refused_while_it_comes() -> None:
    async with serving() as served:
        client = await served.client()
        for size in (0, 1, 65_536, 65_537, LIMIT_BYTES):
            client.send(post("/", b"x" * size))
            assert await client.answer() == (200, b"/?:" + b"x" * size)
        client.send(post("/", b"x" * (LIMIT_BYTES + 2))[:-1])
        assert await client.answer() == (413, b"too large")
        assert await client.rest() == b""


async def test_a_client_that_sends_on_after_a_refusal_finds_the_answer_and_no_reset() -> None:
    async with serving() as served:
        client = await served.client()
        client.send(get("/", "Transfer-Encoding: chunked").replace(b"GET", b"POST"))
        for _ in range(100):
            client.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await client.writer.drain()
        assert await client.answer() == (413, b"too large")


async def test_a_body_that_nobody_reads_ends_its_connection_after_the_answer() -> None:
    async with serving() as served:
        client = await served.client()
        client.send(post("/unread", b"x" * 10) + post("/unread", b"x" * 500_000)[:-1])
        assert [await client.answer(), await client.answer()] == [(200, b"unread")] * 2
        assert await client.rest() == b""


async def test_garbage_is_refused_after_the_answers_that_are_due() -> None:
    async with serving() as served:
        client = await served.client()
        client.send(get("/1") + get("/2") + b"\x00\x01\x02\r\n\r\n" + get("/3"))
        assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 400]
        assert await client.rest() == b""


async def test_garbage_in_a_body_breaks_that_request_alone() -> None:
    async with serving() as served:
        client = await served.client()
        client.send(get("/1") + get("/2", "Transfer-Encoding: chunked").replace(b"GET", b"POST") + b"zz\r\n")
        assert await client.answer() == (200, b"/1?:")
        status, body = await client.answer()
        assert (status, body[:7]) == (400, b"broken:")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "head",
    [
        get("/" + "a" * connection.HEAD_MAX_BYTES),
        get("/", "X: " + "a" * connection.HEAD_MAX_BYTES),
        get("/", *(f"X{n}: a" for n in range(connection.HEAD_MAX_HEADERS))),
    ],
    ids=["target", "header", "headers"],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_head_beyond_its_bounds_is_refused(head: bytes, at_once: bool) -> None:
    async with serving() as served:
        client = await served.client()
        for at in range(0, len(head), len(head) if at_once else 1_000):
            client.send(head[at : at + (len(head) if at_once else 1_000)])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 431


async def test_a_header_line_without_an_end_is_refused_before_it_ends() -> None:
    async with serving() as served:
        client = await served.client()
        client.send(b"GET / HTTP/1.1\r\nX: ")
        while not client.reader.at_eof() and not client.reader._buffer:  # type: ignore[attr-defined]
            client.send(b"a" * 1_000)
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 431


async def test_a_head_within_its_bounds_is_taken_however_it_arrives() -> None:
    head = get("/", *(f"X{n}: {'a' * 100}" for n in range(100)))
    async with serving() as served:
        client = await served.client()
        for at in range(0, len(head), 700):
            client.send(head[at : at + 700])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.answer() == (200, b"/?:")


async def test_a_wish_for_another_protocol_is_passed_over() -> None:
    upgrade = get("/1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    async with serving() as served:
        client = await served.client()
        client.send(upgrade * 3 + get("/2"))
        assert [(await client.answer())[1] for _ in range(4)] == [b"/1?:", b"/1?:", b"/1?:", b"/2?:"]


async def test_a_client_of_http_1_0_keeps_its_connection_only_if_it_asks_to() -> None:
    async with serving() as served:
        client = await served.client()
        client.send(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"connection: keep-alive" in (await client.reader.readuntil(b"\r\n\r\n")).lower()
        assert await client.reader.readexactly(4) == b"/1?:"
        client.send(b"GET /2 HTTP/1.0\r\n\r\n")
        assert await client.answer() == (200, b"/2?:")
        assert await client.rest() == b""


async def test_a_client_that_leaves_cancels_what_it_asked_for() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert request.gone
            assert not request.respond(Response(200))
            cancelled.set()
        raise AssertionError

    async with serving(wait) as served:
        client = await served.client()
        client.send(get("/"))
        await begun.wait()
        client.writer.close()
        await cancelled.wait()
        while served.listener.connections:
            await asyncio.sleep(0)


async def test_a_client_that_reads_slowly_gets_everything_and_stops_nobody() -> None:
    large = b"x" * 3_000_000

    async def answer(request: Request) -> Response:
        return Response(200, large)

    async with serving(answer) as served:
        slow, quick = await served.client(), await served.client()
        slow.send(get("/") * 4)
        for _ in range(20):
            await asyncio.sleep(0)
        quick.send(get("/"))
        assert await quick.answer() == (200, large)
        assert [await slow.answer() for _ in range(4)] == [(200, large)] * 4


async def test_idle_connections_end_and_waiting_claims_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()

    async def answer(request: Request) -> Response:
        await release.wait()
        return Response(200)

    async with serving(answer) as served:
        idle, half, waiting = [await served.client() for _ in range(3)]
        half.send(b"GET / HT")
        waiting.send(get("/"))
        while not any(one.busy for one in served.listener.connections) or len(served.listener.connections) < 3:
            await asyncio.sleep(0)
        monkeypatch.setattr(listener, "KEEP_ALIVE_S", -1.0)
        served.listener._sweep()
        for gone in (idle, half):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await gone.reader.readexactly(1)
        release.set()
        assert await waiting.answer() == (200, b"")


async def test_a_stop_answers_what_is_under_way_and_says_that_the_connection_ends() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> Response:
        begun.set()
        await release.wait()
        return Response(200, b"done")

    async with serving(answer) as served:
        idle, busy = await served.client(), await served.client()
        busy.send(get("/"))
        await begun.wait()
        served.listener.stop_accepting()
        stopping = asyncio.create_task(served.listener.finish(10.0))
        assert await idle.rest() == b""
        release.set()
        raw = await busy.rest()
        assert b"Connection: close" in raw
        assert raw.endswith(b"\r\n\r\ndone")
        await stopping
        with pytest.raises(ConnectionError):
            await served.client()


async def test_a_stop_waits_no_longer_than_it_is_told() -> None:
    begun = asyncio.Event()
    cancelled = False

    async def hang(request: Request) -> Response:
        nonlocal cancelled
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise
        raise AssertionError

    async with serving(hang) as served:
        client = await served.client()
        client.send(get("/"))
        await begun.wait()
        served.listener.stop_accepting()
        await served.listener.finish(0.01)
        assert cancelled
        assert not served.listener.connections
