"""Sends requests when they are due, from a fixed set of threads.

Each thread takes the next due time, sleeps until then, and sends. When all are still waiting for answers, the next
request is late; since latencies count from when requests were due, that lateness is measured, not hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import monotonic_ns, sleep
from typing import TypeVar

T = TypeVar("T")

Send = Callable[[int, int], T]
"""(number of the request, its due time in monotonic nanoseconds) -> what came of it. Called from one thread each."""


def fire(
    due_ns: Sequence[int],
    senders: Sequence[Send[T]],
    *,
    now_ns: Callable[[], int] = monotonic_ns,
    sleep_s: Callable[[float], None] = sleep,
) -> list[T]:
    """Send one request for each due time; answers what came of them, in order."""
    outcomes: list[T | None] = [None] * len(due_ns)
    # `next` on a count is atomic: each number goes to one thread.
    numbers = count()

    def run(send: Send[T]) -> None:
        while (number := next(numbers)) < len(due_ns):
            early_ns = due_ns[number] - now_ns()
            if early_ns > 0:
                sleep_s(early_ns / 1e9)
            outcomes[number] = send(number, due_ns[number])

    with ThreadPoolExecutor(len(senders)) as threads:
        for done in [threads.submit(run, send) for send in senders]:
            done.result()
    return [outcome for outcome in outcomes if outcome is not None]
