"""A report for people: the targets, every figure, and a table for figures that are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from .report import Report

Rows = list[dict[str, Any]]


def print_report(report: Report, console: Console) -> None:
    """Print the whole report."""
    console.print(f"[bold]{report.scenario}[/]: {report.question}")
    figures: dict[str, Any] = {}
    tables: dict[str, Rows] = {}
    arrange(report.figures, "", figures, tables)
    for name, rows in tables.items():
        _print_rows(name, rows, console)
    _print_rows("figures", [{"figure": name, "value": value} for name, value in figures.items()], console)
    targets = [
        {"target": target.name, "value": target.value, "bar": target.bar, "unit": target.unit, "met": target.met}
        for target in report.targets
    ]
    _print_rows("targets", targets, console)
    wrong = ", ".join(f"{count} {name}" for name, count in report.wrong.items())
    console.print(f"correct: {'yes' if report.correct else '[red]no[/]'} ({wrong})")
    console.print(
        f"commit {report.commit}, Elasticsearch {report.versions['elasticsearch_server']}, seed {report.seed}"
    )


def arrange(found: Any, path: str, figures: dict[str, Any], tables: dict[str, Rows]) -> None:
    """Sort what stands under `path` into single figures and tables of figures that are alike.

    Alike are the entries of a list, and two or more entries of a mapping that have the same figures.
    """
    if isinstance(found, list):
        if _flat(found):
            tables[path] = found
        else:
            for position, inner in enumerate(found):
                arrange(inner, f"{path}[{position}]", figures, tables)
    elif isinstance(found, Mapping):
        alike = _alike(found)
        if alike:
            tables[path] = [{"": name, **found[name]} for name in alike]
        for name in (name for name in found if name not in alike):
            arrange(found[name], f"{path}.{name}" if path else name, figures, tables)
    else:
        figures[path] = found


def _alike(found: Mapping[str, Any]) -> list[str]:
    """The names of a mapping's entries that are mappings with the same keys; the first such group, if any."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, inner in found.items():
        if isinstance(inner, Mapping) and _flat([inner]):
            groups.setdefault(tuple(inner), []).append(name)
    return next((names for names in groups.values() if len(names) > 1), [])


def _flat(rows: list[Any]) -> bool:
    """Whether these are mappings of single figures."""
    return bool(rows) and all(
        isinstance(row, Mapping) and not any(isinstance(cell, Mapping | list) for cell in row.values()) for row in rows
    )


def _print_rows(name: str, rows: Rows, console: Console) -> None:
    if not rows:
        return
    console.print(f"\n{name}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    console.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "[green]yes[/]" if value else "[red]no[/]"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
