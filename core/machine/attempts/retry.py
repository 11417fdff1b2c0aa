"""Whether to try again, and after how long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ....definitions.plan import RetryPolicy


def retry_delay_ms(policy: RetryPolicy, failures: int, error_type: str, random: float) -> int | None:
    """How long to wait after the `failures`-th failed attempt, or None when the policy forbids another.

    At least 1 ms, so that a timer never falls due in the very event that sets it. `random` in [0, 1) is the jitter.
    """
    if failures > policy.max_retries or not _retries(policy, error_type):
        return None
    delay_ms = _backoff_ms(policy, failures)
    if policy.jitter == "full":
        delay_ms *= random
    elif policy.jitter == "equal":
        delay_ms *= 0.5 + random / 2
    return max(1, round(delay_ms))


def _backoff_ms(policy: RetryPolicy, failures: int) -> float:
    if policy.backoff == "constant":
        delay_ms = float(policy.initial_ms)
    elif policy.backoff == "linear":
        delay_ms = float(policy.initial_ms * failures)
    else:
        try:
            delay_ms = policy.initial_ms * policy.factor ** (failures - 1)
        except OverflowError:
            return float(policy.max_delay_ms)
    return min(delay_ms, float(policy.max_delay_ms))


def _retries(policy: RetryPolicy, error_type: str) -> bool:
    if policy.not_on and _matches(policy.not_on, error_type):
        return False
    return not policy.on or _matches(policy.on, error_type)


def _matches(patterns: Sequence[str], error_type: str) -> bool:
    return any(_compiled(pattern).fullmatch(error_type) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
