"""Pairs of spans: with a large neighbour's backlog and without."""

from __future__ import annotations

from leasehold.bench.load import Timed
from leasehold.bench.load.orders import Claim, Start
from leasehold.bench.scenarios.fairness.neighbour_figures import Side, pairs_of, variants_of, wrong_probes

MS = 1_000_000


def side(pair: int, *, full: bool, claims: list[Claim], took_ms: list[int], executors: str = "own") -> Side:
    """Starts that were claimed so long after they were due."""
    starts = []
    for took in took_ms:
        number = len(claims)
        due_ns = number * 1_000 * MS
        starts.append(Start(number, Timed(due_ns, due_ns + MS, due_ns + 2 * MS), 201))
        claims.append(claimed(number, due_ns + took * MS))
    return Side(executors, pair, full, starts)


def claimed(number: int, arrived_ns: int, completion: int = 200) -> Claim:
    return Claim(number, f"step-{number}", 0, arrived_ns, arrived_ns + MS, completion)


def test_a_pairs_ratio_is_of_its_own_two_sides_and_the_median_of_all_pairs_counts() -> None:
    claims: list[Claim] = []
    sides = [
        side(1, full=False, claims=claims, took_ms=[5, 10]),
        side(1, full=True, claims=claims, took_ms=[5, 11]),
        side(2, full=True, claims=claims, took_ms=[5, 60]),
        side(2, full=False, claims=claims, took_ms=[5, 20]),
        side(3, full=False, claims=claims, took_ms=[5, 10]),
        side(3, full=True, claims=claims, took_ms=[5, 12]),
    ]
    assert [pair.p99_ratio for pair in pairs_of(sides, claims, 10**15)] == [1.1, 3.0, 1.2]
    (variant,) = variants_of(sides, claims, 10**15)
    assert (variant.p99_ratio, variant.pooled_p99_ratio) == (1.2, 3.0)
    assert (variant.pairs, variant.starts_a_side) == (3, 6)


def test_kinds_of_executors_are_told_apart_and_half_a_pair_is_none() -> None:
    claims: list[Claim] = []
    sides = [
        side(1, full=False, claims=claims, took_ms=[10]),
        side(1, full=True, claims=claims, took_ms=[20]),
        side(1, full=False, claims=claims, took_ms=[10], executors="shared"),
        side(1, full=True, claims=claims, took_ms=[30], executors="shared"),
        side(2, full=True, claims=claims, took_ms=[90], executors="shared"),
    ]
    assert {each.executors: (each.pairs, each.p99_ratio) for each in variants_of(sides, claims, 10**15)} == {
        "own": (1, 2.0),
        "shared": (1, 3.0),
    }


def test_a_start_that_nobody_claimed_counts_as_long_as_it_was_watched() -> None:
    claims: list[Claim] = []
    sides = [
        side(1, full=False, claims=claims, took_ms=[10]),
        side(1, full=True, claims=claims, took_ms=[10]),
    ]
    (pair,) = pairs_of(sides, claims[:1], 5_000 * MS)
    assert pair.full_p99_ms == 4_000.0


def test_a_step_that_came_twice_came_when_it_came_first() -> None:
    claims: list[Claim] = []
    sides = [side(1, full=full, claims=claims, took_ms=[10]) for full in (False, True)]
    (pair,) = pairs_of(sides, [claimed(1, 9_000 * MS), *claims, claimed(0, 9_000 * MS)], 10**15)
    assert (pair.empty_p99_ms, pair.full_p99_ms) == (10.0, 10.0)


def test_what_must_never_happen_is_counted() -> None:
    starts = [
        Start(0, Timed(0, 0, MS), 201),
        Start(1, Timed(0, 0, MS), 201),
        Start(2, Timed(0, 0, None), 0),
        Start(3, Timed(0, 0, None), 429),
    ]
    claims = [claimed(0, MS), claimed(0, MS), claimed(2, MS, completion=409)]
    assert wrong_probes(starts, claims) == {"lost": 1, "doubled": 1, "starts_refused": 1, "completions_refused": 1}
