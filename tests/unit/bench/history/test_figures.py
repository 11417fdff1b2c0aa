"""What the samples of `history` come to: claims beside ageing, and delays of rows."""

from __future__ import annotations

from leasehold.bench.load import Timed
from leasehold.bench.load.history.orders import Row
from leasehold.bench.load.orders import Claim, Start
from leasehold.bench.scenarios.history.figures import AGEING, CALM, Side, aged_of, delays_of, spans_of

MS = 1_000_000
LATER_NS = 10**15


def side(pair: int, kind: str, claims: list[Claim], took_ms: list[int], aged: dict[str, int] | None = None) -> Side:
    """Starts that were claimed so long after they were due."""
    starts = []
    for took in took_ms:
        number = len(claims)
        due_ns = number * 1_000 * MS
        starts.append(Start(number, Timed(due_ns, due_ns + MS, due_ns + 2 * MS), 201))
        claims.append(Claim(number, f"step-{number}", 0, due_ns + took * MS, due_ns + 2 * took * MS, 200))
    return Side(pair, kind, starts, aged or {})


def test_the_ratio_is_the_median_of_the_pairs_and_pooled_takes_all_spans_as_one() -> None:
    claims: list[Claim] = []
    sides = [
        side(1, CALM, claims, [5, 10]),
        side(1, AGEING, claims, [5, 11]),
        side(2, AGEING, claims, [5, 60]),
        side(2, CALM, claims, [5, 20]),
        side(3, CALM, claims, [5, 10]),
        side(3, AGEING, claims, [5, 12]),
    ]
    found = aged_of(sides, claims, LATER_NS)
    assert (found.pairs, found.p99_ratio, found.pooled_p99_ratio) == (3, 1.2, 3.0)
    assert (found.calm_p99_ms, found.ageing_p99_ms) == (20.0, 60.0)


def test_half_a_pair_is_none_and_nothing_measured_has_no_ratio() -> None:
    claims: list[Claim] = []
    found = aged_of([side(1, CALM, claims, [5]), side(2, AGEING, claims, [5])], claims, LATER_NS)
    assert (found.pairs, found.p99_ratio) == (0, None)
    assert aged_of([], [], LATER_NS).pooled_p99_ratio is None


def test_a_start_that_was_never_claimed_counts_as_slow() -> None:
    claims: list[Claim] = []
    one = side(1, AGEING, claims, [5, 6], {"rollover": 4, "merge": 2, "delete": 2})
    (span,) = spans_of([one], claims[:1], 2_000 * MS)
    assert (span.starts, span.p50_ms, span.max_ms) == (2, 5.0, 1_000.0)
    assert (span.rollovers, span.merges, span.deletes) == (4, 2, 2)


def test_rows_are_timed_from_their_completion_and_missing_ones_until_the_end() -> None:
    rows = [Row(100 * MS, 90 * MS, 300 * MS), Row(100 * MS, 150 * MS, 0)]
    found = delays_of(rows, 1_100 * MS)
    assert found.readable is not None
    assert found.searchable is not None
    assert (found.readable.p50_ms, found.readable.max_ms) == (0.0, 50.0)
    assert (found.searchable.p50_ms, found.searchable.max_ms) == (200.0, 1_000.0)
    assert (found.instances, found.never) == (2, 1)
