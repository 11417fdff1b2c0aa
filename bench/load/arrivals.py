"""Open-loop arrivals: when each request is due, whatever becomes of the ones before it. Pure.

Users do not wait for each other, so neither do these requests: the times at which they are due are drawn before the
first one is sent. A request's latency counts from when it was *due*. Counted from when it was sent, a server that
stands still for a second would show one slow request, since the generator would stand still with it and leave out all
those that should have come meanwhile (coordinated omission).
Source: Gil Tene, "How NOT to Measure Latency"; wrk2, which corrects in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

_NS_PER_S = 1_000_000_000


class Timed(NamedTuple):
    """One request's three moments, in nanoseconds of the machine's monotonic clock. `done_ns` None: no good answer."""

    due_ns: int
    sent_ns: int
    done_ns: int | None


def due_offsets_ns(rate_per_s: float, duration_s: float, random: Random) -> list[int]:
    """When the requests of a span are due, from its beginning, in order: `rate * duration` of them, and at least one.

    They fall anywhere with equal chance, which is a Poisson process given its count: like real arrivals they come in
    clusters and with pauses, and they keep no step with anything periodic on the server's side.
    """
    count = max(1, round(rate_per_s * duration_s))
    span_ns = round(duration_s * _NS_PER_S)
    return sorted(random.randrange(span_ns) for _ in range(count))


def latencies_from_due(requests: Iterable[Timed], observed_until_ns: int) -> list[int]:
    """Latencies with the correction. One without an answer counts as long as it was watched: it is no fast one."""
    return [_until(request, observed_until_ns) - request.due_ns for request in requests]


def latencies_from_send(requests: Iterable[Timed], observed_until_ns: int) -> list[int]:
    """The same without the correction, to show how much it makes up."""
    return [_until(request, observed_until_ns) - request.sent_ns for request in requests]


def send_delays(requests: Iterable[Timed]) -> list[int]:
    """How late the generator itself was: large values mean that it, or the machine, was the bottleneck."""
    return [request.sent_ns - request.due_ns for request in requests]


def _until(request: Timed, observed_until_ns: int) -> int:
    return observed_until_ns if request.done_ns is None else request.done_ns
