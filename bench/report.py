"""A scenario's outcome as one JSON object, and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table


class Target(Struct, frozen=True):
    """A figure and its bar. `value` is None when there was nothing to measure, which meets no bar."""

    name: str
    value: float | None
    bar: float
    unit: str
    met: bool


def at_most(name: str, value: float | None, bar: float, unit: str) -> Target:
    """Met by a value below the bar."""
    return Target(name, value, bar, unit, value is not None and value < bar)


def at_least(name: str, value: float | None, bar: float, unit: str) -> Target:
    """Met by a value that reaches the bar."""
    return Target(name, value, bar, unit, value is not None and value >= bar)


class Outcome(Struct, frozen=True):
    """What a scenario found. `wrong` counts what must never happen (claims lost, doubled, ...): all zero is correct."""

    figures: dict[str, Any]
    targets: list[Target]
    wrong: dict[str, int]
    settings: dict[str, Any]


class Report(Struct, frozen=True):
    """An outcome with all that is needed to judge it, and to run it again.

    `commit` is None outside a checkout and ends in `+changes` where files differ from it. `machine` says what else
    shared the processors. `seed` draws the arrival times.
    """

    scenario: str
    question: str
    quick: bool
    started_at: str
    duration_s: float
    correct: bool
    wrong: dict[str, int]
    targets: list[Target]
    figures: dict[str, Any]
    settings: dict[str, Any]
    commit: str | None
    versions: dict[str, str]
    machine: dict[str, Any]
    seed: int


def as_json(report: Report) -> bytes:
    """One line of JSON, with its line feed."""
    return msgspec.json.encode(report) + b"\n"


def print_table(report: Report, console: Console) -> None:
    """The targets, then every figure, for people."""
    console.print(f"[bold]{report.scenario}[/]: {report.question}")
    targets = Table("target", "value", "bar", "unit", "met")
    for target in report.targets:
        met = "[green]yes[/]" if target.met else "[red]no[/]"
        targets.add_row(target.name, _shown(target.value), _shown(target.bar), target.unit, met)
    console.print(targets)
    figures = Table("figure", "value")
    for name, value in _plain(report.figures):
        figures.add_row(name, _shown(value))
    console.print(figures)
    for name, rows in _listed(report.figures):
        console.print(name)
        table = Table(*rows[0])
        for row in rows:
            table.add_row(*(_shown(value) for value in row.values()))
        console.print(table)
    wrong = ", ".join(f"{count} {name}" for name, count in report.wrong.items())
    console.print(f"correct: {'yes' if report.correct else '[red]no[/]'} ({wrong})")
    console.print(
        f"commit {report.commit}, Elasticsearch {report.versions.get('elasticsearch_server')}, seed {report.seed}"
    )


def _plain(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every single figure with its path; lists of like figures are left to `_listed`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _plain(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and not _is_table(value):
        for position, inner in enumerate(value):
            yield from _plain(inner, f"{path}[{position}]")
    elif not isinstance(value, list):
        yield path, value


def _listed(value: Any, path: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every list of like figures, which makes a table of its own."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _listed(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and _is_table(value):
        yield path, value
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _listed(inner, f"{path}[{position}]")


def _is_table(values: list[Any]) -> bool:
    return bool(values) and all(
        isinstance(row, Mapping) and not any(isinstance(cell, Mapping | list) for cell in row.values())
        for row in values
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
