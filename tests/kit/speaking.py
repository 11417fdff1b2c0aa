"""HTTP with a replica in this process and no socket: the server's own connection, over a transport that is memory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from leasehold.core.app.http1 import Listener
from leasehold.core.app.http1.connection import Connection
from leasehold.core.app.web.server import HttpSurface, refusal
from leasehold.core.app.web.surface import Surface
from leasehold.core.metrics import Metrics
from leasehold.core.replica import Replica
from leasehold.core.settings import LimitSettings
from msgspec import Struct

ADDRESS = "127.0.0.9"


class Said(Struct, frozen=True):
    """One answer: its status, its head without the date, its body."""

    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None


class Speaking:
    """Answers requests as the server does, each over a connection of its own that comes from `ADDRESS`."""

    def __init__(self, replica: Replica) -> None:
        surface = Surface(replica, LimitSettings(), Metrics())
        self._listener = Listener(HttpSurface(surface, version="0"), refusal)

    async def ask(self, method: str, target: str, body: Any = None, *more: str, **headers: str) -> Said:
        """`headers` are the caller's: `tenant`, `space`, `roles`; `more` whole lines. A body of bytes is YAML."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *more]
        lines += [f"X-Leasehold-{name.title()}: {value}" for name, value in headers.items()]
        encoded = b""
        if body is not None:
            encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
            lines.append(f"Content-Type: application/{'yaml' if isinstance(body, bytes) else 'json'}")
            lines.append(f"Content-Length: {len(encoded)}")
        connection, transport = Connection(self._listener), _Memory()
        connection.connection_made(transport)
        connection.data_received("\r\n".join([*lines, "", ""]).encode() + encoded)
        while connection.task is not None:
            await asyncio.wait([connection.task])
        connection.connection_lost(None)
        return _said(bytes(transport.written))


class _Memory(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": (ADDRESS, 4711)})
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """There is nothing to close."""

    def pause_reading(self) -> None:
        """Everything has come already."""

    def resume_reading(self) -> None:
        """Everything has come already."""


def _said(answer: bytes) -> Said:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.decode().split("\r\n") if not line.startswith("Date:")]
    return Said(int(lines[0].split()[1]), "\n".join(lines), body)
