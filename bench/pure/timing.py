"""What applying events costs, in processor time of this process: what else runs on the machine does not count."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time_ns

from ...core.machine import advance
from .applying import apply_all
from .workloads import Workload


def cost_us(workload: Workload, *, events: int, rounds: int) -> float:
    """Microseconds an event of a run without children: the best of some rounds of about so many events each."""
    first, recorded, plan = workload.recording.first(workload.plan), workload.recording.events, workload.plan
    times = max(1, events // len(recorded))

    def work() -> None:
        for _ in range(times):
            instance = first
            for event in recorded:
                instance = advance(instance, plan, event).instance

    return _best_ns(work, rounds) / (times * len(recorded)) / 1_000


def foreach_cost_us(workload: Workload, *, items: int, events: int, rounds: int) -> float:
    """Microseconds an item, with what makes its shares and what gathers their results."""
    times = max(1, events // workload.events)

    def work() -> None:
        for _ in range(times):
            apply_all(workload.recording, workload.plan)

    return _best_ns(work, rounds) / (times * items) / 1_000


def _best_ns(work: Callable[[], None], rounds: int) -> int:
    """Whatever disturbs a round only makes it longer."""
    return min(_timed_ns(work) for _ in range(rounds))


def _timed_ns(work: Callable[[], None]) -> int:
    began_ns = process_time_ns()
    work()
    return process_time_ns() - began_ns
