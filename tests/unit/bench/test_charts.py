"""Charts show what reports hold, and are drawn as SVG that can be searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from leasehold.bench.charts import Chart, charts_of
from leasehold.bench.charts.drawing import draw
from leasehold.bench.report import Report, Target
from leasehold.bench.results import keep
from leasehold.bench.scenarios import SCENARIOS

SPREAD = {"count": 9, "mean_ms": 1.0, "p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0, "p99_9_ms": 4.0, "max_ms": 5.0}
CPU = ("scheduler_cpu_us", "elasticsearch_cpu_us", "raw_elasticsearch_cpu_us", "executors_cpu_us")
FIGURES: dict[str, dict[str, Any]] = {
    "raw": {"sweep": [{"batch": 500, "connections": 2, "documents_per_s": 60_000}]},
    "claims": {"by_max": [{"max": 100, "claims_per_s": 30_000, "raw_per_s": 60_000, **dict.fromkeys(CPU, 7.0)}]},
    "end-to-end": {"kinds": [{"kind": "one step, batches of 100", "per_s": 5_000}]},
    "timers": {"lag": SPREAD},
    "latency": {"rates": [{"rate_per_s": 20.0, "start_to_claim": SPREAD, "commit_floor": None}]},
    "backlog": {
        "backlogs": [
            {"waiting": waiting, "tenants": tenants, "claims_per_s": 9_000, "resident_peak_mb": 300.0}
            for waiting, tenants in ((10_000, 10), (1_000_000, 10), (10_000, 10_000))
        ]
    },
    "idle": {"requests": [{"request": "POST workflow-control/_bulk", "per_minute": 24.0}]},
    "herd": {
        "by_replicas": [
            {"replicas": 1, "ours_claims_per_s": 9.0, "search_claims_per_s": 2.0, "kibana_claims_per_s": 1.0}
        ]
    },
    "failover": {"trials": [{"how": "SIGTERM", "gap_ms": 400.0}]},
    "fairness": {
        "shares": {
            "by_weight": [{"weight": 2.0, "mean_share": 1.01, "least_share": 0.97, "greatest_share": 1.04}],
            "over_time": [{"from_s": 10.0, "max_error": 0.04, "mean_error": 0.01}],
        },
        "neighbour": {"by_executors": [{"executors": "own", "empty_p99_ms": 12.0, "full_p99_ms": 13.0}]},
    },
    "history": {
        "seeded_instances": 1_000_000,
        "pages": [{"search": "failed", "page": page, "p95_ms": 20.0} for page in ("first", "following")],
        "spans": [{"pair": 1, "kind": kind, "p99_ms": 12.0} for kind in ("calm", "ageing")],
        "confirming": {"rate_per_s": 700.0, "readable": SPREAD, "searchable": None},
    },
    "machine": {"event_in_loop_us": [9.0, 9.5], "event_with_retries_us": [7.0, 6.0], "item_us": [50.0, 40.0]},
}


def report(scenario: str) -> Report:
    return Report(
        scenario=scenario,
        question="?",
        quick=True,
        started_at="2030-01-01T00:00:00+00:00",
        duration_s=1.0,
        correct=True,
        wrong={},
        targets=[Target("one step, batches of 100", 5_000, 4_000, "instances/s", True)],
        figures=FIGURES[scenario],
        settings={},
        commit="abc",
        versions={"elasticsearch_server": "8.19.8"},
        machine={"cpus": 2, "processor": "any"},
        seed=1,
    )


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_every_scenario_has_charts_whose_series_have_a_value_for_each_place(scenario: str) -> None:
    charts = charts_of(report(scenario))
    assert charts
    assert len({chart.name for chart in charts}) == len(charts)
    for chart in charts:
        assert chart.places
        assert all(len(values) == len(chart.places) for values in chart.series.values())
        assert any(value is not None for values in chart.series.values() for value in values)
        assert scenario in chart.notes


def test_a_backlog_that_was_not_measured_leaves_a_hole() -> None:
    speed, memory = charts_of(report("backlog"))
    assert speed.places == ["10,000", "1,000,000"]
    assert speed.series == {"10 tenants": [9_000, 9_000], "10,000 tenants": [9_000, None]}
    assert memory.bar == (400.0, "at most")


def test_shares_are_drawn_in_shares_of_weight_1_and_errors_in_percent() -> None:
    shares, error, _ = charts_of(report("fairness"))
    assert shares.series["expected"] == [2.0]
    assert shares.series["least in a window"] == [1.94]
    assert error.series["largest of all tenants"] == [4.0]
    assert error.bar == (5.0, "bar")


@pytest.mark.parametrize("kind", ["bars", "lying", "lines"])
def test_a_chart_is_drawn_with_its_words_as_text_and_always_alike(tmp_path: Path, kind: Any) -> None:
    chart = Chart(
        name="n",
        title="What it shows",
        unit="things/s",
        places=["here", "there"],
        series={"ours": [1.0, None], "theirs": [3.0, 4.0]},
        kind=kind,
        bar=(2.0, "the bar"),
        notes="measured yesterday",
    )
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        draw(chart, path)
    svg = paths[0].read_text()
    for words in ("What it shows", "things/s", "here", "there", "ours", "theirs", "the bar", "measured yesterday"):
        assert words in svg
    assert svg == paths[1].read_text()


def test_a_report_is_kept_as_json_beside_its_charts(tmp_path: Path) -> None:
    kept = keep(report("claims"), tmp_path / "results")
    assert [path.name for path in kept] == ["claims.json", "claims-speed.svg", "claims-cpu.svg"]
    assert msgspec.json.decode(kept[0].read_bytes(), type=Report) == report("claims")
