"""The book of leases, with time as an argument."""

import pytest
from hypothesis import given, strategies
from leasehold.claim.running.leases import Due, LeaseBook

NOTHING = Due([], [])


def test_a_heartbeat_is_due_after_a_third_of_the_lease() -> None:
    book = LeaseBook()
    assert book.hold("a", 30_000, since_s=100.0, now_s=100.2)
    assert book.wake_at_s() == 110.0
    assert book.due(106.9) == NOTHING
    assert book.due(110.0) == Due([], ["a"])


def test_a_lease_counts_from_when_its_claim_was_sent() -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=100.0, now_s=102.9)
    assert book.due(102.9) == Due([], ["a"])
    assert book.due(103.0) == Due(["a"], [])
    assert "a" not in book


def test_a_lease_that_may_be_over_when_it_comes_is_doubtful_and_asked_about_at_once() -> None:
    book = LeaseBook()
    assert not book.hold("a", 3_000, since_s=100.0, now_s=103.0)
    assert book.due(103.0) == Due([], ["a"])
    book.renewed("a", 3_000, sent_at_s=103.0)
    assert book.due(104.0) == Due([], ["a"])


def test_a_doubtful_lease_that_nobody_confirms_ends() -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=0.0, now_s=10.0)
    book.due(10.0)
    assert book.due(13.0) == Due(["a"], [])


def test_a_renewal_counts_from_when_the_heartbeat_was_sent() -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=100.0, now_s=100.0)
    book.due(101.0)
    book.renewed("a", 3_000, sent_at_s=101.0)
    assert book.due(103.9).over == []
    assert book.due(104.0).over == ["a"]


def test_a_renewal_may_change_the_length_of_the_lease() -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=100.0, now_s=100.0)
    book.due(101.0)
    book.renewed("a", 60_000, sent_at_s=101.0)
    assert book.wake_at_s() == 121.0


def test_there_is_one_heartbeat_under_way_at_most() -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=100.0, now_s=100.0)
    assert book.due(101.0) == Due([], ["a"])
    assert book.due(102.0) == NOTHING
    assert book.wake_at_s() == 103.0


def test_an_unanswered_heartbeat_is_repeated_until_the_lease_is_over() -> None:
    book = LeaseBook()
    book.hold("a", 12_000, since_s=0.0, now_s=0.0)
    now_s, beats = 4.0, 0
    while not (due := book.due(now_s)).over:
        beats += len(due.beats)
        book.unanswered("a", now_s)
        wake_at_s = book.wake_at_s()
        assert wake_at_s is not None
        now_s = wake_at_s
    assert (now_s, beats) == (12.0, 8)


def test_heartbeats_that_are_nearly_due_go_along() -> None:
    book = LeaseBook()
    for name, since_s in (("a", 0.0), ("b", 2.0), ("c", 9.0)):
        book.hold(name, 30_000, since_s=since_s, now_s=9.0)
    assert book.due(10.0) == Due([], ["a", "b"])


def test_news_makes_a_heartbeat_due_now() -> None:
    book = LeaseBook()
    book.hold("a", 30_000, since_s=0.0, now_s=0.0)
    book.hurry("a", 1.0)
    assert book.due(1.0) == Due([], ["a"])


def test_news_during_a_heartbeat_makes_another_one_due_after_it() -> None:
    book = LeaseBook()
    book.hold("a", 30_000, since_s=0.0, now_s=0.0)
    book.due(10.0)
    book.hurry("a", 10.1)
    assert book.due(10.2) == NOTHING
    book.renewed("a", 30_000, sent_at_s=10.0)
    assert book.due(10.3) == Due([], ["a"])
    book.renewed("a", 30_000, sent_at_s=10.3)
    assert book.due(10.4) == NOTHING


def test_a_dropped_lease_is_forgotten_and_late_answers_about_it_change_nothing() -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=0.0, now_s=0.0)
    book.drop("a")
    book.drop("a")
    book.renewed("a", 3_000, sent_at_s=1.0)
    book.unanswered("a", 1.0)
    book.hurry("a", 1.0)
    assert (len(book), book.wake_at_s(), book.due(9.0)) == (0, None, NOTHING)


@pytest.mark.parametrize(
    ("names", "expected"), [(["a", "b"], (3.0, 2.0)), (["b"], (60.0, 59.0)), (["gone"], (0.0, 0.0))]
)
def test_how_much_time_a_set_of_leases_leaves(names: list[str], expected: tuple[float, float]) -> None:
    book = LeaseBook()
    book.hold("a", 3_000, since_s=0.0, now_s=0.0)
    book.hold("b", 60_000, since_s=0.0, now_s=0.0)
    assert book.time_left_s(names, 1.0) == expected


@given(
    strategies.lists(
        strategies.tuples(strategies.integers(1, 100_000), strategies.floats(0, 300)), min_size=1, max_size=8
    ),
    strategies.lists(strategies.booleans(), min_size=1, max_size=8),
)
def test_whoever_wakes_when_told_always_finds_something_due(
    leases: list[tuple[int, float]], answered: list[bool]
) -> None:
    book = LeaseBook()
    for number, (ttl_ms, since_s) in enumerate(leases):
        book.hold(str(number), ttl_ms, since_s=since_s, now_s=300.0)
    now_s, passes = 300.0, 0
    while (wake_at_s := book.wake_at_s()) is not None and passes < 200:
        now_s = max(now_s, round(wake_at_s, 9))
        due = book.due(now_s)
        assert due.over or due.beats
        for step_id in due.beats:
            if answered[passes % len(answered)]:
                book.renewed(step_id, 1_000, sent_at_s=now_s)
            else:
                book.unanswered(step_id, now_s)
        passes += 1
