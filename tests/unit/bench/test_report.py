"""The shape of a report, and its targets."""

from __future__ import annotations

import json

import pytest
from leasehold.bench.report import Report, Target, as_json, at_least, at_most


def report() -> Report:
    return Report(
        scenario="latency",
        question="How long?",
        quick=True,
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=1.5,
        correct=False,
        wrong={"lost": 1, "doubled": 0},
        targets=[at_most("p50", 4.0, 8.0, "ms"), at_least("writes", None, 50_000, "documents/s")],
        figures={"rates": [{"rate_per_s": 20.0, "rounds": [{"p50_ms": 1.5}, {"p50_ms": 2.5}]}], "plain": 3},
        settings={"rates": [20.0]},
        commit=None,
        versions={"python": "3.11", "elasticsearch_server": "8.19.8"},
        machine={"cpus": 2},
        seed=7,
    )


def test_a_report_is_one_line_of_json_with_figures_and_targets() -> None:
    written = as_json(report())
    assert written.endswith(b"}\n")
    assert written.count(b"\n") == 1
    read = json.loads(written)
    assert read["targets"] == [
        {"name": "p50", "value": 4.0, "bar": 8.0, "unit": "ms", "met": True},
        {"name": "writes", "value": None, "bar": 50_000, "unit": "documents/s", "met": False},
    ]
    assert {"commit", "versions", "settings", "machine", "seed", "figures", "correct"} <= read.keys()


@pytest.mark.parametrize(("value", "met"), [(7.999, True), (8.0, False), (None, False)])
def test_a_time_has_to_stay_below_its_bar(value: float | None, met: bool) -> None:
    assert at_most("p50", value, 8.0, "ms") == Target("p50", value, 8.0, "ms", met)


@pytest.mark.parametrize(("value", "met"), [(49_999.0, False), (50_000.0, True), (None, False)])
def test_a_throughput_has_to_reach_its_bar(value: float | None, met: bool) -> None:
    assert at_least("writes", value, 50_000, "1/s").met is met
