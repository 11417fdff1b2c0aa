"""Many conversations with one server, each on its own connection, all on one thread.

A conversation is a generator: it yields a request and gets the answer, or yields seconds to pause. When its connection
is lost it gets `ConnectionLost` where it waits, and may go on with another request, on a new connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterable
from heapq import heappop, heappush
from itertools import count
from selectors import EVENT_READ, DefaultSelector
from time import monotonic, monotonic_ns
from urllib.parse import urlsplit

from ..http1 import Address, Answer, ConnectionLost

Conversation = Generator[bytes | float, Answer, None]

_RECEIVE_BYTES = 262_144
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_SEND_WITHIN_S = 30.0


def converse(
    server: Address,
    conversations: Iterable[Conversation],
    *,
    until_s: float,
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Hold all conversations to their ends, or until it is `enough`, or `until_s` (monotonic) has come.

    Those that have not ended then are closed, whatever they wait for. `server` is reached without TLS.
    """
    room = _Room(server)
    try:
        for conversation in conversations:
            room.begin(_Talk(conversation))
        room.hold(until_s, enough)
    finally:
        room.close()


class _Talk:
    """One conversation, its connection, and how long the answer that is arriving will be (0: not known yet).

    `asking`: a request is under way, so what happens to the connection concerns the conversation.
    """

    __slots__ = ("asking", "connection", "conversation", "expected", "received", "sent_ns")

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.connection: socket.socket | None = None
        self.asking = False
        self.received = b""
        self.expected = 0
        self.sent_ns = 0


class _Room:
    def __init__(self, server: Address) -> None:
        parts = urlsplit(server.url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._selector = DefaultSelector()
        self._open: set[_Talk] = set()
        self._pauses: list[tuple[float, int, _Talk]] = []
        self._tie = count()

    def begin(self, talk: _Talk) -> None:
        self._open.add(talk)
        self._go_on(talk, None)

    def hold(self, until_s: float, enough: Callable[[], bool]) -> None:
        while self._open and not enough():
            now_s = monotonic()
            if now_s >= until_s:
                return
            while self._pauses and self._pauses[0][0] <= now_s:
                self._go_on(heappop(self._pauses)[2], None)
            wake_s = min(until_s, self._pauses[0][0]) if self._pauses else until_s
            for key, _ in self._selector.select(max(0.0, wake_s - monotonic())):
                self._hear(key.data)

    def close(self) -> None:
        for talk in self._open:
            talk.conversation.close()
            self._hang_up(talk)
        self._selector.close()

    def _go_on(self, talk: _Talk, answer: Answer | None) -> None:
        """Hand an answer over (None: to begin, or after a pause), and send what is said next."""
        try:
            said = talk.conversation.send(answer)  # type: ignore[arg-type]  # None begins a generator
            self._say(talk, said)
        except StopIteration:
            self._end(talk)

    def _say(self, talk: _Talk, said: bytes | float) -> None:
        while not isinstance(said, float):
            try:
                if talk.connection is None:
                    self._connect(talk)
                assert talk.connection is not None
                talk.sent_ns = monotonic_ns()
                talk.connection.sendall(said)
                talk.asking = True
                return
            except OSError as error:
                self._hang_up(talk)
                said = talk.conversation.throw(ConnectionLost(str(error)))
        heappush(self._pauses, (monotonic() + said, next(self._tie), talk))

    def _hear(self, talk: _Talk) -> None:
        assert talk.connection is not None
        try:
            chunk = talk.connection.recv(_RECEIVE_BYTES)
        except OSError:
            chunk = b""
        if not chunk:
            self._lose(talk)
            return
        received = talk.received = talk.received + chunk if talk.received else chunk
        if not talk.expected:
            talk.expected = _whole_length(received)
        if talk.expected and len(received) >= talk.expected:
            arrived_ns = monotonic_ns()
            body = received[received.index(_HEAD_END) + len(_HEAD_END) :]
            talk.received, talk.expected, talk.asking = b"", 0, False
            self._go_on(talk, Answer(int(received[9:12]), body, talk.sent_ns, arrived_ns))

    def _lose(self, talk: _Talk) -> None:
        self._hang_up(talk)
        if not talk.asking:
            return
        talk.asking = False
        try:
            self._say(talk, talk.conversation.throw(ConnectionLost("the server closed the connection")))
        except StopIteration:
            self._end(talk)

    def _connect(self, talk: _Talk) -> None:
        talk.connection = socket.create_connection((self._host, self._port), timeout=_SEND_WITHIN_S)
        talk.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(talk.connection, EVENT_READ, talk)

    def _hang_up(self, talk: _Talk) -> None:
        talk.received, talk.expected = b"", 0
        if talk.connection is not None:
            self._selector.unregister(talk.connection)
            talk.connection.close()
            talk.connection = None

    def _end(self, talk: _Talk) -> None:
        self._open.discard(talk)
        self._hang_up(talk)


def _whole_length(received: bytes) -> int:
    """The length of the answer, head included, once its head is there; else 0.

    Raises: ValueError for an answer without a length, which the scheduler never gives but to a 204.
    """
    end = received.find(_HEAD_END)
    if end < 0:
        return 0
    head = received[:end].lower()
    _, found, rest = head.partition(_LENGTH)
    if found:
        return end + len(_HEAD_END) + int(rest.partition(b"\r\n")[0])
    if head[9:12] == b"204":
        return end + len(_HEAD_END)
    raise ValueError(f"an answer without a length: {head[:200]!r}")
