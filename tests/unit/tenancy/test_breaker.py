"""The circuit breaker: when it opens, what it lets through then, and what closes it."""

from __future__ import annotations

from random import Random

from leasehold.tenancy.breaker import CircuitBreaker, State
from leasehold.tenancy.rules import Breaker

RULES = Breaker(failure_share=0.5, min_attempts=4, window_ms=10_000, open_ms=5_000, probes=1)


def end(breaker: CircuitBreaker, now_ms: int, *, failed: bool, began_ms: int | None = None) -> State | None:
    return breaker.end("any", began_ms=now_ms if began_ms is None else began_ms, failed=failed, now_ms=now_ms)


def opened(rules: Breaker = RULES, at_ms: int = 1_000) -> CircuitBreaker:
    breaker = CircuitBreaker(rules)
    states = [end(breaker, at_ms, failed=True) for _ in range(rules.min_attempts)]
    assert states == [None] * (rules.min_attempts - 1) + ["open"]
    return breaker


def probe(breaker: CircuitBreaker, name: str, now_ms: int) -> None:
    assert breaker.lets_through(now_ms)
    breaker.reserve(now_ms)
    breaker.begin(name)


def test_it_opens_when_enough_ended_and_enough_of_them_failed() -> None:
    breaker = CircuitBreaker(RULES)
    assert [end(breaker, 0, failed=failed) for failed in (False, False, False, True)] == [None] * 4
    assert breaker.state(0) == "closed"
    assert end(breaker, 0, failed=True) is None
    assert end(breaker, 0, failed=True) == "open"
    assert breaker.failed_share == 0.5


def test_a_success_that_makes_up_the_number_opens_it_too() -> None:
    breaker = CircuitBreaker(RULES)
    assert [end(breaker, 0, failed=failed) for failed in (True, True, False)] == [None] * 3
    assert end(breaker, 0, failed=False) == "open"


def test_what_ended_before_the_window_does_not_count() -> None:
    breaker = CircuitBreaker(RULES)
    for _ in range(3):
        end(breaker, 500, failed=True)
    assert end(breaker, 9_999, failed=False) == "open"
    breaker = CircuitBreaker(RULES)
    for _ in range(3):
        end(breaker, 500, failed=True)
    assert end(breaker, 10_000, failed=True) is None
    # Far beyond the window, and to a bucket that was used before.
    breaker = CircuitBreaker(RULES)
    for _ in range(3):
        end(breaker, 500, failed=True)
    assert end(breaker, 1_000_500, failed=True) is None


def test_open_it_lets_nothing_through_until_its_time_is_over() -> None:
    breaker = opened(at_ms=1_000)
    assert not breaker.lets_through(1_000)
    assert breaker.wait_ms(1_000) == 5_000
    assert not breaker.lets_through(5_999)
    assert breaker.wait_ms(5_999) == 1
    assert breaker.lets_through(6_000)
    assert breaker.wait_ms(6_000) is None


def test_late_outcomes_neither_close_it_nor_keep_it_open() -> None:
    breaker = opened(at_ms=1_000)
    assert [end(breaker, 2_000, failed=failed, began_ms=500) for failed in (False, True)] == [None, None]
    assert [end(breaker, 7_000, failed=failed, began_ms=500) for failed in (False, True)] == [None, None]
    assert breaker.state(7_000) == "half_open"
    probe(breaker, "p", 7_000)
    assert [end(breaker, 7_001, failed=failed, began_ms=500) for failed in (False, True)] == [None, None]
    assert breaker.end("p", began_ms=7_000, failed=False, now_ms=7_500) == "closed"


def test_exactly_as_many_probes_as_allowed_are_out_at_once() -> None:
    rules = Breaker(failure_share=0.5, min_attempts=4, window_ms=10_000, open_ms=5_000, probes=2)
    breaker = opened(rules, at_ms=1_000)
    probe(breaker, "p", 6_000)
    breaker.reserve(6_000)
    assert not breaker.lets_through(6_000)
    breaker.put_back()
    probe(breaker, "q", 6_000)
    assert not breaker.lets_through(6_000)
    assert breaker.end("p", began_ms=6_000, failed=False, now_ms=6_100) is None
    assert not breaker.lets_through(6_100)
    assert breaker.end("q", began_ms=6_000, failed=False, now_ms=6_200) == "closed"
    assert breaker.lets_through(6_200)


def test_a_probe_without_an_outcome_makes_room_for_another() -> None:
    breaker = opened(at_ms=1_000)
    probe(breaker, "p", 6_000)
    assert not breaker.lets_through(6_500)
    breaker.lose("p")
    probe(breaker, "q", 6_500)
    assert breaker.end("p", began_ms=6_000, failed=True, now_ms=6_600) is None
    assert breaker.end("q", began_ms=6_500, failed=False, now_ms=6_700) == "closed"


def test_a_probe_that_fails_opens_it_again_for_the_whole_time() -> None:
    rules = Breaker(failure_share=0.5, min_attempts=4, window_ms=10_000, open_ms=5_000, probes=2)
    breaker = opened(rules, at_ms=1_000)
    probe(breaker, "p", 6_000)
    probe(breaker, "q", 6_000)
    assert breaker.end("p", began_ms=6_000, failed=True, now_ms=6_100) == "open"
    assert not breaker.lets_through(11_099)
    assert breaker.end("q", began_ms=6_000, failed=False, now_ms=6_200) is None
    probe(breaker, "r", 11_100)


def test_after_it_closed_attempts_from_before_do_not_count_and_the_window_is_empty() -> None:
    breaker = opened(at_ms=1_000)
    probe(breaker, "p", 6_000)
    breaker.end("p", began_ms=6_000, failed=False, now_ms=6_100)
    assert [end(breaker, 6_200, failed=True, began_ms=900) for _ in range(10)] == [None] * 10
    assert [end(breaker, 6_300, failed=True) for _ in range(4)] == [None, None, None, "open"]


def test_an_attempt_that_begins_while_it_is_closed_is_no_probe() -> None:
    breaker = CircuitBreaker(RULES)
    breaker.reserve(0)
    breaker.begin("early")
    assert not breaker.probes


def test_it_opens_exactly_when_the_last_ten_tenths_of_the_window_say_so() -> None:
    random = Random(7)
    opened_at = []
    for _ in range(200):
        breaker, now_ms = CircuitBreaker(RULES), random.randrange(100_000)
        ends: list[tuple[int, bool]] = []
        for _ in range(50):
            now_ms += random.choice((0, 50, 700, 2_500, 12_000))
            failed = random.random() < 0.4
            ends.append((now_ms // 1_000, failed))
            counted = [how for tenth, how in ends if tenth > now_ms // 1_000 - 10]
            due = len(counted) >= 4 and sum(counted) >= 0.5 * len(counted)
            assert (end(breaker, now_ms, failed=failed) == "open") is due
            if due:
                opened_at.append(len(ends))
                break
    assert len(set(opened_at)) > 10
