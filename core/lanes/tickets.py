"""Tickets: what a request holds while its effects are on their way into Elasticsearch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Ticket:
    """Collects the outcomes of one request's items, and wakes the request once, when all are known.

    One future a request, however many items it has. An outcome is the item's answer, or the exception that the
    request is to raise for it. `on_settled` is called with all of them, in place of waking a waiting request.
    """

    __slots__ = ("_future", "_on_settled", "_outstanding", "outcomes")

    def __init__(self, items: int = 1, on_settled: Callable[[list[Any]], None] | None = None) -> None:
        self.outcomes: list[Any] = [None] * items
        self._outstanding = items
        self._on_settled = on_settled
        self._future: asyncio.Future[None] | None = None

    def settle(self, slot: int, outcome: Any) -> None:
        """The outcome of one item; each item is settled once."""
        self.outcomes[slot] = outcome
        self._outstanding -= 1
        if self._outstanding:
            return
        if self._on_settled is not None:
            self._on_settled(self.outcomes)
        elif self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> list[Any]:
        """All outcomes, in order. Cancelling the wait leaves the ticket to settle unheard."""
        if self._outstanding:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
        return self.outcomes

    async def answer(self) -> Any:
        """The single item's answer; raises its exception."""
        outcome = (await self.wait())[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
