"""Shares over windows, changes of rules, and steps held at once, from records of claims."""

from __future__ import annotations

import pytest
from leasehold.bench.scenarios.fairness.shares import (
    Arrival,
    Held,
    Phase,
    by_weight,
    most_at_once,
    risen_after_ms,
    stopped_after_ms,
    windows_of,
)

S = 1_000_000_000
MS = 1_000_000
LIGHT, HEAVY, OTHER = 0, 1, 2


def claims(tenant: int, *, from_s: float, until_s: float, per_s: int) -> list[Arrival]:
    """Evenly spread, in the middle of their intervals."""
    count = round((until_s - from_s) * per_s)
    return [Arrival(round((from_s + (number + 0.5) / per_s) * S), tenant) for number in range(count)]


def phase(from_s: float, until_s: float, **weights: float) -> Phase:
    numbers = {"light": LIGHT, "heavy": HEAVY}
    return Phase(round(from_s * S), round(until_s * S), {numbers[name]: weight for name, weight in weights.items()})


def test_shares_that_follow_the_weights_have_no_error_in_any_window() -> None:
    arrivals = claims(LIGHT, from_s=0, until_s=20, per_s=10) + claims(HEAVY, from_s=0, until_s=20, per_s=30)
    windows = windows_of(arrivals, phase(0, 20, light=1, heavy=3), window_ns=10 * S, step_ns=S)
    assert [window.begin_ns // S for window in windows] == list(range(11))
    assert {(window.claims, window.fewest) for window in windows} == {(400, 100)}
    assert max(window.max_error for window in windows) == pytest.approx(0)


def test_an_error_is_told_in_parts_of_the_expected_share() -> None:
    arrivals = claims(LIGHT, from_s=0, until_s=10, per_s=10) + claims(HEAVY, from_s=0, until_s=10, per_s=10)
    (window,) = windows_of(arrivals, phase(0, 10, light=1, heavy=3), window_ns=10 * S, step_ns=S)
    assert window.errors == {LIGHT: pytest.approx(1.0), HEAVY: pytest.approx(-1 / 3)}
    assert window.worst == LIGHT
    assert window.max_error == pytest.approx(1.0)
    assert window.mean_error == pytest.approx(2 / 3)


def test_a_pause_between_two_disjoint_windows_shows_in_the_windows_that_slide_over_it() -> None:
    heavy = claims(HEAVY, from_s=0, until_s=20, per_s=10)
    own = [each for each in claims(LIGHT, from_s=0, until_s=20, per_s=20) if not 7 * S <= each.at_ns < 13 * S]
    own += [each for each in own if each.at_ns < 3 * S or each.at_ns >= 17 * S]
    windows = windows_of(own + heavy, phase(0, 20, light=2, heavy=1), window_ns=10 * S, step_ns=S)
    assert windows[0].errors[LIGHT] == windows[-1].errors[LIGHT] == pytest.approx(0)
    assert windows[5].errors[LIGHT] < -0.3


def test_only_tenants_that_count_and_windows_that_lie_in_the_phase_whole_are_looked_at() -> None:
    arrivals = [
        *claims(LIGHT, from_s=0, until_s=30, per_s=10),
        *claims(HEAVY, from_s=0, until_s=30, per_s=10),
        *claims(OTHER, from_s=0, until_s=30, per_s=99),
        *claims(LIGHT, from_s=0, until_s=5, per_s=50),
        *claims(LIGHT, from_s=27.5, until_s=30, per_s=50),
    ]
    windows = windows_of(arrivals, phase(5, 27.5, light=1, heavy=1), window_ns=10 * S, step_ns=S)
    assert len(windows) == 13
    assert max(window.max_error for window in windows) == pytest.approx(0)


def test_a_tenant_without_a_claim_lacks_its_whole_share() -> None:
    (window,) = windows_of(
        claims(HEAVY, from_s=0, until_s=10, per_s=5), phase(0, 10, light=1, heavy=1), window_ns=10 * S, step_ns=S
    )
    assert (window.fewest, window.errors[LIGHT]) == (0, -1.0)
    (silent,) = windows_of([], phase(0, 10, light=1, heavy=1), window_ns=10 * S, step_ns=S)
    assert silent.max_error == 1.0


def test_a_phase_shorter_than_a_window_has_none() -> None:
    assert windows_of([], phase(0, 9.5, light=1), window_ns=10 * S, step_ns=S) == []
    assert windows_of([], phase(9, 3, light=1), window_ns=10 * S, step_ns=S) == []


CHANGED = phase(0, 6, light=10, heavy=100)
HEAVY_CLAIMS = claims(HEAVY, from_s=0, until_s=6, per_s=1_000)


def light(*spans: tuple[float, float, int]) -> list[Arrival]:
    """The light tenant's claims beside the heavy one's: a hundred a second are its share."""
    return [
        *HEAVY_CLAIMS,
        *(each for begin, end, per_s in spans for each in claims(LIGHT, from_s=begin, until_s=end, per_s=per_s)),
    ]


@pytest.mark.parametrize(("followed_s", "told_ms"), [(0.0, 500.0), (1.5, 2_000.0), (1.6, 2_250.0)])
def test_a_weight_has_followed_at_the_end_of_the_bucket_from_which_on_its_share_is_there(
    followed_s: float, told_ms: float
) -> None:
    arrivals = light((0, followed_s, 10), (followed_s, 6, 100))
    assert risen_after_ms(arrivals, CHANGED, LIGHT, tolerance=0.1) == told_ms


def test_a_share_that_is_there_in_between_only_has_not_followed_yet() -> None:
    arrivals = light((0, 2, 100), (2, 3, 10), (3, 6, 100))
    assert risen_after_ms(arrivals, CHANGED, LIGHT, tolerance=0.1) == 3_500.0


def test_a_share_that_is_never_there_has_not_followed_at_all() -> None:
    assert risen_after_ms(light((0, 6, 10)), CHANGED, LIGHT, tolerance=0.5) is None
    assert risen_after_ms([], CHANGED, LIGHT, tolerance=0.5) is None


def test_a_stop_has_followed_with_the_last_claim() -> None:
    arrivals = claims(LIGHT, from_s=0, until_s=3.4, per_s=10) + claims(HEAVY, from_s=0, until_s=9, per_s=10)
    assert stopped_after_ms(arrivals, LIGHT, changed_ns=3 * S, before_ns=S) == pytest.approx(350.0)
    assert stopped_after_ms(arrivals, LIGHT, changed_ns=4 * S, before_ns=S) == 0


def test_a_tenant_that_had_no_claims_before_shows_no_stop() -> None:
    arrivals = claims(LIGHT, from_s=0, until_s=1, per_s=10) + claims(LIGHT, from_s=5, until_s=6, per_s=10)
    assert stopped_after_ms(arrivals, LIGHT, changed_ns=4 * S, before_ns=2 * S) is None


def test_steps_at_once_are_counted_from_claim_to_completion() -> None:
    assert most_at_once([]) == 0
    assert most_at_once([Held(0, 10), Held(5, 15), Held(9, 12), Held(20, 30)]) == 3
    assert most_at_once([Held(0, 10), Held(10, 20)]) == 1


def test_errors_are_gathered_by_weight() -> None:
    arrivals = claims(LIGHT, from_s=0, until_s=11, per_s=20) + claims(HEAVY, from_s=0, until_s=11, per_s=30)
    found = phase(0, 11, light=1, heavy=4)
    windows = windows_of(arrivals, found, window_ns=10 * S, step_ns=S)
    assert by_weight((found, window) for window in windows) == [
        {"weight": 1, "mean_share": 2.0, "least_share": 2.0, "greatest_share": 2.0, "mean_error": 1.0},
        {"weight": 4, "mean_share": 0.75, "least_share": 0.75, "greatest_share": 0.75, "mean_error": 0.25},
    ]
