"""Which of several servers is asked next, and when. No I/O, no clock: the caller passes the time, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from msgspec import Struct

INITIAL_REST_S = 0.05
MAX_REST_S = 5.0


class Turn(Struct, frozen=True):
    """Ask `url` after `wait_s`."""

    url: str
    wait_s: float


class _Server(Struct):
    url: str
    failures: int = 0
    rests_until_s: float = 0.0


class Addresses:
    """Sticky fail-over with exponential, jittered rests.

    A rest is drawn from the upper half of `INITIAL_REST_S * 2 ** failures`, at most MAX_REST_S; a server that says
    how long it wants to be left alone gets that, and up to a quarter more.
    """

    def __init__(self, urls: Sequence[str], random: Random) -> None:
        if not urls:
            raise ValueError("no server address is given; at least one is needed, such as http://127.0.0.1:8080")
        self._servers = [_Server(url) for url in urls]
        self._current = 0
        self._random = random

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self._servers]

    def turn(self, now_s: float) -> Turn:
        """The server in use, else the next one that does not rest, else the one that rests shortest."""
        count = len(self._servers)
        in_order = [(self._current + offset) % count for offset in range(count)]
        awake = [index for index in in_order if self._servers[index].rests_until_s <= now_s]
        self._current = awake[0] if awake else min(in_order, key=lambda index: self._servers[index].rests_until_s)
        server = self._servers[self._current]
        return Turn(server.url, max(0.0, server.rests_until_s - now_s))

    def answered(self, url: str) -> None:
        """It works: no rest, and the next failure is its first."""
        server = self._server(url)
        server.failures = 0
        server.rests_until_s = 0.0

    def failed(self, url: str, now_s: float, retry_after_s: float | None = None) -> None:
        server = self._server(url)
        if retry_after_s is not None:
            rest_s = retry_after_s * self._random.uniform(1.0, 1.25)
        else:
            rest_s = min(MAX_REST_S, INITIAL_REST_S * 2.0 ** min(server.failures, 30)) * self._random.uniform(0.5, 1.0)
        server.failures += 1
        server.rests_until_s = max(server.rests_until_s, now_s + rest_s)

    def _server(self, url: str) -> _Server:
        return next(server for server in self._servers if server.url == url)
