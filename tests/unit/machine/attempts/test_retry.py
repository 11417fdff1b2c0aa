from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.machine.attempts.retry import retry_delay_ms
from leasehold.definitions.plan import RetryPolicy


def delays(times: int = 5, random: float = 0.5, **fields: Any) -> list[int | None]:
    policy = RetryPolicy(max_retries=times, **{"jitter": "none", "initial_ms": 100, **fields})
    return [retry_delay_ms(policy, failures, "boom", random) for failures in range(1, times + 2)]


def test_backoffs_grow_as_their_kind_says_and_stop_at_the_maximum() -> None:
    assert delays(backoff="exponential", factor=3.0, max_delay_ms=2_000) == [100, 300, 900, 2_000, 2_000, None]
    assert delays(backoff="linear", max_delay_ms=350) == [100, 200, 300, 350, 350, None]
    assert delays(backoff="constant") == [100, 100, 100, 100, 100, None]


def test_full_jitter_takes_any_part_of_the_delay_and_equal_jitter_at_least_half() -> None:
    assert delays(1, jitter="full", random=0.0) == [1, None]
    assert delays(1, jitter="full", random=0.75) == [75, None]
    assert delays(1, jitter="equal", random=0.0) == [50, None]
    assert delays(1, jitter="equal", random=0.5) == [75, None]


def test_a_delay_is_never_zero() -> None:
    assert delays(1, initial_ms=0) == [1, None]


def test_an_absurd_exponent_stops_at_the_maximum() -> None:
    policy = RetryPolicy(max_retries=100_000, factor=10.0, jitter="none", max_delay_ms=7_000)
    assert retry_delay_ms(policy, 99_999, "boom", 0.0) == 7_000


@pytest.mark.parametrize(
    ("on", "not_on", "error_type", "again"),
    [
        ((), (), "boom", True),
        (("timeout", "http.5*"), (), "http.503", True),
        (("timeout", "http.5*"), (), "timeout", True),
        (("timeout", "http.5*"), (), "http.404", False),
        (("http.5*",), (), "xhttp.503", False),
        (("http.5?",), (), "http.50", False),
        (("*",), ("http.4*",), "http.404", False),
        ((), ("http.4*",), "http.503", True),
        (("a*c",), (), "a\nc", True),
    ],
)
def test_a_policy_retries_the_error_types_that_its_patterns_name(
    on: tuple[str, ...], not_on: tuple[str, ...], error_type: str, again: bool
) -> None:
    policy = RetryPolicy(max_retries=1, on=on, not_on=not_on)
    assert (retry_delay_ms(policy, 1, error_type, 0.5) is not None) is again
