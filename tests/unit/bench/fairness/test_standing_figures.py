"""What executors' records come to: claims are told apart by their numbers, limits by what was held at once."""

from __future__ import annotations

from leasehold.bench.load.closed import Batch, Worked
from leasehold.bench.scenarios.fairness.people import (
    NUMBERS_EACH,
    backlogs_of,
    people_of,
    weights_after,
    weights_before,
)
from leasehold.bench.scenarios.fairness.plan import SharesPlan
from leasehold.bench.scenarios.fairness.standing_figures import Standing, figures_of

S = 1_000_000_000
PLAN = SharesPlan(1_000, run_s=30.0, change_s=5.0, tenants=10, settle_s=4.0)
PEOPLE = people_of(10)


def rounds(second: int, weights: dict[int, float]) -> list[Batch]:
    """What one second brings: four times its weight of each tenant, in batches that are held for 100 ms."""
    batches = []
    for part in range(4):
        numbers = [
            tenant * NUMBERS_EACH + (4 * second + part) * 20 + place
            for tenant, weight in weights.items()
            for place in range(round(weight))
        ]
        at_ns = second * S + part * S // 4
        batches.append(Batch(numbers, at_ns, at_ns + S // 10, at_ns + S // 8))
    return batches


def figures(*batches: Batch, changed_s: int = 5) -> Standing:
    return figures_of(
        PLAN, PEOPLE, [Worked(list(batches), 0, {}, 0)], begin_ns=0, changed_ns=changed_s * S, end_ns=30 * S, dry=[]
    )


def test_tenants_with_limits_are_beside_those_whose_weight_alone_counts() -> None:
    assert [person.weight for person in PEOPLE[:10]] == list(range(1, 11))
    assert all(person.limit for person in PEOPLE[10:])
    assert set(weights_before(PEOPLE)) == set(range(10))
    assert weights_after(PEOPLE) == {0: 10.0, **{number: number + 1.0 for number in range(1, 9)}}


def test_the_change_is_written_as_documents() -> None:
    riser, stopped = (person for person in PEOPLE if person.changes)
    assert (riser.document, riser.later_document) == ({"weight": 1}, {"weight": 10})
    assert (stopped.document, stopped.later_document) == ({"weight": 10}, {"weight": 10, "max_running_steps": 0})


def test_backlogs_follow_the_larger_weight_and_their_numbers_say_whose_they_are() -> None:
    backlogs = backlogs_of(PEOPLE, 1_140)
    assert [backlog.documents for backlog in backlogs[:3]] == [100, 20, 30]
    assert [backlog.first // NUMBERS_EACH for backlog in backlogs] == [person.number for person in PEOPLE]


def test_shares_that_change_with_the_rules_have_no_error() -> None:
    before, after = weights_before(PEOPLE), weights_after(PEOPLE)
    found = figures(*(batch for second in range(30) for batch in rounds(second, before if second < 5 else after)))
    assert (found.max_error, found.mean_error) == (0.0, 0.0)
    assert (found.windows, found.fewest_claims, found.one_claim) == (11, 80, 0.0125)
    assert found.weight_followed_ms == 500.0
    assert found.stop_followed_ms == 0.0


def test_windows_within_the_first_one_or_while_rules_settle_count_for_nothing() -> None:
    """Executors begin with equal shares; the change after 22 s shows after two seconds, four are allowed."""
    before, after, equal = weights_before(PEOPLE), weights_after(PEOPLE), dict.fromkeys(weights_before(PEOPLE), 1.0)
    spans = [(equal, range(10)), (before, range(10, 24)), (after, range(24, 30))]
    batches = [batch for weights, span in spans for second in span for batch in rounds(second, weights)]
    found = figures(*batches, changed_s=22)
    assert (found.windows, found.max_error) == (3, 0.0)
    assert figures(changed_s=12).windows == 5


def test_shares_that_stay_as_they_were_are_off_and_never_follow() -> None:
    found = figures(*(batch for second in range(30) for batch in rounds(second, weights_before(PEOPLE))))
    assert found.max_error is not None
    assert found.max_error > 0.5
    assert found.worst.startswith("fair-000, -")
    assert found.weight_followed_ms is None
    assert found.stop_followed_ms is not None
    assert found.stop_followed_ms > 20_000


def test_more_of_a_limited_tenants_steps_at_once_than_allowed_are_counted() -> None:
    limited = next(person for person in PEOPLE if person.limit == 2)
    first = limited.number * NUMBERS_EACH
    kept = [Batch([first, first + 1], S, 2 * S, 3 * S), Batch([first + 2], 2 * S, 3 * S, 4 * S)]
    within, above = figures(*kept), figures(*kept, Batch([first + 3], 2 * S - 1, 3 * S, 4 * S))
    assert [limit.exceeded for limit in within.limits] == [0] * len(within.limits)
    assert {limit.tenant: limit.exceeded for limit in above.limits if limit.exceeded} == {limited.name: 1}
    assert [limit.mean_at_once for limit in within.limits if limit.claims] == [0.1]


def test_a_run_too_short_for_a_window_measures_no_error() -> None:
    found = figures_of(PLAN, PEOPLE, [], begin_ns=0, changed_ns=S, end_ns=9 * S, dry=["fair-001 in lane 00"])
    assert (found.windows, found.max_error, found.fewest_claims) == (0, None, None)
    assert found.as_figures()["dry"] == "fair-001 in lane 00"
