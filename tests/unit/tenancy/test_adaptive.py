"""The limit that follows the latency of group writes: on synthetic latencies, and on a server that queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

import pytest
from leasehold.tenancy.adaptive import AdaptiveLimit

MOST = 20_000
LEAST = 100
HEALTHY_MS = 5.0


def writes(
    limit: AdaptiveLimit,
    latency_ms: Callable[[int], float],
    *,
    from_ms: int,
    until_ms: int,
    every_ms: int = 50,
    documents: int = 100,
) -> int:
    """Group writes leave every so often and are answered after their latency. The least room that there was."""
    out: list[tuple[int, int]] = []
    least_room = limit.room(from_ms)
    for now_ms in range(from_ms, until_ms, every_ms):
        while out and out[0][0] <= now_ms:
            answered_ms, number = heappop(out)
            limit.answered(number, answered_ms)
        heappush(out, (now_ms + int(latency_ms(now_ms)), limit.sent(documents, now_ms)))
        least_room = min(least_room, limit.room(now_ms))
    for answered_ms, number in sorted(out):
        limit.answered(number, answered_ms)
    return least_room


def warm() -> AdaptiveLimit:
    limit = AdaptiveLimit(MOST)
    writes(limit, lambda _: 30.0, from_ms=0, until_ms=20_000)
    return limit


def test_it_is_wide_before_anything_is_known() -> None:
    assert AdaptiveLimit(MOST).room(0) == MOST


def test_what_is_under_way_takes_room_until_it_ends() -> None:
    limit = AdaptiveLimit(1_000)
    limit.begin(990)
    assert limit.room(0) == 10
    limit.begin(20)
    assert limit.room(0) == 0
    limit.end(500)
    assert limit.room(0) == 490


@pytest.mark.parametrize("usual_ms", [60.0, 400.0])
@pytest.mark.parametrize("under_way", [0, 1_800])
def test_latency_that_drifts_and_single_slow_writes_refuse_nothing(under_way: int, usual_ms: float) -> None:
    random = Random(4)
    limit = AdaptiveLimit(MOST)
    limit.begin(under_way)

    def drifting(now_ms: int) -> float:
        spike = 8.0 if random.random() < 0.1 else 1.0
        return usual_ms * random.uniform(0.7, 1.3) * spike

    assert writes(limit, drifting, from_ms=0, until_ms=600_000) >= 3_000


def test_how_many_documents_a_write_holds_makes_no_difference() -> None:
    limit = AdaptiveLimit(MOST)
    limit.begin(MOST)
    writes(limit, lambda _: 350.0, from_ms=0, until_ms=30_000, documents=1_000, every_ms=350)
    writes(limit, lambda _: 15.0, from_ms=30_000, until_ms=60_000, documents=1)
    assert limit.limit == MOST
    writes(limit, lambda _: 350.0, from_ms=60_000, until_ms=90_000, documents=1_000, every_ms=350)
    assert limit.limit == MOST


def test_a_pause_between_batches_refuses_no_batch() -> None:
    limit = warm()
    limit.begin(200)
    least_room = writes(limit, lambda _: 3_000.0, from_ms=20_000, until_ms=26_000)
    assert least_room >= 1_000


def test_it_narrows_while_writes_are_late_and_more_is_under_way() -> None:
    limit = warm()
    limit.begin(MOST)
    writes(limit, lambda _: 1_200.0, from_ms=20_000, until_ms=26_000)
    assert limit.limit < 100 + MOST / 100


def test_a_server_that_stands_still_is_noticed_before_it_answers() -> None:
    limit = warm()
    limit.begin(5_000)
    limit.sent(100, 20_000)
    rooms = [limit.room(now_ms) for now_ms in range(20_000, 25_000, 100)]
    assert rooms[0] == MOST - 5_000
    assert rooms[-1] == 0


def test_a_refusal_halves_what_is_under_way_at_once_and_once_for_all_lanes() -> None:
    limit = warm()
    limit.begin(4_000)
    limit.pushed_back(21_000)
    limit.pushed_back(21_010)
    assert limit.limit == 2_000
    limit.pushed_back(21_600)
    assert limit.limit == 1_000


def test_it_never_falls_below_its_least() -> None:
    limit = warm()
    for now_ms in range(20_000, 30_000, 600):
        limit.pushed_back(now_ms)
    assert limit.limit == LEAST
    assert limit.room(30_000) == LEAST


def test_it_is_wide_again_within_seconds_when_it_is_used() -> None:
    limit = warm()
    limit.pushed_back(20_000)
    assert limit.limit == LEAST
    seconds = 0
    while limit.limit < 1_000:
        limit.begin(limit.room(20_000 + seconds * 1_000))
        writes(limit, lambda _: 30.0, from_ms=20_000 + seconds * 1_000, until_ms=21_000 + seconds * 1_000)
        seconds += 1
    assert seconds <= 4


def test_it_grows_more_slowly_where_it_is_not_used() -> None:
    used, unused = warm(), warm()
    for limit in (used, unused):
        limit.begin(1_000)
        limit.pushed_back(20_000)
    unused.end(1_000)
    for limit in (used, unused):
        writes(limit, lambda _: 30.0, from_ms=20_100, until_ms=26_000)
    assert LEAST < unused.limit < used.limit


def test_what_was_learned_of_an_overload_is_forgotten_with_nothing_under_way() -> None:
    limit = warm()
    limit.pushed_back(20_000)
    assert limit.room(49_000) == LEAST
    assert limit.room(50_000) == MOST


def test_a_server_that_is_slow_for_good_becomes_the_measure() -> None:
    limit = warm()
    limit.begin(5_000)
    writes(limit, lambda _: 400.0, from_ms=20_000, until_ms=40_000)
    narrow = limit.limit
    limit.end(5_000 - narrow)
    writes(limit, lambda _: 400.0, from_ms=40_000, until_ms=3_600_000, every_ms=400)
    assert narrow < 1_000
    assert limit.limit == MOST


def test_a_write_without_an_answer_says_nothing() -> None:
    limit = warm()
    limit.begin(MOST)
    number = limit.sent(100, 20_000)
    limit.unanswered(number)
    limit.room(40_000)
    assert limit.limit == MOST


class Server:
    """Takes `per_ms` documents a millisecond, in order: a write's latency is what is before it, by Little's law."""

    def __init__(self, limit: AdaptiveLimit | None) -> None:
        self.per_ms = 3.0
        self.refused = 0
        self.queued: deque[tuple[int, int, float]] = deque()
        self.busy_until_ms = 0.0
        self.under_way = 0
        self.longest = 0
        self._limit = limit

    def arrive(self, count: int, now_ms: int) -> None:
        taken = count if self._limit is None else min(count, self._limit.room(now_ms))
        self.refused += count - taken
        if not taken:
            return
        self.busy_until_ms = max(self.busy_until_ms, now_ms) + HEALTHY_MS + taken / self.per_ms
        number = 0
        if self._limit is not None:
            self._limit.begin(taken)
            number = self._limit.sent(taken, now_ms)
        self.queued.append((number, taken, self.busy_until_ms))
        self.under_way += taken
        self.longest = max(self.longest, self.under_way)

    def work(self, now_ms: int) -> None:
        while self.queued and self.queued[0][2] <= now_ms:
            number, taken, _ = self.queued.popleft()
            self.under_way -= taken
            if self._limit is not None:
                self._limit.end(taken)
                self._limit.answered(number, now_ms)


def run(server: Server, *, per_ms: float, from_ms: int, until_ms: int) -> list[int]:
    """Starts arrive at 2 a millisecond, whatever is answered. What was under way, at each step."""
    server.per_ms = per_ms
    lengths = []
    for now_ms in range(from_ms, until_ms, 50):
        server.work(now_ms)
        server.arrive(100, now_ms)
        lengths.append(server.under_way)
    return lengths


def test_the_queue_of_a_saturated_server_stays_bounded_and_without_the_limit_it_grows() -> None:
    limited, unlimited = Server(AdaptiveLimit(MOST)), Server(None)
    for server in (limited, unlimited):
        run(server, per_ms=3.0, from_ms=0, until_ms=30_000)
        assert server.refused == 0
        server.longest = 0
        run(server, per_ms=0.2, from_ms=30_000, until_ms=90_000)
    assert unlimited.longest > 100_000
    assert limited.longest < 4_000
    # It settles at what the server does in some seconds.
    settled = run(limited, per_ms=0.2, from_ms=90_000, until_ms=120_000)
    assert max(settled) < 1_000


def test_a_limited_server_works_at_full_rate_and_refuses_nothing_soon_after_it_has_recovered() -> None:
    server = Server(AdaptiveLimit(MOST))
    run(server, per_ms=3.0, from_ms=0, until_ms=30_000)
    run(server, per_ms=0.2, from_ms=30_000, until_ms=90_000)
    assert min(run(server, per_ms=0.2, from_ms=90_000, until_ms=100_000)) > 0
    run(server, per_ms=3.0, from_ms=100_000, until_ms=110_000)
    refused = server.refused
    run(server, per_ms=3.0, from_ms=110_000, until_ms=140_000)
    assert server.refused == refused
