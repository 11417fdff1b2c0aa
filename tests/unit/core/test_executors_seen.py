"""Who asked for work lately (`core.operations.claiming.executors`)."""

from __future__ import annotations

from leasehold.core.operations.claiming.executors import SEEN_FOR_MS, Executors


class Clock:
    def __init__(self) -> None:
        self.at_ms = 1

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_ms(self) -> int:
        return self.at_ms


def test_workers_count_for_a_minute_after_they_asked_for_their_tenant_or_all() -> None:
    clock = Clock()
    executors = Executors(clock)
    executors.saw(("render", "http"), "acme", "w1")
    executors.saw(("render",), "*", "w2")
    executors.saw(("render",), "other", "w3")
    assert executors.of("render", ("acme", "*")) == ["w1", "w2"]
    assert executors.of("http", ("acme", "*")) == ["w1"]
    clock.at_ms += SEEN_FOR_MS
    executors.saw(("render",), "acme", "w4")
    assert executors.of("render", ("acme", "*")) == ["w1", "w2", "w4"]
    clock.at_ms += 1
    assert executors.of("render", ("acme", "*")) == ["w4"]


def test_what_is_remembered_is_bounded_and_the_oldest_go() -> None:
    executors = Executors(Clock())
    for n in range(300):
        executors.saw(("render",), "acme", f"w{n}")
    found = executors.of("render", ("acme",))
    assert len(found) == 100
    assert "w299" in found
    for n in range(10_001):
        executors.saw((f"c{n}",), "acme", "w")
    assert executors.of("render", ("acme",)) == []
