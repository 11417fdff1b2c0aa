"""Percentiles of raw samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.bench.load import percentile, spread

samples = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)


@given(samples, st.floats(0.1, 100))
def test_a_percentile_is_a_sample_that_at_least_so_many_do_not_exceed(values: list[int], percent: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-6
    below = [value for value in values if value < found]
    assert len(below) < percent / 100 * len(values) + 1e-6


@pytest.mark.parametrize(("percent", "rank"), [(50, 500), (99, 990), (99.9, 999), (100, 1000)])
def test_of_a_thousand_samples_each_percentile_is_the_expected_one(percent: float, rank: int) -> None:
    assert percentile(range(1, 1001), percent) == rank


def test_one_sample_is_every_percentile() -> None:
    found = spread([2_000_000])
    assert found is not None
    assert (found.p50_ms, found.p99_ms, found.p99_9_ms, found.max_ms, found.count) == (2.0, 2.0, 2.0, 2.0, 1)


def test_a_spread_is_in_milliseconds_and_does_not_need_sorted_samples() -> None:
    found = spread([3_000_000, 1_000_000, 2_000_000, 10_500_000])
    assert found is not None
    assert (found.p50_ms, found.p90_ms, found.max_ms) == (2.0, 10.5, 10.5)
    assert found.mean_ms == 4.125


def test_without_samples_there_is_no_spread() -> None:
    assert spread([]) is None
