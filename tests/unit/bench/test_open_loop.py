"""Open-loop arrivals, and what the correction for coordinated omission makes up."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.bench.load import Timed, due_offsets_ns, latencies_from_due, latencies_from_send, send_delays
from leasehold.bench.load.open_loop import fire

MS = 1_000_000


@given(st.floats(0.5, 500), st.floats(0.1, 20), st.integers(0, 2**32))
def test_arrivals_come_in_order_within_the_span_and_as_many_as_the_rate_says(
    rate_per_s: float, duration_s: float, seed: int
) -> None:
    offsets = due_offsets_ns(rate_per_s, duration_s, Random(seed))
    assert len(offsets) == max(1, round(rate_per_s * duration_s))
    assert offsets == sorted(offsets)
    assert offsets[0] >= 0
    assert offsets[-1] <= duration_s * 1e9


def test_the_same_seed_gives_the_same_arrivals_and_another_one_others() -> None:
    assert due_offsets_ns(20, 5, Random(1)) == due_offsets_ns(20, 5, Random(1))
    assert due_offsets_ns(20, 5, Random(1)) != due_offsets_ns(20, 5, Random(2))


def test_arrivals_cluster_as_a_poisson_process_does() -> None:
    offsets = due_offsets_ns(100, 100, Random(7))
    gaps = [later - earlier for earlier, later in itertools.pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.95 < deviation / mean < 1.05


class Machine:
    """A clock that moves when somebody sleeps or is served: nothing here takes real time."""

    def __init__(self) -> None:
        self.now_ns = 0

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, duration_s: float) -> None:
        self.now_ns += round(duration_s * 1e9)


class Server:
    """Serves one request at a time in 1 ms, but stands still for whatever comes until `stall_until_ns`."""

    def __init__(self, machine: Machine, stall_from_ns: int, stall_until_ns: int) -> None:
        self._machine = machine
        self._stall = range(stall_from_ns, stall_until_ns)

    def serve(self, _: int, due_ns: int) -> Timed:
        sent_ns = self._machine.now_ns
        if sent_ns in self._stall:
            self._machine.now_ns = self._stall.stop
        self._machine.now_ns += MS
        return Timed(due_ns, sent_ns, self._machine.now_ns)


def test_no_request_is_sent_before_it_is_due() -> None:
    machine = Machine()
    requests = fire([5 * MS, 20 * MS], [Server(machine, 0, 0).serve], now_ns=machine.clock, sleep_s=machine.sleep)
    assert requests == [Timed(5 * MS, 5 * MS, 6 * MS), Timed(20 * MS, 20 * MS, 21 * MS)]


def test_a_stall_counts_for_every_request_that_was_due_in_it() -> None:
    machine = Machine()
    due = [number * 10 * MS for number in range(100)]
    stalled = Server(machine, 200 * MS, 500 * MS)
    requests = fire(due, [stalled.serve], now_ns=machine.clock, sleep_s=machine.sleep)

    corrected = latencies_from_due(requests, machine.now_ns)
    naive = latencies_from_send(requests, machine.now_ns)
    assert sum(latency > 100 * MS for latency in naive) == 1
    # 30 were due while the server stood still; those of the first 200 ms of it, and some behind them, waited so long.
    assert sum(latency > 100 * MS for latency in corrected) >= 20
    assert max(corrected) == max(naive) == 301 * MS
    assert max(send_delays(requests)) == 300 * MS - 10 * MS + MS


def test_what_was_never_answered_counts_as_long_as_it_was_watched() -> None:
    requests = [Timed(0, 2 * MS, None), Timed(10 * MS, 10 * MS, 13 * MS)]
    assert latencies_from_due(requests, 1_000 * MS) == [1_000 * MS, 3 * MS]
    assert latencies_from_send(requests, 1_000 * MS) == [998 * MS, 3 * MS]


def test_every_arrival_is_sent_exactly_once_whatever_the_number_of_senders() -> None:
    sent: list[int] = []

    def send(number: int, _: int) -> int:
        sent.append(number)
        return number

    assert fire([0] * 500, [send] * 7) == list(range(500))
    assert sorted(sent) == list(range(500))


def test_a_sender_that_fails_fails_the_whole_volley() -> None:
    def send(number: int, _: int) -> int:
        raise ValueError(f"request {number}")

    with pytest.raises(ValueError, match="request"):
        fire([0, 0], [send, send])
