"""A blocking HTTP/1.1 connection that costs next to nothing: the load must not be what is measured.

One request at a time, built beforehand as bytes; answers with a length or in chunks. A thread that waits in `recv`
wakes within some ten microseconds of the answer's arrival, which an event loop that serves many connections does not.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from time import monotonic_ns
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

_RECEIVE_BYTES = 262_144
_HEAD_END = b"\r\n\r\n"


class ConnectionLost(Exception):
    """The connection broke or timed out: what became of the request is not known."""


class Address(Struct, frozen=True):
    """A server. `authorization` is a whole header value; `ca_certs` a file, for https."""

    url: str
    authorization: str | None = None
    ca_certs: str | None = None

    def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        headers: Iterable[str] = (),
    ) -> bytes:
        """A whole request, ready to be sent. `headers` are further ones, whole lines."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {urlsplit(self.url).netloc.rpartition('@')[2]}"]
        if self.authorization is not None:
            lines.append(f"Authorization: {self.authorization}")
        lines += headers
        if body or method != "GET":
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + _HEAD_END + body


class Answer(NamedTuple):
    """`sent_ns` is when the request was handed over, `arrived_ns` when the answer was complete (monotonic clock)."""

    status: int
    body: bytes
    sent_ns: int
    arrived_ns: int


class Connection:
    """One connection, made at the first request and again after it was lost. Belongs to one thread."""

    def __init__(self, address: Address, *, answer_within_s: float = 60.0) -> None:
        self._address = address
        self._answer_within_s = answer_within_s
        self._socket: socket.socket | None = None

    def exchange(self, request: bytes) -> Answer:
        """Send a request and read its answer. Raises: ConnectionLost."""
        try:
            if self._socket is None:
                self._socket = self._connect()
            sent_ns = monotonic_ns()
            self._socket.sendall(request)
            status, body, closing = read_answer(self._socket.recv)
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error) or "no answer in time") from error
        arrived_ns = monotonic_ns()
        if closing:
            self.close()
        return Answer(status, body, sent_ns, arrived_ns)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        parts = urlsplit(self._address.url)
        secure = parts.scheme == "https"
        plain = socket.create_connection(
            (parts.hostname or "", parts.port or (443 if secure else 80)), timeout=self._answer_within_s
        )
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not secure:
            return plain
        context = ssl.create_default_context(cafile=self._address.ca_certs)
        return context.wrap_socket(plain, server_hostname=parts.hostname)


def read_answer(receive: Callable[[int], bytes]) -> tuple[int, bytes, bool]:
    """Status, body, and whether the server will close; `receive` is a socket's `recv`. Raises: OSError."""
    received = bytearray()
    end = -1
    while end < 0:
        searched = max(0, len(received) - len(_HEAD_END))
        _more(receive, received)
        end = received.find(_HEAD_END, searched)
    head = bytes(received[:end]).lower()
    start = end + len(_HEAD_END)
    chunked = b"\r\ntransfer-encoding: chunked" in head
    body = _chunks(receive, received, start) if chunked else _sized(receive, received, start, _length(head))
    return int(head[9:12]), body, b"\r\nconnection: close" in head


def _length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _sized(receive: Callable[[int], bytes], received: bytearray, start: int, length: int) -> bytes:
    while len(received) < start + length:
        _more(receive, received)
    return bytes(received[start : start + length])


def _chunks(receive: Callable[[int], bytes], received: bytearray, at: int) -> bytes:
    parts: list[bytes] = []
    while True:
        while (line_end := received.find(b"\r\n", at)) < 0:
            _more(receive, received)
        size = int(bytes(received[at:line_end]).partition(b";")[0], 16)
        start = line_end + 2
        while len(received) < start + size + 2:
            _more(receive, received)
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(received[start : start + size]))
        at = start + size + 2


def _more(receive: Callable[[int], bytes], received: bytearray) -> None:
    read = receive(_RECEIVE_BYTES)
    if not read:
        raise ConnectionError("the server closed the connection")
    received += read
