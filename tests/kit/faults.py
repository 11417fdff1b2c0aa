"""What goes wrong between one client and the model of Elasticsearch: planned by a test or a simulation, in order.

A plan waits for the next request that it fits (`on` names the operation, `index` the index; nothing fits all) and is
used up after `times` requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from .model_index import Operation

Kind = Literal["refuse", "cut_off", "lose_request", "lose_answer", "land_late", "fail_items", "hold", "delay"]
Moment = Literal["before", "after"]


class Held:
    """A request that stands still until the test lets it go on: `await held.reached`, then `held.release()`."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    async def reached(self) -> None:
        """Returns once the request has come to where it is held."""
        await self._reached.wait()

    def release(self) -> None:
        self._released.set()

    async def stand_still(self) -> None:
        self._reached.set()
        await self._released.wait()


@dataclass(slots=True)
class Fault:
    """One planned fault. `moment` says on which side of the request's effect it strikes."""

    kind: Kind
    on: str | None = None
    index: str | None = None
    times: int = 1
    status: int = 0
    error_type: str = ""
    moment: Moment = "before"
    delay_ms: int = 0
    applied: bool = False
    fits_item: Callable[[Operation], bool] = lambda _operation: True
    held: Held = field(default_factory=Held)

    def fits(self, operation: str, indices: Iterable[str]) -> bool:
        if self.on is not None and self.on != operation:
            return False
        return self.index is None or any(fnmatchcase(index, self.index) for index in indices)


class Faults:
    """The plans of one client. `injected` counts what struck, by kind."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self.injected: dict[str, int] = {}

    def take(self, operation: str, indices: Iterable[str]) -> list[Fault]:
        """The faults that strike this request: of each kind the one planned first."""
        struck: dict[str, Fault] = {}
        for fault in self._planned:
            if fault.kind not in struck and fault.fits(operation, indices):
                struck[fault.kind] = fault
        for fault in struck.values():
            fault.times -= 1
            self.injected[fault.kind] = self.injected.get(fault.kind, 0) + 1
        self._planned = [fault for fault in self._planned if fault.times > 0]
        return list(struck.values())

    def clear(self) -> None:
        """Forget what has not struck yet."""
        self._planned.clear()

    def refuse(self, status: int = 429, *, on: str | None = None, index: str | None = None, times: int = 1) -> None:
        """Elasticsearch answers the whole request with 429, 503 or 413, and nothing is applied."""
        self._plan(Fault("refuse", on, index, times, status=status))

    def cut_off(self, *, on: str | None = None, index: str | None = None, times: int = 1) -> None:
        """No connection is made: nothing is applied, and the client knows it."""
        self._plan(Fault("cut_off", on, index, times))

    def lose_request(self, *, on: str | None = None, index: str | None = None, times: int = 1) -> None:
        """The request is sent and never arrives: nothing is applied, and the client can't know."""
        self._plan(Fault("lose_request", on, index, times))

    def lose_answer(self, *, on: str | None = None, index: str | None = None, times: int = 1) -> None:
        """The request is applied and its answer never arrives: the client can't know."""
        self._plan(Fault("lose_answer", on, index, times))

    def land_late(self, delay_ms: int, *, on: str | None = None, index: str | None = None, times: int = 1) -> None:
        """The client gives up at once, and the request is applied `delay_ms` later all the same."""
        self._plan(Fault("land_late", on, index, times, delay_ms=delay_ms))

    def delay(self, delay_ms: int, *, on: str | None = None, index: str | None = None, times: int = 1) -> None:
        """The request reaches Elasticsearch `delay_ms` late."""
        self._plan(Fault("delay", on, index, times, delay_ms=delay_ms))

    def hold(self, moment: Moment, *, on: str | None = None, index: str | None = None) -> Held:
        """The request stands still before or after its effect, until it is released."""
        fault = Fault("hold", on, index, moment=moment)
        self._plan(fault)
        return fault.held

    def fail_items(
        self,
        status: int,
        error_type: str = "",
        *,
        fits: Callable[[Operation], bool] = lambda _operation: True,
        applied: bool = False,
        index: str | None = None,
        times: int = 1,
    ) -> None:
        """Single items of a bulk answer `status`; with `applied` they take effect all the same."""
        self._plan(
            Fault(
                "fail_items",
                "bulk",
                index,
                times,
                status=status,
                error_type=error_type or "injected_exception",
                applied=applied,
                fits_item=fits,
            )
        )

    def _plan(self, fault: Fault) -> None:
        self._planned.append(fault)
