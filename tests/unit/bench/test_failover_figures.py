"""Gaps around a replica's end, and steps that ran again."""

from __future__ import annotations

from leasehold.bench.load.watch import Sighting
from leasehold.bench.scenarios.failover_figures import lane_gap, run_again

MS = 1_000_000


def gap(arrivals_ms: list[int]) -> tuple[int, float, float]:
    found = lane_gap(
        "00", [each * MS for each in arrivals_ms], begin_ns=0, signal_ns=100 * MS, end_ns=1_000 * MS, moved=True
    )
    return found.claims, found.before_ms, found.gap_ms


def test_the_gap_begins_with_the_last_claim_before_the_signal() -> None:
    assert gap([20, 60, 90, 400, 700, 950]) == (6, 40.0, 310.0)


def test_a_lane_whose_claims_never_come_back_stood_still_until_the_end() -> None:
    assert gap([20, 60, 95]) == (3, 40.0, 905.0)


def test_a_lane_without_any_claim_stood_still_all_the_time() -> None:
    assert gap([]) == (0, 100.0, 1_000.0)


def test_claims_from_outside_the_observation_do_not_count() -> None:
    assert gap([-5, 50, 500, 1_200]) == (2, 50.0, 500.0)


def test_a_step_that_comes_again_after_its_acknowledged_completion_has_run_again() -> None:
    first = Sighting(7, 0, 10, 20, 200)
    assert run_again([first, Sighting(7, 0, 30, 40, 409)]) == 1
    assert run_again([first, Sighting(8, 0, 30, 40, 200)]) == 0


def test_a_step_that_comes_again_because_its_completion_was_not_acknowledged_has_not() -> None:
    assert run_again([Sighting(7, 0, 10, 20, 503), Sighting(7, 0, 30, 40, 200)]) == 0
