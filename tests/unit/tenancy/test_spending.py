"""Periods, ledgers and which budget stops (`tenancy.spending`)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from leasehold.tenancy.rules import Budget, Period
from leasehold.tenancy.spending import Amounts, Ledger, period_end_ms, period_start_ms, stop_of


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        ("hour", "2026-12-31T23:59:59.999", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("day", "2024-02-29T12:00", "2024-02-29", "2024-03-01"),
        ("month", "2024-02-29T12:00", "2024-02-01", "2024-03-01"),
        ("month", "2026-12-01T00:00", "2026-12-01", "2027-01-01"),
        ("month", "2026-01-31T23:59", "2026-01-01", "2026-02-01"),
        ("day", "1969-12-31T23:00", "1969-12-31", "1970-01-01"),
    ],
)
def test_periods_begin_and_end_in_utc(period: Period, at: str, start: str, end: str) -> None:
    assert (period_start_ms(period, ms(at)), period_end_ms(period, ms(at))) == (ms(start), ms(end))


def test_a_ledger_sums_by_periods_and_forgets_those_that_are_over() -> None:
    ledger = Ledger()
    for at in ("2026-03-01T00:00", "2026-03-15T09:59", "2026-03-15T10:00", "2026-03-15T10:59:59"):
        ledger.add(ms(at), Amounts(llm_calls=1, cost=0.25))
    now_ms = ms("2026-03-15T10:30")
    ledger.forget_before(now_ms)
    assert [ledger.spent(period, now_ms).llm_calls for period in ("hour", "day", "month")] == [2, 3, 4]
    ledger.take(ms("2026-03-15T10:00"), Amounts(llm_calls=1, cost=0.25))
    assert [ledger.spent(period, now_ms).cost for period in ("hour", "day", "month")] == [0.25, 0.5, 0.75]
    ledger.forget_before(ms("2026-04-01T00:00"))
    assert ledger.empty


@pytest.mark.parametrize(
    ("budget", "amounts", "word", "used"),
    [
        (Budget(llm_calls=2), Amounts(llm_calls=2), "llm_calls", 2),
        (Budget(llm_tokens=5), Amounts(llm_tokens=6), "llm_tokens", 6),
        (Budget(cost=0.5), Amounts(cost=0.5), "cost", 0.5),
        (Budget(executor_s=1.5), Amounts(executor_ms=1_500), "executor_s", 1.5),
        (Budget(llm_calls=0), Amounts(), "llm_calls", 0),
    ],
)
def test_what_is_spent_to_the_last_bit_stops(budget: Budget, amounts: Amounts, word: str, used: float) -> None:
    ledger, now_ms = Ledger(), ms("2026-03-15T10:30")
    ledger.add(now_ms, amounts)
    stop = stop_of({"day": budget}, (ledger,), now_ms)
    assert stop is not None
    assert (stop.quota, stop.used, stop.until_ms) == (f"budgets.day.{word}", used, ms("2026-03-16"))


def test_less_than_the_budget_stops_nobody_and_ledgers_are_summed() -> None:
    one, other, now_ms = Ledger(), Ledger(), ms("2026-03-15T10:30")
    one.add(now_ms, Amounts(llm_calls=1, llm_tokens=10**9))
    other.add(now_ms, Amounts(llm_calls=1))
    assert stop_of({"day": Budget(llm_calls=3)}, (one, other), now_ms) is None
    assert stop_of({}, (one, other), now_ms) is None
    assert stop_of({"day": Budget(llm_calls=2)}, (one, other), now_ms) is not None


def test_of_several_spent_budgets_the_one_with_the_longest_period_is_named() -> None:
    ledger, now_ms = Ledger(), ms("2026-03-15T10:30")
    ledger.add(now_ms, Amounts(cost=9))
    budgets: dict[Period, Budget] = {"hour": Budget(cost=1), "day": Budget(cost=2), "month": Budget(cost=10)}
    stop = stop_of(budgets, (ledger,), now_ms)
    assert stop is not None
    assert stop.quota == "budgets.day.cost"
