"""HTTP/1.1 connections to one node: kept open, one request at a time on each, answers parsed by llhttp (httptools).

What a caller must know of a failure is whether the node can have acted on the request, so the errors here are two:
`NotConnected` before the first byte was handed over, `AnswerLost` after.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import NamedTuple, cast

import httptools

CONNECT_TIMEOUT_S = 5.0
# Proxies and load balancers close what is idle after 50 s or more; a request must not be on its way just then.
IDLE_MAX_S = 30.0
# Up to here one copy is cheaper than a second system call.
LARGEST_COPIED_BYTES = 65_536


class NotConnected(Exception):
    """No connection was free or could be made in time: nothing was sent."""


class AnswerLost(Exception):
    """The connection ended, or broke the protocol, before the answer was complete."""


class Answer(NamedTuple):
    """`headers` as they came: names in the server's case, repeated ones repeated."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, also what its parser reports to. `idle_since_s` belongs to the pool."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self.reusable = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._head_only = False
        self._forget_answer()

    @property
    def ready(self) -> bool:
        """Whether a request can be sent on it now."""
        return self.reusable and self._transport is not None and not self._transport.is_closing()

    def send(self, method: str, head: bytes, body: bytes | None) -> asyncio.Future[Answer]:
        """Hand a request over; the future fails with AnswerLost. Only on a connection that is `ready`."""
        assert self._transport is not None
        assert self._answer is None
        self._answer = answer = asyncio.get_running_loop().create_future()
        self._head_only = method == "HEAD"
        self.reusable = False
        if not body:
            self._transport.write(head)
        elif len(body) <= LARGEST_COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return answer

    def abort(self) -> None:
        """Close at once. An answer that is still waited for fails."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.reusable = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.abort()  # nothing was asked: whatever it is, the next answer would be mistaken for another
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the answer is no HTTP: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._transport = None
        if self._until_closed and exc is None:
            self._complete(reusable=False)
        self._fail(str(exc) if exc is not None else "the server closed the connection")

    def eof_received(self) -> None:
        self.reusable = False

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status >= 200 and self._head_only:
            keep = self._parser.should_keep_alive()
            self._parser = httptools.HttpResponseParser(self)  # this one waits for a body
            self._complete(reusable=keep)
        elif self._status not in (204, 304):
            framing = (b"content-length", b"transfer-encoding")
            self._until_closed = not any(name.lower() in framing for name, _ in self._headers)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._forget_answer()  # "100 Continue" and the like: the answer proper follows
        else:
            self._complete(reusable=self._parser.should_keep_alive())

    def _complete(self, *, reusable: bool) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        # An answer that comes before the whole request was taken is a refusal; the rest of it is still under way.
        self.reusable = reusable and self._transport is not None and not self._transport.get_write_buffer_size()
        if not answer.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            answer.set_result(Answer(self._status, tuple(self._headers), body))
        self._forget_answer()

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(AnswerLost(reason))

    def _forget_answer(self) -> None:
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._until_closed = False


class ConnectionPool:
    """Up to `limit` connections to one address; the one used last is used next, idle ones end after IDLE_MAX_S.

    `idle` holds those that no request is on, the one used last at its end.
    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, limit: int) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._slots = asyncio.Semaphore(limit)
        self.idle: deque[Connection] = deque()
        self._closed = False

    async def exchange(self, method: str, head: bytes, body: bytes | None, *, timeout_s: float | None) -> Answer:
        """Send a request and read its answer.

        `head` ends with its empty line, its Content-Length is the body's. Cancelling closes the connection.
        Raises: NotConnected; AnswerLost; TimeoutError when it was sent and no whole answer came within `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        ends_s = None if timeout_s is None else loop.time() + timeout_s
        connection = await self._take(ends_s)
        kept = connection.idle_since_s > 0
        try:
            return await self._exchange(connection, method, head, body, ends_s)
        except AnswerLost:
            # The node may have closed a kept connection just before; asking the same twice changes nothing.
            if not kept or method not in ("GET", "HEAD"):
                raise
        return await self._exchange(await self._take(ends_s, anew=True), method, head, body, ends_s)

    async def _exchange(
        self, connection: Connection, method: str, head: bytes, body: bytes | None, ends_s: float | None
    ) -> Answer:
        loop = asyncio.get_running_loop()
        timer = None
        try:
            answer = connection.send(method, head, body)
            if ends_s is not None:
                timer = loop.call_at(ends_s, _run_out, answer)
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                answer.exception()  # it failed in the same pass of the loop, and nobody else will ask
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._give_back(connection, loop.time())

    def close(self) -> None:
        """End idle connections now, and those in use once their answer has come."""
        self._closed = True
        while self.idle:
            self.idle.pop().abort()

    async def _take(self, ends_s: float | None, *, anew: bool = False) -> Connection:
        """An idle connection or a new one. What it takes of the time allowed is the caller's loss."""
        if not self._slots.locked():
            await self._slots.acquire()  # does not wait
        else:
            try:
                async with asyncio.timeout_at(ends_s):
                    await self._slots.acquire()
            except TimeoutError:
                raise NotConnected("every connection stayed in use") from None
        oldest_s = asyncio.get_running_loop().time() - IDLE_MAX_S
        while self.idle and not anew:
            connection = self.idle.pop()
            if connection.ready and connection.idle_since_s >= oldest_s:
                return connection
            connection.abort()
        try:
            return await self._connect(ends_s)
        except BaseException:
            self._slots.release()
            raise

    async def _connect(self, ends_s: float | None) -> Connection:
        loop = asyncio.get_running_loop()
        limit_s = loop.time() + CONNECT_TIMEOUT_S
        try:
            async with asyncio.timeout_at(limit_s if ends_s is None else min(limit_s, ends_s)):
                _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        except TimeoutError:
            raise NotConnected("no connection in time") from None
        except OSError as error:  # unresolved names and failed handshakes among them
            raise NotConnected(str(error) or type(error).__name__) from error
        if not connection.ready:
            raise NotConnected("the connection ended as soon as it was made")
        return connection

    def _give_back(self, connection: Connection, now_s: float) -> None:
        self._slots.release()
        if connection.reusable and not self._closed:
            connection.idle_since_s = now_s
            self.idle.append(connection)
        else:
            connection.abort()
        while self.idle and self.idle[0].idle_since_s < now_s - IDLE_MAX_S:
            self.idle.popleft().abort()


def _run_out(answer: asyncio.Future[Answer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
