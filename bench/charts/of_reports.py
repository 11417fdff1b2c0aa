"""Which charts each scenario has. Pure: reports in, charts out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..report import Report
from .chart import Chart

Figures = dict[str, Any]

_PERCENTILES = {"p50": "p50_ms", "p90": "p90_ms", "p99": "p99_ms", "p99.9": "p99_9_ms"}


def charts_of(report: Report) -> list[Chart]:
    """A scenario's charts; none for one that has none."""
    make = _CHARTS.get(report.scenario)
    return [] if make is None else make(report)


def _notes(report: Report) -> str:
    machine = report.machine
    commit = (report.commit or "no checkout")[:12]
    size = ", quick" if report.quick else ""
    server = report.versions.get("elasticsearch_server", "?")
    return (
        f"python -m leasehold.bench {report.scenario}{size}; commit {commit}, Elasticsearch {server}, "
        f"{machine.get('cpus')} processors ({machine.get('processor')}), {report.started_at}"
    )


def _raw(report: Report) -> list[Chart]:
    rows = report.figures["sweep"]
    return [
        Chart(
            name="sweep",
            title="Conditional writes past the scheduler",
            unit="documents/s",
            places=[f"{row['batch']} x {row['connections']}" for row in rows],
            series={"documents/s": [row["documents_per_s"] for row in rows]},
            bar=(report.targets[0].bar, "bar"),
            notes=_notes(report),
        )
    ]


def _claims(report: Report) -> list[Chart]:
    rows = report.figures["by_max"]
    places = [f"max = {row['max']}" for row in rows]
    notes = _notes(report)
    cpu = {
        "scheduler": "scheduler_cpu_us",
        "Elasticsearch": "elasticsearch_cpu_us",
        "Elasticsearch, raw": "raw_elasticsearch_cpu_us",
        "executors": "executors_cpu_us",
    }
    return [
        Chart(
            name="speed",
            title="Claims beside the raw limit of the same minute",
            unit="a second",
            places=places,
            series={
                "claims": [row["claims_per_s"] for row in rows],
                "raw conditional writes": [row["raw_per_s"] for row in rows],
            },
            notes=notes,
        ),
        Chart(
            name="cpu",
            title="Processor time of a claim",
            unit="microseconds",
            places=places,
            series={label: [row[name] for row in rows] for label, name in cpu.items()},
            logarithmic=True,
            notes=notes,
        ),
    ]


def _end_to_end(report: Report) -> list[Chart]:
    rows = report.figures["kinds"]
    bars = {target.name: target.bar for target in report.targets}
    return [
        Chart(
            name="speed",
            title="Started, claimed, completed and in history",
            unit="a second (three steps: steps)",
            places=[row["kind"].replace(", ", "\n") for row in rows],
            series={
                "measured": [row["per_s"] for row in rows],
                "target": [bars.get(row["kind"]) for row in rows],
            },
            notes=_notes(report),
        )
    ]


def _latency(report: Report) -> list[Chart]:
    series: dict[str, list[float | None]] = {}
    for rate in report.figures["rates"]:
        for label, name in (("start to claim", "start_to_claim"), ("commit floor", "commit_floor")):
            spread = rate[name] or {}
            series[f"{label}, {rate['rate_per_s']:.0f}/s"] = [spread.get(key) for key in _PERCENTILES.values()]
    return [
        Chart(
            name="start-to-claim",
            title="From a start being due to its step at a worker",
            unit="milliseconds",
            places=list(_PERCENTILES),
            series=series,
            logarithmic=True,
            notes=_notes(report),
        )
    ]


def _timers(report: Report) -> list[Chart]:
    spread = report.figures["lag"] or {}
    return [
        Chart(
            name="lag",
            title=f"From a timer being due to its step at an executor ({spread.get('count', 0):,} timers)",
            unit="milliseconds",
            places=list(_PERCENTILES),
            series={"lag": [spread.get(key) for key in _PERCENTILES.values()]},
            bar=(1_000.0, "bar for p99"),
            notes=_notes(report),
        )
    ]


def _backlog(report: Report) -> list[Chart]:
    rows = report.figures["backlogs"]
    sizes = sorted({row["waiting"] for row in rows})
    found = {(row["tenants"], row["waiting"]): row for row in rows}

    def chart(name: str, title: str, unit: str, figure: str, bar: tuple[float, str] | None = None) -> Chart:
        return Chart(
            name=name,
            title=title,
            unit=unit,
            places=[f"{size:,}" for size in sizes],
            series={
                f"{tenants:,} tenants": [found.get((tenants, size), {}).get(figure) for size in sizes]
                for tenants in dict.fromkeys(row["tenants"] for row in rows)
            },
            kind="lines",
            bar=bar,
            notes=_notes(report),
        )

    return [
        chart("speed", "Claims a second, by how many instances wait", "claims/s", "claims_per_s"),
        chart(
            "memory", "Memory of a replica, by how many instances wait", "MB", "resident_peak_mb", (400.0, "at most")
        ),
    ]


def _idle(report: Report) -> list[Chart]:
    rows = sorted(report.figures["requests"], key=lambda row: -row["per_minute"])
    return [
        Chart(
            name="requests",
            title="Requests to Elasticsearch with nothing due, all lanes together",
            unit="a minute",
            places=[row["request"].replace("workflow-", "")[:50] for row in rows],
            series={"requests": [row["per_minute"] for row in rows]},
            kind="lying",
            notes=_notes(report),
        )
    ]


