"""How much may be under way at once: a limit that follows the latency of what carries it. Pure.

The algorithm is a gradient as in Netflix' Gradient2 (the limit shrinks by the ratio of the long-run latency to the
latency now, and does not move where it is not used), with TCP's answer to a loss: a refusal halves what is under way at
once (additive increase, multiplicative decrease). Three things differ, each for a reason:

- What is compared is the latency of a group write for one unit of its work, its documents and a fixed part. A write of
  a thousand documents is no sign of trouble.
- A window's latency is the median over its work, not the mean: one write in ten that takes several times as long, as
  pauses of a collector do, moves nothing. What has no answer yet counts as soon as it is late, so that a server that
  stands still is noticed before it answers.
- The long-run latency falls within seconds and rises within minutes, slower still while writes are late, so that
  an overload does not become the measure that it is judged by; a server that is slow for good does, in the end.

Sources: github.com/Netflix/concurrency-limits (Gradient2Limit, WindowedLimit) and "Performance Under Load", Netflix
Technology Blog, 2018; Jacobson, "Congestion Avoidance and Control", SIGCOMM 1988; Chiu and Jain, "Analysis of the
Increase and Decrease Algorithms", 1989; RFC 7661 for limits that are not used.
"""

from __future__ import annotations

# A group write costs Elasticsearch as much as so many documents, however few it holds.
_FIXED_UNITS = 20
_WINDOW_MS = 500
# Latency may be so many times the long-run one: load, merges and neighbours make it drift, and that is no overload.
_TOLERANCE = 3.0
# At this or less for a unit of work (40 ms for a small write, two seconds for a thousand documents) nothing is late.
_NEVER_LATE_MS = 2.0
# The limit is not brought below this by latency unless it is used: no batch is refused for a hiccup between batches.
_ROOMY = 2_000
_LEAST = 100
_SHRINK_AT_MOST = 0.5
_GROWTH = 1.25
# Time constants of the long-run latency.
_FALL_MS = 5_000
_RISE_MS = 60_000
_RISE_WHILE_LATE_MS = 600_000
_STEP_AT_MOST_MS = 5_000
# With nothing under way and nothing heard for so long, what was learned of an overload is out of date.
_FORGET_MS = 30_000


class AdaptiveLimit:
    """Counts what is under way, in instances, and says how many more may begin. All times are monotonic milliseconds.

    `most` is the widest the limit gets, and where it begins. Costs: O(1) a call, and at most twice a second a sort of
    the window's group writes.
    """

    __slots__ = (
        "_limit",
        "_long_ms",
        "_next",
        "_peak",
        "_sent",
        "_shrunk_ms",
        "_told_ms",
        "_window",
        "_window_ms",
        "most",
        "under_way",
    )

    def __init__(self, most: int) -> None:
        self.most = most
        self.under_way = 0
        self._limit = float(most)
        # Milliseconds for a unit of work; None until the first window.
        self._long_ms: float | None = None
        self._peak = 0
        # Group writes without an answer: when they were sent, and their units of work.
        self._sent: dict[int, tuple[int, int]] = {}
        self._next = 0
        self._window: list[tuple[float, int]] = []
        self._window_ms: int | None = None
        self._told_ms = 0
        self._shrunk_ms: int | None = None

    @property
    def limit(self) -> int:
        """How many may be under way at once."""
        return int(self._limit)

    def room(self, now_ms: int) -> int:
        """How many more may begin now; 0 or more."""
        if not self.under_way and not self._sent and now_ms - self._told_ms >= _FORGET_MS:
            self._limit = float(self.most)
        self._look(now_ms)
        return max(0, int(self._limit) - self.under_way)

    def begin(self, count: int) -> None:
        """So many more are under way."""
        self.under_way += count
        self._peak = max(self._peak, self.under_way)

    def end(self, count: int = 1) -> None:
        """So many are acknowledged, or will never be."""
        self.under_way -= count

    def sent(self, documents: int, now_ms: int) -> int:
        """A group write leaves. Returns its number, with which `answered` or `unanswered` is called once."""
        if self._window_ms is None:
            self._window_ms = now_ms
        self._next += 1
        self._sent[self._next] = (now_ms, documents + _FIXED_UNITS)
        return self._next

    def answered(self, number: int, now_ms: int) -> None:
        """Elasticsearch took the group write."""
        sent_ms, units = self._sent.pop(number)
        self._window.append(((now_ms - sent_ms) / units, units))
        self._look(now_ms)

    def unanswered(self, number: int) -> None:
        """The group write failed: how long that took says nothing."""
        del self._sent[number]

    def pushed_back(self, now_ms: int) -> None:
        """Elasticsearch refused a group write: half of what is under way is the limit, at most once a window."""
        self._told_ms = now_ms
        if self._shrunk_ms is None or now_ms - self._shrunk_ms >= _WINDOW_MS:
            self._shrunk_ms = now_ms
            self._set(min(self._limit, self.under_way) / 2)
            self._start_window(now_ms)

    def _look(self, now_ms: int) -> None:
        """Judge the window if it is over and has anything to say."""
        if self._window_ms is None or now_ms - self._window_ms < _WINDOW_MS:
            return
        samples = self._window + self._late(now_ms)
        if not samples:
            return
        short_ms = _median(samples)
        long_ms = self._long_ms
        if long_ms is None:
            long_ms = short_ms if self._window else _NEVER_LATE_MS
        tolerated_ms = max(_NEVER_LATE_MS, _TOLERANCE * long_ms)
        used = self._peak >= self._limit / 2
        if short_ms > tolerated_ms:
            self._shrink(tolerated_ms / short_ms, used=used)
        else:
            self._set((self._limit * _GROWTH if used else self._limit) + _LEAST)
        self._learn(short_ms, long_ms, min(_STEP_AT_MOST_MS, now_ms - self._window_ms), late=short_ms > tolerated_ms)
        self._start_window(now_ms)

    def _late(self, now_ms: int) -> list[tuple[float, int]]:
        """The writes that take longer than is tolerated already: what they take in the end will be more."""
        long_ms = _NEVER_LATE_MS if self._long_ms is None else self._long_ms
        tolerated_ms = max(_NEVER_LATE_MS, _TOLERANCE * long_ms)
        waits = (((now_ms - sent_ms) / units, units) for sent_ms, units in self._sent.values())
        return [(wait_ms, units) for wait_ms, units in waits if wait_ms > tolerated_ms]

    def _shrink(self, gradient: float, *, used: bool) -> None:
        shrunk = self._limit * max(_SHRINK_AT_MOST, gradient)
        self._set(shrunk if used else max(shrunk, min(self._limit, float(_ROOMY))))

    def _learn(self, short_ms: float, long_ms: float, elapsed_ms: int, *, late: bool) -> None:
        rise_ms = _RISE_WHILE_LATE_MS if late else _RISE_MS
        constant_ms = _FALL_MS if short_ms < long_ms else rise_ms
        self._long_ms = long_ms + (short_ms - long_ms) * min(1.0, elapsed_ms / constant_ms)

    def _set(self, limit: float) -> None:
        self._limit = min(float(self.most), max(float(_LEAST), limit))

    def _start_window(self, now_ms: int) -> None:
        self._window.clear()
        self._window_ms = now_ms if self._sent else None
        self._told_ms = now_ms
        self._peak = self.under_way


def _median(samples: list[tuple[float, int]]) -> float:
    """The latency of a unit in the middle of all units of work."""
    ordered = sorted(samples)
    left = sum(units for _, units in ordered) / 2
    at = -1
    while left > 0:
        at += 1
        left -= ordered[at][1]
    return ordered[at][0]
