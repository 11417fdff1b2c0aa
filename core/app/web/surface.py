"""What the operations share, and the form of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import Struct

from ...metrics import Metrics
from ...replica import Replica
from ...settings import LimitSettings

JSON = "application/json"
YAML = "application/yaml"


class Reply(Struct, frozen=True, gc=False):
    """What an operation answers, before it is HTTP.

    `body` is a struct to encode, ready-made bytes, or None. `undelivered` is awaited if the answer can't be written,
    since the caller will never know what it was given.
    """

    status: int
    body: Any = None
    content_type: str = JSON
    undelivered: Callable[[], Awaitable[None]] | None = None


class Surface:
    """The replica that is served, its bounds, and which claims wait.

    `openapi` is set once the routes are known.
    """

    def __init__(self, replica: Replica, limits: LimitSettings, metrics: Metrics) -> None:
        self.replica = replica
        self.limits = limits
        self.metrics = metrics
        self.stopping = False
        self.openapi = b"{}"
        self._waiting: set[asyncio.Task[Any]] = set()
        self._background: set[asyncio.Task[None]] = set()
        metrics.watch_waiting_claims(lambda: self.waiting_claims)

    @property
    def waiting_claims(self) -> int:
        """How many claims wait at this moment."""
        return len(self._waiting)

    async def interruptible(self, wait: Coroutine[Any, Any, Any]) -> Any:
        """Await what may take a while; None if the server stops meanwhile.

        A cancellation that did not come from `stop` is the client's leaving, and goes on to `wait` and the caller.
        """
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            return await wait
        except asyncio.CancelledError:
            if task in self._waiting:
                raise
            task.uncancel()
            return None
        finally:
            self._waiting.discard(task)

    def stop(self) -> None:
        """Answer every waiting claim with "nothing came", and take no new ones."""
        self.stopping = True
        waiting, self._waiting = self._waiting, set()
        for task in waiting:
            task.cancel()

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end although its request has none to wait for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what runs in the background."""
        while self._background:
            await asyncio.wait(self._background)
