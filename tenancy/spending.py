"""What tenants may spend, and have spent, in the UTC hour, day and month: which budget stops a tenant. Pure.

Times, those of stops too, are milliseconds since the epoch by the wall clock: a period is the same for every replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from .rules import Budget, Period
from .stops import Stop

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# The longest first: who has spent the month's budget need not ask again when the hour is over.
PERIODS: tuple[Period, ...] = ("month", "day", "hour")


class Amounts(Struct, gc=False):
    """What attempts consumed. `cost` is in the tenant's own currency unit."""

    llm_calls: int = 0
    llm_tokens: int = 0
    cost: float = 0.0
    executor_ms: int = 0

    def add(self, other: Amounts) -> None:
        self.llm_calls += other.llm_calls
        self.llm_tokens += other.llm_tokens
        self.cost += other.cost
        self.executor_ms += other.executor_ms

    def take(self, other: Amounts) -> None:
        self.llm_calls -= other.llm_calls
        self.llm_tokens -= other.llm_tokens
        self.cost -= other.cost
        self.executor_ms -= other.executor_ms


def period_start_ms(period: Period, at_ms: int) -> int:
    """When the period began that this moment is in."""
    if period == "hour":
        return at_ms - at_ms % HOUR_MS
    if period == "day":
        return at_ms - at_ms % DAY_MS
    day = datetime.fromtimestamp(at_ms // 1_000, UTC)
    return at_ms - at_ms % DAY_MS - (day.day - 1) * DAY_MS


def period_end_ms(period: Period, at_ms: int) -> int:
    """When the period will be over that this moment is in."""
    start_ms = period_start_ms(period, at_ms)
    if period == "hour":
        return start_ms + HOUR_MS
    if period == "day":
        return start_ms + DAY_MS
    # The 32nd day after the first is in the next month.
    return period_start_ms("month", start_ms + 31 * DAY_MS)


class Ledger:
    """What one tenant's attempts have consumed in the periods that are not over."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: dict[tuple[Period, int], Amounts] = {}

    def add(self, at_ms: int, amounts: Amounts) -> None:
        """Attempts that ended at that time."""
        for period in PERIODS:
            key = (period, period_start_ms(period, at_ms))
            found = self._sums.get(key)
            if found is None:
                found = self._sums[key] = Amounts()
            found.add(amounts)

    def take(self, at_ms: int, amounts: Amounts) -> None:
        """What was added with these very arguments is not to count any more."""
        for period in PERIODS:
            self._sums[period, period_start_ms(period, at_ms)].take(amounts)

    def forget_before(self, now_ms: int) -> None:
        """Drop the periods that are over."""
        starts = {period: period_start_ms(period, now_ms) for period in PERIODS}
        self._sums = {key: sums for key, sums in self._sums.items() if key[1] >= starts[key[0]]}

    @property
    def empty(self) -> bool:
        return not self._sums

    def spent(self, period: Period, now_ms: int) -> Amounts:
        """In the period that this moment is in."""
        return self._sums.get((period, period_start_ms(period, now_ms))) or Amounts()


def stop_of(budgets: Mapping[Period, Budget], ledgers: tuple[Ledger, ...], now_ms: int) -> Stop | None:
    """The budget that is spent, by the sum of these ledgers; of several that of the longest period. None: go on."""
    for period in PERIODS:
        budget = budgets.get(period)
        if budget is None:
            continue
        total = Amounts()
        for ledger in ledgers:
            total.add(ledger.spent(period, now_ms))
        for word, spent, allowed in _compared(budget, total):
            if spent >= allowed:
                reason = f"the tenant has spent its {word} of this {period}"
                return Stop(f"budgets.{period}.{word}", spent, allowed, period_end_ms(period, now_ms), reason)
    return None


def _compared(budget: Budget, spent: Amounts) -> Iterator[tuple[str, float, float]]:
    if budget.llm_calls is not None:
        yield "llm_calls", spent.llm_calls, budget.llm_calls
    if budget.llm_tokens is not None:
        yield "llm_tokens", spent.llm_tokens, budget.llm_tokens
    if budget.cost is not None:
        yield "cost", spent.cost, budget.cost
    if budget.executor_s is not None:
        yield "executor_s", spent.executor_ms / 1_000, budget.executor_s
