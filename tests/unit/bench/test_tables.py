"""A report for people."""

from __future__ import annotations

import io
from typing import Any

from leasehold.bench.tables import Rows, arrange, print_report
from rich.console import Console

from tests.unit.bench.test_report import report


def arranged(found: Any) -> tuple[dict[str, Any], dict[str, Rows]]:
    figures: dict[str, Any] = {}
    tables: dict[str, Rows] = {}
    arrange(found, "", figures, tables)
    return figures, tables


def test_single_figures_are_named_by_their_path() -> None:
    assert arranged({"a": 1, "b": {"c": 2.5, "d": None}}) == ({"a": 1, "b.c": 2.5, "b.d": None}, {})


def test_a_list_of_figures_is_a_table() -> None:
    rows = [{"p50_ms": 1.5}, {"p50_ms": 2.5}]
    assert arranged({"rounds": rows, "rate": 20}) == ({"rate": 20}, {"rounds": rows})


def test_entries_with_the_same_figures_are_a_table_with_their_names() -> None:
    found = {"claim": {"p50_ms": 1, "p99_ms": 2}, "floor": {"p50_ms": 3, "p99_ms": 4}, "other": {"n": 5}}
    assert arranged([{"deep": found}]) == (
        {"[0].deep.other.n": 5},
        {"[0].deep": [{"": "claim", "p50_ms": 1, "p99_ms": 2}, {"": "floor", "p50_ms": 3, "p99_ms": 4}]},
    )


def test_nothing_is_left_out() -> None:
    found = {"a": {"x": 1}, "b": {"y": 2}, "c": {"x": 3}, "d": [], "e": [{"z": {"w": 4}}, {"z": {"w": 5}}]}
    figures, tables = arranged(found)
    values = [*figures.values(), *(cell for rows in tables.values() for row in rows for cell in row.values())]
    assert {1, 2, 3, 4, 5} <= {value for value in values if isinstance(value, int)}


def test_a_printed_report_shows_targets_figures_tables_and_what_went_wrong() -> None:
    written = io.StringIO()
    print_report(report(), Console(file=written, width=100))
    shown = written.getvalue()
    for words in ("rates[0].rate_per_s", "rates[0].rounds", "2.500", "1 lost, 0 doubled", "documents/s", "seed 7"):
        assert words in shown
