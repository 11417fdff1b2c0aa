"""Percentiles of raw samples: nothing is put into buckets, so a percentile is a time that was really measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

_NS_PER_MS = 1_000_000


class Spread(Struct, frozen=True):
    """How a set of times is spread, in milliseconds. With `count` below 1,000, `p99_9_ms` is simply the longest."""

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p99_9_ms: float
    max_ms: float


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The smallest sample that at least `percent` of all do not exceed (nearest rank, no interpolation).

    `ordered` is sorted and holds at least one sample.
    """
    # Rounded first: 99.9 % of 1,000 is a hair above 999 in floating point, and would take the next rank.
    rank = math.ceil(round(percent / 100 * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


def spread(samples_ns: Iterable[int]) -> Spread | None:
    """The spread of samples in nanoseconds, rounded to microseconds; None without samples."""
    ordered = sorted(samples_ns)
    if not ordered:
        return None
    return Spread(
        count=len(ordered),
        mean_ms=_ms(sum(ordered) / len(ordered)),
        p50_ms=_ms(percentile(ordered, 50)),
        p90_ms=_ms(percentile(ordered, 90)),
        p99_ms=_ms(percentile(ordered, 99)),
        p99_9_ms=_ms(percentile(ordered, 99.9)),
        max_ms=_ms(ordered[-1]),
    )


def _ms(ns: float) -> float:
    return round(ns / _NS_PER_MS, 3)
