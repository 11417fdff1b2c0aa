"""What the herd's measurements come to."""

from __future__ import annotations

from leasehold.bench.load.closed import Executed
from leasehold.bench.load.peers import Cycle, Polled
from leasehold.bench.scenarios import herd
from leasehold.bench.scenarios.herd_ours import Drain
from leasehold.bench.scenarios.herd_peers import Outcome, allowed_by_kibana, best, outcome_of

S = 1_000_000_000


def polled(*cycles: Cycle, numbers: list[int]) -> Polled:
    return Polled(list(cycles), numbers, 0)


def test_a_pause_at_the_end_counts_as_time() -> None:
    cycles = [Cycle(at * S // 2, at * S // 2 + 10, 10, 0, 0) for at in range(4)]
    assert outcome_of([polled(*cycles, numbers=list(range(40)))], 10, 0, 2.0).claims_per_s == 20.0


def test_a_cycle_that_ends_late_counts_as_long_as_it_takes() -> None:
    found = outcome_of([polled(Cycle(0, 4 * S, 100, 50, 200), numbers=list(range(100)))], 100, 0, 2.0)
    assert (found.claims_per_s, found.conflicts_per_claim, found.stale_per_claim) == (25.0, 0.5, 2.0)


def test_a_task_that_two_nodes_hold_is_doubled() -> None:
    answers = [polled(Cycle(0, S, 2, 0, 0), numbers=[1, 2]), polled(Cycle(0, S, 1, 0, 0), numbers=[2])]
    assert outcome_of(answers, 10, 0, 1.0).doubled == 1


def outcome(claims_per_s: float, *, nodes: int = 4, capacity: int = 10, doubled: int = 0) -> Outcome:
    return Outcome(nodes, capacity, claims_per_s, 100, 0.0, 0.0, 1, doubled, 0.0)


def drain(claims_per_s: float, *, conflicts: int = 0, left: int = 0) -> Drain:
    return Drain(4, claims_per_s, 100, conflicts, conflicts, 0, left, 0, 1.0, 1.0, 1.0, 1.0)


def a_herd(*, conflicts: int = 0, left: int = 0, throttled: float = 76.0) -> herd.Herd:
    unthrottled = [outcome(900.0, capacity=50), outcome(2_000.0, capacity=1_000)]
    ours = [drain(30_000.0, conflicts=conflicts), drain(20_000.0, left=left)]
    return herd.Herd(4, ours, outcome(500.0), outcome(throttled), unthrottled)


def met(found: herd.Herd) -> list[bool]:
    return [target.met for target in herd._targets([found])]


def test_the_best_capacity_is_compared_with_and_kibanas_own_limit_is_told() -> None:
    found = a_herd()
    row = herd._row(found)
    assert (row["ours_to_kibana"], row["kibana_capacity"], row["ours_to_kibana_at_most_50"]) == (12.5, 1_000, 27.78)
    assert best(found.unthrottled).capacity == 1_000
    assert [each.capacity for each in allowed_by_kibana(found.unthrottled)] == [50]
    assert met(found) == [True] * 4


def test_one_conflict_misses_the_bar() -> None:
    assert met(a_herd(conflicts=1)) == [False, True, True, True]


def test_a_recreation_that_is_slower_or_faster_than_published_misses_a_bar() -> None:
    assert met(a_herd(throttled=50.0)) == [True, True, False, True]
    assert met(a_herd(throttled=120.0)) == [True, True, True, False]


def test_what_nobody_got_is_lost() -> None:
    assert herd._wrong([a_herd(left=3)])["lost"] == 3
    assert not any(herd._wrong([a_herd()]).values())


def test_the_clock_of_a_drain_runs_from_the_first_order_to_the_last_claim() -> None:
    from leasehold.bench.scenarios.herd_ours import _Count, _drain

    def executed(began_ns: int, claimed_ns: int, numbers: list[int]) -> Executed:
        return Executed(began_ns, claimed_ns, 0, claimed_ns + S, 0, {"work": numbers}, [], 0, 0, 0, {})

    answers = [executed(0, 2 * S, [0, 1]), executed(S // 2, S, [2, 3])]
    rest = [executed(3 * S, 4 * S, [4, 4])]
    before, after = _Count(5.0, 1.0, 10.0, 0.0, 2), _Count(6.0, 2.0, 14.0, 4e-6, 2)
    found = _drain(2, 6, answers, rest, before, after, 0.0)
    assert (found.claims, found.claims_per_s, found.left, found.doubled) == (4, 2.0, 1, 1)
    assert (found.conflicts, found.conflicts_by_elasticsearch, found.documents_a_bulk) == (1, 0, 4.0)
