"""Takes connections on sockets, ends idle ones, and stops in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from .connection import Connection
from .request import Request
from .response import Response

KEEP_ALIVE_S = 75.0
_SWEEP_EVERY_S = 5.0


class Listener:
    """Answers every request on its sockets with `answer`; `refusal` makes the answer to what is no HTTP.

    `answer` is cancelled when its client leaves; what it raises ends its connection.
    """

    def __init__(
        self, answer: Callable[[Request], Awaitable[Response]], refusal: Callable[[int, str], Response]
    ) -> None:
        self.answer = answer
        self.refusal = refusal
        self.stopping = False
        self.connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._none_left = asyncio.Event()

    async def start(self, *socks: socket.socket, backlog: int) -> None:
        """Take connections from now on. The sockets stay the caller's."""
        loop = asyncio.get_running_loop()
        for sock in socks:
            self._servers.append(await loop.create_server(lambda: Connection(self), sock=sock, backlog=backlog))
        self._sweep()

    def stop_accepting(self) -> None:
        """Take no new connections; those that stand go on."""
        for server in self._servers:
            server.close()

    async def finish(self, within_s: float) -> None:
        """Answer what is being answered, for at most `within_s`, then end every connection."""
        self.stopping = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for connection in list(self.connections):
            if not connection.busy:
                connection.close()
        try:
            async with asyncio.timeout(within_s):
                await self._until_none_is_left()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()
            await self._until_none_is_left()

    def add(self, connection: Connection) -> None:
        """For connections: one was made."""
        self.connections.add(connection)

    def discard(self, connection: Connection) -> None:
        """For connections: one has ended, and so has what it asked for."""
        self.connections.discard(connection)
        if not self.connections:
            self._none_left.set()

    async def _until_none_is_left(self) -> None:
        while self.connections:
            self._none_left.clear()
            await self._none_left.wait()

    def _sweep(self) -> None:
        """End connections that have asked for nothing whole, or taken nothing, for too long."""
        loop = asyncio.get_running_loop()
        oldest_s = loop.time() - KEEP_ALIVE_S
        for connection in list(self.connections):
            if connection.changed_s < oldest_s and (connection.stuck or not connection.busy):
                connection.abort()
        self._sweep_timer = loop.call_later(_SWEEP_EVERY_S, self._sweep)
