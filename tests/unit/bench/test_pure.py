"""The machine by itself: what the benchmark records, applies and counts. No test here asserts a speed."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.bench.pure import chain, cost_us, decisions, fan_out, foreach_bytes, foreach_cost_us, loop, retried
from leasehold.bench.pure.applying import apply_all
from leasehold.bench.scenarios import SCENARIOS
from leasehold.core.replay import replay


def test_the_runs_are_what_the_targets_speak_of() -> None:
    assert len(chain().plan.steps) == 10
    assert chain().events == 1 + 2 * 10
    # The start; a claim and a completion an iteration.
    assert loop(50).events == 1 + 2 * 50
    # A claim, ten heartbeats and an end an attempt, and a timer for all but the first; the nine steps after it.
    assert retried(7).events == 1 + 7 * 12 + 6 + 2 * 9
    # The step before; a start, two events an item and an end for each of two shares.
    assert fan_out(20).events == 1 + 2 + 2 * 20 + 2 + 2


@pytest.mark.parametrize("workload", [chain(), loop(5), retried(3), fan_out(20)])
def test_what_is_timed_comes_to_the_recorded_end(workload: Any) -> None:
    assert replay(workload.recording, workload.plan).same
    assert apply_all(workload.recording, workload.plan) == workload.recording.instance


def test_costs_are_of_one_event_and_of_one_item() -> None:
    assert 0 < cost_us(chain(), events=100, rounds=1) < 1e6
    assert 0 < foreach_cost_us(fan_out(3), items=3, events=100, rounds=1) < 1e6


def test_an_item_of_many_is_written_with_few_more_bytes_than_one_of_few() -> None:
    assert foreach_bytes(fan_out(640)) / 640 <= 3 * foreach_bytes(fan_out(10)) / 10


def test_deciding_is_measured_by_the_entry_with_all_tenants_and_with_half_of_them() -> None:
    found = decisions(tenants=20, each=3, lanes=2, taken=40, rounds=1)
    assert all(0 < us < 1e6 for us in (found.pop_us, found.push_and_pop_us, found.half_blocked_us, found.refused_us))


def test_the_scenario_needs_no_cluster() -> None:
    assert [name for name, scenario in SCENARIOS.items() if scenario.alone] == ["machine"]
