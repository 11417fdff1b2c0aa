"""A request as the coroutine that answers it sees it: its head at once, its body as it arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from multidict import CIMultiDict, CIMultiDictProxy

if TYPE_CHECKING:
    from .connection import Connection
    from .response import Response

# What is taken of a body that nobody has asked for yet.
UNASKED_BYTES = 65_536


class BodyTooLarge(Exception):
    """`size_bytes` had come when the limit was passed."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes


class BodyBroken(Exception):
    """The connection delivers no valid body; the text says why."""


class Request:
    """Made by a connection once the head is complete.

    `raw_path` and `raw_query` are as sent, percent escapes and all; bytes that are no UTF-8 are surrogates in them and
    in `headers`. `answered` is set by `respond`.
    """

    __slots__ = (
        "_broken",
        "_chunks",
        "_complete",
        "_connection",
        "_limit_bytes",
        "_size_bytes",
        "_waiter",
        "answered",
        "headers",
        "http_1_0",
        "keep_alive",
        "method",
        "raw_path",
        "raw_query",
    )

    def __init__(
        self,
        connection: Connection,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        *,
        keep_alive: bool,
        http_1_0: bool,
    ) -> None:
        self.method = method
        self.raw_path, self.raw_query = _split(target)
        self.headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict(headers))
        self.keep_alive = keep_alive
        self.http_1_0 = http_1_0
        self.answered = False
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._limit_bytes: int | None = None
        self._complete = False
        self._broken: str | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self._connection.address

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._connection.gone

    @property
    def body_arrived(self) -> bool:
        """Whether the whole body is here, or there is none."""
        return self._complete

    @property
    def has_body(self) -> bool:
        """Whether the head announces a body."""
        return self._size_bytes > 0 or "Transfer-Encoding" in self.headers or (self.content_length or 0) > 0

    @property
    def content_length(self) -> int | None:
        """What the head announces; None for chunks and for no body."""
        length = self.headers.get("Content-Length")
        return None if length is None else int(length)

    def ask_for_body(self) -> None:
        """Answer `Expect: 100-continue`, unless the body is on its way already."""
        if not self._size_bytes and not self._complete:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body, which is then gone from here. Raises: BodyTooLarge as soon as it is; BodyBroken."""
        if not self._complete and self._size_bytes <= limit_bytes and self._broken is None:
            self._limit_bytes = limit_bytes
            self._connection.read_on()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._size_bytes > limit_bytes:
            self._chunks.clear()
            raise BodyTooLarge(self._size_bytes)
        if self._broken is not None:
            raise BodyBroken(self._broken)
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def respond(self, response: Response) -> bool:
        """Write the answer now; False if there is nobody to read it. Once a request."""
        return self._connection.respond(self, response)

    # What follows is the connection's.

    def feed(self, chunk: bytes) -> bool:
        """Take a part of the body; False if no more should come for now."""
        self._size_bytes += len(chunk)
        if self.answered:
            return True
        limit_bytes = UNASKED_BYTES if self._limit_bytes is None else self._limit_bytes
        if self._limit_bytes is None or self._size_bytes <= limit_bytes:
            self._chunks.append(chunk)
        if self._size_bytes <= limit_bytes:
            return True
        self._wake()
        return False

    def finish(self) -> None:
        self._complete = True
        self._wake()

    def fail(self, reason: str) -> None:
        """No more of the body will come."""
        self._broken = reason
        self.keep_alive = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _split(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which may be a whole URL; a fragment is no part of either."""
    if not target.startswith("/") and "://" in target:
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("#")[0].partition("?")
    return path, query
