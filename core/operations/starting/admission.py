"""Whether starts are admitted now: what Elasticsearch takes, and how fast, says how many may wait for it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from ....tenancy.adaptive import AdaptiveLimit
from ...engine import Engine
from ...errors import QuotaExceeded
from ...lanes.tickets import Ticket


class Admission:
    """One replica's. A start is under way from its admission until its write is acknowledged or can't be.

    Its caller may leave sooner: what waits in memory counts, not who listens. Nothing but starts is ever refused here;
    what was begun is to go on.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limit = engine.parts.starts_limit
        engine.metrics.watch_starts(lambda: self._limit.limit, lambda: self._limit.under_way)

    def admit(self, count: int = 1) -> Admitted:
        """As many of the starts as there is room for, at least one. Raises: QuotaExceeded."""
        engine = self._engine
        if engine.history.behind:
            raise QuotaExceeded(
                f"history is {engine.history.lag_records} records and {engine.history.lag_ms / 1_000:.0f} s behind;"
                " starts are admitted again when it catches up",
                "history_lag",
            )
        if any(lane.committer.pushed_back for lane in engine.lanes.values()):
            raise QuotaExceeded("Elasticsearch pushes back; starts are admitted again when it takes writes", "store")
        room = self._limit.room(engine.clock.monotonic_ms())
        if not room:
            raise self.no_room()
        return Admitted(self._limit, min(count, room))

    def no_room(self) -> QuotaExceeded:
        """What a start is told that there is no room for."""
        limit = self._limit
        return QuotaExceeded(
            f"{limit.under_way} starts wait for Elasticsearch to acknowledge them and {limit.limit} may for now;"
            " send it again a little later",
            "store",
        )


class Admitted:
    """Starts that may happen, `count` of them, and that are under way until their tickets are settled.

    As a context manager it ends those for which no ticket was made.
    """

    def __init__(self, limit: AdaptiveLimit, count: int) -> None:
        self.count = count
        self._limit = limit
        self._without_ticket = count
        limit.begin(count)

    def ticket(self, items: int = 1) -> Ticket:
        """The ticket of so many of these starts, from here on responsible for them."""
        known = min(items, self._without_ticket)
        self._without_ticket -= known
        self._limit.begin(items - known)
        return _StartTicket(self._limit, items)

    def __enter__(self) -> Admitted:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.end(self._without_ticket)
        self._without_ticket = 0


class _StartTicket(Ticket):
    """Ends a start with each item that is settled, and the rest when nobody holds the ticket: so none can leak."""

    __slots__ = ("_limit",)

    def __init__(self, limit: AdaptiveLimit, items: int) -> None:
        super().__init__(items)
        self._limit = limit

    def settle(self, slot: int, outcome: Any) -> None:
        self._limit.end()
        super().settle(slot, outcome)

    def __del__(self) -> None:
        self._limit.end(self._outstanding)
