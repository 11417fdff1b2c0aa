"""Pages of searches: how they are timed, and what is wrong with them."""

from __future__ import annotations

from leasehold.bench.load.history.orders import Walked
from leasehold.bench.scenarios.history.plan import SearchPlan
from leasehold.bench.scenarios.history.searching import Kind, timings_of, wrong_walks
from leasehold.bench.scenarios.history.seeding import Seeds

MS = 1_000_000
FAILED = Kind("failed", "/_workflows/_search?status=failed", "status=failed", "failed")
PLAN = SearchPlan(rounds=1, pages=2, size=2)


def walked(ids: list[str], *, status: str = "failed", total: int | None = 3, exact: bool = True) -> Walked:
    return Walked([MS, 2 * MS], ids, [status] * len(ids), 0, total, exact)


def wrong(one: Walked, found: int = 3) -> dict[str, int]:
    counts = wrong_walks([FAILED], {"failed": [one]}, Seeds([], {"status=failed": found}, 0, 0), PLAN)
    return {name: count for name, count in counts.items() if count}


def test_first_pages_are_timed_apart_from_those_that_follow() -> None:
    first, following = timings_of("failed", [walked(["a", "b", "c"]), Walked([5 * MS], ["a"], ["failed"], 0, 1)])
    assert (first.page, first.pages, first.p50_ms, first.p95_ms) == ("first", 2, 1.0, 5.0)
    assert (following.page, following.pages, following.p95_ms) == ("following", 1, 2.0)
    assert timings_of("failed", []) == []


def test_a_walk_without_fault_has_none() -> None:
    assert wrong(walked(["a", "b", "c"])) == {}
    assert wrong(walked(["a", "b", "c", "d"], total=10_000, exact=False), found=20_000) == {}


def test_every_fault_of_a_walk_is_counted() -> None:
    assert wrong(walked(["a", "b", "b"])) == {"instances_twice": 1}
    assert wrong(walked(["a", "b", "c"], status="succeeded")) == {"instances_out_of_place": 3}
    assert wrong(walked(["a", "b", "c"], total=4)) == {"totals_wrong": 1}
    assert wrong(walked(["a"])) == {"pages_short": 2}
    assert wrong(Walked([], [], [], 1, None)) == {"searches_failed": 1}
