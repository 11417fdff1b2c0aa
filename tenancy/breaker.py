"""A circuit breaker: what keeps failing is left alone for a while, and then tried with a few attempts. Pure.

Source: Nygard, "Release It!", 2007, chapter "Circuit Breaker".
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from .rules import Breaker

_BUCKETS = 10

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """One breaker. All times are monotonic milliseconds, and all costs O(1).

    Closed, it counts outcomes over a window that slides by a tenth of its length. Open, it lets nothing through and
    heeds no outcome. Half open, `rules.probes` attempts may be out, and only theirs count: a failure opens it again,
    successes of all close it. An attempt that began before it closed has no say afterwards, however it ends.
    """

    __slots__ = (
        "_all_ended",
        "_all_failed",
        "_bucket",
        "_bucket_ms",
        "_closed_ms",
        "_ended",
        "_failed",
        "_opened_ms",
        "_passed",
        "_reserved",
        "failed_share",
        "probes",
        "rules",
    )

    def __init__(self, rules: Breaker) -> None:
        self.rules = rules
        # How much had failed when it opened.
        self.failed_share = 0.0
        self.probes: set[Hashable] = set()
        self._reserved = 0
        self._passed = 0
        self._opened_ms: int | None = None
        self._closed_ms: int | None = None
        self._bucket_ms = max(1, rules.window_ms // _BUCKETS)
        self._bucket = 0
        self._ended = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS
        self._all_ended = self._all_failed = 0

    def state(self, now_ms: int) -> State:
        if self._opened_ms is None:
            return "closed"
        return "open" if now_ms < self._opened_ms + self.rules.open_ms else "half_open"

    def wait_ms(self, now_ms: int) -> int | None:
        """How long until it is half open; None where no time changes anything."""
        if self._opened_ms is None or self.state(now_ms) == "half_open":
            return None
        return self._opened_ms + self.rules.open_ms - now_ms

    def lets_through(self, now_ms: int) -> bool:
        """Whether one more attempt may begin."""
        state = self.state(now_ms)
        if state == "half_open":
            return self._passed + self._reserved + len(self.probes) < self.rules.probes
        return state == "closed"

    def reserve(self, now_ms: int) -> None:
        """An attempt is about to begin, and is `begin` or `put_back` next."""
        if self.state(now_ms) == "half_open":
            self._reserved += 1

    def put_back(self) -> None:
        """What was reserved does not begin after all."""
        self._reserved = max(0, self._reserved - 1)

    def begin(self, probe: Hashable) -> None:
        """What was reserved has begun, under this name. No probe unless the breaker is half open."""
        if self._reserved:
            self._reserved -= 1
            self.probes.add(probe)

    def lose(self, probe: Hashable) -> None:
        """The attempt ended without an outcome that says anything: another one may be tried."""
        self.probes.discard(probe)

    def end(self, attempt: Hashable, *, began_ms: int, failed: bool, now_ms: int) -> State | None:
        """An attempt has ended. Returns the state that this has led to, if it is another one."""
        if self._opened_ms is not None:
            return self._judge_probe(attempt, failed=failed, now_ms=now_ms)
        if self._closed_ms is not None and began_ms < self._closed_ms:
            return None
        self._count(failed, now_ms)
        ended = self._all_ended
        if ended < self.rules.min_attempts or self._all_failed < self.rules.failure_share * ended:
            return None
        self.failed_share = self._all_failed / ended
        return self._open(now_ms)

    def _judge_probe(self, attempt: Hashable, *, failed: bool, now_ms: int) -> State | None:
        if attempt not in self.probes:
            return None
        self.probes.discard(attempt)
        if failed:
            return self._open(now_ms)
        self._passed += 1
        return self._close(now_ms) if self._passed >= self.rules.probes else None

    def _open(self, now_ms: int) -> State:
        self._opened_ms = now_ms
        self._forget()
        return "open"

    def _close(self, now_ms: int) -> State:
        self._opened_ms = None
        self._closed_ms = now_ms
        self._forget()
        return "closed"

    def _forget(self) -> None:
        self.probes.clear()
        self._passed = self._reserved = 0
        self._ended = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS
        self._all_ended = self._all_failed = 0

    def _count(self, failed: bool, now_ms: int) -> None:
        bucket = now_ms // self._bucket_ms
        if bucket > self._bucket:
            for passed in range(max(self._bucket + 1, bucket - _BUCKETS + 1), bucket + 1):
                self._clear(passed % _BUCKETS)
            self._bucket = bucket
        self._ended[bucket % _BUCKETS] += 1
        self._failed[bucket % _BUCKETS] += failed
        self._all_ended += 1
        self._all_failed += failed

    def _clear(self, place: int) -> None:
        self._all_ended -= self._ended[place]
        self._all_failed -= self._failed[place]
        self._ended[place] = self._failed[place] = 0
