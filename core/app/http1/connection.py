"""One connection: requests off it in their order, answers onto it in the same order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from .request import Request
from .response import Response, head_of

if TYPE_CHECKING:
    from .listener import Listener

# Node's bound, and well above what any client here sends.
HEAD_MAX_BYTES = 16_384
HEAD_MAX_HEADERS = 128
# Up to here one copy is cheaper than a second system call.
LARGEST_COPIED_BYTES = 65_536
# How long a client may go on sending a body that has been refused, so that it finds the answer and no reset.
LINGER_S = 5.0
_HEAD_TOO_LARGE = f"the request's head has more than {HEAD_MAX_BYTES} bytes or {HEAD_MAX_HEADERS} headers"


class _HeadTooLarge(Exception):
    """Raised through the parser."""


class Connection(asyncio.Protocol):
    """A connection and what its parser reports to. While a request is answered no other is; later ones wait.

    `changed_s`: when it was last made, or finished an answer, by the loop's clock. `address`: the client's IP address.
    """

    def __init__(self, listener: Listener) -> None:
        self.changed_s = 0.0
        self.address = ""
        self.task: asyncio.Task[None] | None = None
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._refusal: Response | None = None
        self._arriving: Request | None = None
        self._in_head = False
        self._reading = True
        self._writing = True
        self._lingering = False
        self._begin_head()

    @property
    def gone(self) -> bool:
        """Whether what is written now can reach nobody."""
        return self._transport is None or self._transport.is_closing()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        return self.task is not None or bool(self._waiting)

    @property
    def stuck(self) -> bool:
        """Whether the client does not take what was written for it."""
        return not self._writing

    def close(self) -> None:
        """End it once what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once; a request that is being answered is cancelled."""
        if self._transport is not None:
            self._transport.abort()

    def write(self, raw: bytes) -> None:
        if self._transport is not None:
            self._transport.write(raw)

    def read_on(self) -> None:
        """Take more from the client, if that was stopped."""
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def respond(self, request: Request, response: Response) -> bool:
        """Write an answer; False if the client has left."""
        request.answered = True
        if self.gone:
            return False
        if not request.body_arrived or self._listener.stopping:
            request.keep_alive = False
        head = head_of(response, http_1_0=request.http_1_0, keep_alive=request.keep_alive)
        body = b"" if request.method == "HEAD" else response.body
        if len(body) <= LARGEST_COPIED_BYTES:
            self.write(head + body)
        else:
            self.write(head)
            self.write(body)
        return not self.gone

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        named = transport.get_extra_info("peername")
        self.address = named[0] if isinstance(named, tuple) else ""
        self.changed_s = self._loop.time()
        self._listener.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        if self._arriving is not None:
            self._arriving.fail("the client left")
        if self.task is not None:
            self.task.cancel()
        else:
            self._listener.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._refusal is not None:
            return
        went_on = self._in_head
        try:
            self._parse(data)
            if went_on and self._in_head:
                self._taken_in_head_bytes += len(data)
                if self._taken_in_head_bytes > HEAD_MAX_BYTES:
                    raise _HeadTooLarge
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _HeadTooLarge):
                raise
            self._refuse(431, _HEAD_TOO_LARGE)
        except _HeadTooLarge:
            self._refuse(431, _HEAD_TOO_LARGE)
        except httptools.HttpParserError as error:
            self._refuse(400, str(error))

    def pause_writing(self) -> None:
        self._writing = False

    def resume_writing(self) -> None:
        self._writing = True
        self._advance()

    # The parser's side.

    def on_message_begin(self) -> None:
        self._begin_head()
        self._in_head = True

    def on_url(self, part: bytes) -> None:
        self._target += part
        self._head_bytes += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_MAX_BYTES or len(self._headers) == HEAD_MAX_HEADERS:
            raise _HeadTooLarge
        self._headers.append((name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        if self._head_bytes > HEAD_MAX_BYTES:
            raise _HeadTooLarge
        self._in_head = False
        self._arriving = request = Request(
            self,
            self._parser.get_method().decode(),
            self._target.decode("utf-8", "surrogateescape"),
            self._headers,
            keep_alive=self._parser.should_keep_alive(),
            http_1_0=self._parser.get_http_version() == "1.0",
        )
        if self.task is None and not self._waiting and self._writing:
            self._answer(request)
        else:
            self._waiting.append(request)
            self._stop_reading()

    def on_body(self, chunk: bytes) -> None:
        if self._arriving is not None and not self._arriving.feed(chunk):
            self._stop_reading()

    def on_message_complete(self) -> None:
        if self._arriving is not None:
            self._arriving.finish()
            self._arriving = None

    # Between the two.

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Nothing is spoken here but HTTP/1.1: the request stands, and the client goes on in the same words.
                self._parser = httptools.HttpRequestParser(self)
                data = data[upgrade.args[0] :]
            else:
                return

    def _begin_head(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        # In chunks of their own; an unfinished line is seen here alone.
        self._taken_in_head_bytes = 0

    def _stop_reading(self) -> None:
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _refuse(self, status: int, reason: str) -> None:
        """What came is no HTTP, so nothing after it can be read: one last answer, after those that are due."""
        if self._arriving is not None:
            self._arriving.fail(reason)
            self._arriving = None
            self._lingering = True
            return
        self._refusal = self._listener.refusal(status, reason)
        self._advance()

    def _answer(self, request: Request) -> None:
        self.task = self._loop.create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        try:
            response = await self._listener.answer(request)
            if not request.answered:
                self.respond(request, response)
        finally:
            self.task = None
            self._answered(request)

    def _answered(self, request: Request) -> None:
        self.changed_s = self._loop.time()
        if self._transport is None:
            self._listener.discard(self)
        elif not request.answered:
            self.abort()  # cancelled, by a stop that has waited long enough
        elif request.keep_alive:
            self._advance()
        elif request.body_arrived:
            self.close()
        else:
            self._linger()

    def _advance(self) -> None:
        """Take up the next request that waits; else read on, if nothing more is to be said."""
        if self.task is not None or not self._writing or self.gone:
            return
        if self._waiting:
            self._answer(self._waiting.popleft())
        elif self._refusal is not None:
            self.write(head_of(self._refusal, http_1_0=False, keep_alive=False) + self._refusal.body)
            self._linger()
        else:
            self.read_on()

    def _linger(self) -> None:
        """Say that nothing more comes, and take what is still sent for a while: a reset would destroy the answer."""
        self._waiting.clear()
        self._lingering = True
        if self._transport is None:
            return
        if self._listener.stopping or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self.read_on()
        self._loop.call_later(LINGER_S, self.abort)