def _herd(report: Report) -> list[Chart]:
    rows = report.figures["by_replicas"]
    names = {
        "lanes with an owner": "ours_claims_per_s",
        "search, then update": "search_claims_per_s",
        "Kibana's claimer, unthrottled": "kibana_claims_per_s",
    }
    return [
        Chart(
            name="speed",
            title="Claims a second from one backlog",
            unit="claims/s",
            places=[f"{row['replicas']}" for row in rows],
            series={label: [row[name] for row in rows] for label, name in names.items()},
            kind="lines",
            logarithmic=True,
            notes=f"by the number of replicas (nodes); {_notes(report)}",
        )
    ]


def _failover(report: Report) -> list[Chart]:
    trials = report.figures["trials"]
    return [
        Chart(
            name="gaps",
            title="The longest gap in claims when a replica ends",
            unit="seconds",
            places=[f"{trial['how']} {number}" for number, trial in enumerate(trials, 1)],
            series={"gap": [trial["gap_ms"] / 1_000 for trial in trials]},
            notes=_notes(report),
        )
    ]


def _machine(report: Report) -> list[Chart]:
    figures = report.figures
    pairs = {
        "after iterations of a loop": figures["event_in_loop_us"],
        "after attempts of a step": figures["event_with_retries_us"],
        "an item of a foreach": figures["item_us"],
    }
    return [
        Chart(
            name="cost",
            title="What an event costs when little and when much came before",
            unit="microseconds",
            places=list(pairs),
            series={"few": [few for few, _ in pairs.values()], "many": [many for _, many in pairs.values()]},
            notes=_notes(report),
        )
    ]


def _fairness(report: Report) -> list[Chart]:
    shares = report.figures["shares"]
    rows, windows = shares["by_weight"], shares["over_time"]
    sides = report.figures["neighbour"]["by_executors"]
    notes = _notes(report)
    return [
        Chart(
            name="shares",
            title="Shares of claims, by the tenant's weight",
            unit="shares of weight 1",
            places=[f"{row['weight']:g}" for row in rows],
            series={
                "expected": [row["weight"] for row in rows],
                "least in a window": [row["weight"] * row["least_share"] for row in rows],
                "mean": [row["weight"] * row["mean_share"] for row in rows],
                "greatest in a window": [row["weight"] * row["greatest_share"] for row in rows],
            },
            kind="lines",
            notes=notes,
        ),
        Chart(
            name="error",
            title="How far shares were off in windows of ten seconds, by when these begin",
            unit="percent of the share",
            places=[f"{row['from_s']:.0f} s" for row in windows],
            series={
                "largest of all tenants": [100 * row["max_error"] for row in windows],
                "mean": [100 * row["mean_error"] for row in windows],
            },
            kind="lines",
            bar=(5.0, "bar"),
            notes=notes,
        ),
        Chart(
            name="neighbour",
            title="From a start to its claim, p99, beside a tenant with a large backlog",
            unit="milliseconds",
            places=[f"{side['executors']} executors" for side in sides],
            series={
                "nobody else": [side["empty_p99_ms"] for side in sides],
                "a large tenant": [side["full_p99_ms"] for side in sides],
            },
            notes=notes,
        ),
    ]


def _history(report: Report) -> list[Chart]:
    rows = report.figures["pages"]
    found = {(row["search"], row["page"]): row["p95_ms"] for row in rows}
    kinds = list(dict.fromkeys(row["search"] for row in rows))
    pages = list(dict.fromkeys(row["page"] for row in rows))
    spans = report.figures["spans"]
    pairs = sorted({span["pair"] for span in spans})
    p99_ms = {(span["pair"], span["kind"]): span["p99_ms"] for span in spans}
    confirming = report.figures["confirming"]
    notes = _notes(report)
    return [
        Chart(
            name="pages",
            title=f"A page of 50 among {report.figures['seeded_instances']:,} finished instances, p95",
            unit="milliseconds",
            places=kinds,
            series={page: [found.get((kind, page)) for kind in kinds] for page in pages},
            kind="lying",
            bar=(report.targets[0].bar, "bar"),
            notes=notes,
        ),
        Chart(
            name="ageing",
            title="From a start to its claim, p99, while history ages",
            unit="milliseconds",
            places=[f"pair {pair}" for pair in pairs],
            series={kind: [p99_ms.get((pair, kind)) for pair in pairs] for kind in ("calm", "ageing")},
            notes=notes,
        ),
        Chart(
            name="confirmed",
            title=f"From a completion to its instance's row, at {confirming['rate_per_s']:,.0f} instances/s",
            unit="milliseconds",
            places=list(_PERCENTILES),
            series={
                label: [(confirming[name] or {}).get(key) for key in _PERCENTILES.values()]
                for label, name in (("confirmed", "readable"), ("found by a search", "searchable"))
            },
            notes=notes,
        ),
    ]


_CHARTS: dict[str, Callable[[Report], list[Chart]]] = {
    "raw": _raw,
    "claims": _claims,
    "end-to-end": _end_to_end,
    "latency": _latency,
    "timers": _timers,
    "backlog": _backlog,
    "idle": _idle,
    "herd": _herd,
    "failover": _failover,
    "machine": _machine,
    "fairness": _fairness,
    "history": _history,
}
