"""Which server is asked next, and when."""

from random import Random

import pytest
from leasehold.claim.transport.addresses import INITIAL_REST_S, MAX_REST_S, Addresses, Turn

A, B, C = "http://a", "http://b", "http://c"


def addresses(*urls: str, seed: int = 1) -> Addresses:
    return Addresses(urls, Random(seed))


def test_the_first_server_is_used_for_as_long_as_it_works() -> None:
    three = addresses(A, B, C)
    for now_s in range(5):
        assert three.turn(now_s) == Turn(A, 0.0)
        three.answered(A)


def test_a_failure_leads_to_the_next_server_at_once_and_it_stays_in_use() -> None:
    three = addresses(A, B, C)
    three.turn(0.0)
    three.failed(A, 0.0)
    assert three.turn(0.0) == Turn(B, 0.0)
    three.answered(B)
    assert three.turn(3_600.0) == Turn(B, 0.0)


def test_after_the_last_server_comes_the_first() -> None:
    two = addresses(A, B)
    two.turn(0.0)
    two.failed(A, 0.0)
    two.turn(0.0)
    two.failed(B, 10.0)
    assert two.turn(10.0) == Turn(A, 0.0)


def test_when_all_rest_the_one_that_rests_shortest_is_waited_for() -> None:
    two = addresses(A, B)
    two.failed(A, 0.0, retry_after_s=5.0)
    two.failed(B, 0.0, retry_after_s=1.0)
    turn = two.turn(0.0)
    assert turn.url == B
    assert 1.0 <= turn.wait_s <= 1.25


def test_rests_double_up_to_a_bound_and_start_anew_after_an_answer() -> None:
    one = addresses(A)
    now_s, rests = 0.0, []
    for _ in range(12):
        one.failed(A, now_s)
        rests.append(one.turn(now_s).wait_s)
        now_s += rests[-1]
    for failures, rest_s in enumerate(rests):
        bound_s = min(MAX_REST_S, INITIAL_REST_S * 2**failures)
        assert bound_s / 2 <= rest_s <= bound_s + 1e-9
    one.answered(A)
    one.failed(A, now_s)
    assert one.turn(now_s).wait_s <= INITIAL_REST_S + 1e-9


def test_clients_that_fail_together_do_not_come_back_together() -> None:
    rests = set()
    for seed in range(20):
        one = addresses(A, seed=seed)
        one.failed(A, 0.0)
        rests.add(one.turn(0.0).wait_s)
    assert len(rests) == 20


def test_what_a_server_asks_for_is_the_least_that_it_gets() -> None:
    for seed in range(20):
        one = addresses(A, seed=seed)
        one.failed(A, 100.0, retry_after_s=8.0)
        assert 8.0 <= one.turn(100.0).wait_s <= 10.0


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one is needed"):
        Addresses([], Random(1))
