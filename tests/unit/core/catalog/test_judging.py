"""When a canary is removed by itself (`core.catalog.judging`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.catalog.documents import Canary, CanaryLimit
from leasehold.core.catalog.judging import fault_of

COUNTS = st.integers(0, 1_000)


def canary(limit: CanaryLimit | None) -> Canary:
    return Canary(version=2, began_at_ms=0, began_by="me", percent=10, rollback=limit)


def fault(active: tuple[int, int], new: tuple[int, int], limit: CanaryLimit | None = None) -> str | None:
    """Each as (failed, succeeded)."""
    outcomes = {(1, "failed"): active[0], (1, "succeeded"): active[1], (2, "failed"): new[0], (2, "succeeded"): new[1]}
    return fault_of(canary(limit or CanaryLimit()), 1, outcomes)


@pytest.mark.parametrize(
    ("active", "new", "removed"),
    [
        ((0, 100), (2, 18), False),
        ((0, 100), (3, 17), True),
        ((0, 100), (19, 0), False),
        ((0, 0), (20, 0), True),
        ((0, 0), (2, 18), False),
        ((50, 50), (12, 8), False),
        ((50, 50), (13, 7), True),
        ((100, 0), (20, 0), False),
    ],
)
def test_a_canary_goes_when_it_fails_more_often_by_the_margin(
    active: tuple[int, int], new: tuple[int, int], removed: bool
) -> None:
    assert (fault(active, new) is not None) == removed


def test_the_reason_has_rates_and_counts() -> None:
    assert fault((1, 199), (10, 15)) == (
        "canary version 2: 10 of 25 instances failed (40.0%); active version 1: 1 of 200 instances failed (0.5%);"
        " allowed above it: 10.0%"
    )


def test_without_a_limit_there_is_no_fault() -> None:
    assert fault_of(canary(None), 1, {(2, "failed"): 1_000}) is None


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(0, 1), st.integers(1, 100))
def test_more_successes_of_the_canary_never_condemn_it(
    a: int, b: int, failed: int, succeeded: int, margin: float, needed: int
) -> None:
    limit = CanaryLimit(margin, needed)
    if failed + succeeded >= needed and fault((a, b), (failed, succeeded), limit) is None:
        assert fault((a, b), (failed, succeeded + 1), limit) is None


@given(COUNTS, COUNTS, st.integers(1, 100))
def test_a_canary_that_does_as_the_active_version_does_stays(failed: int, succeeded: int, needed: int) -> None:
    assert fault((failed, succeeded), (failed, succeeded), CanaryLimit(0.0, needed)) is None
