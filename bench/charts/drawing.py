"""Draws charts as SVG, with matplotlib. Text stays text, so that files are small and can be searched."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .chart import Chart

_INCHES = (8.0, 4.5)
_BAR_SHARE = 0.8


def draw(chart: Chart, path: Path) -> None:
    """Write the chart to an SVG file. The same chart gives the same bytes."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "leasehold", "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(chart.title)
        _series(chart, axes)
        if chart.bar is not None:
            across = axes.axvline if chart.kind == "lying" else axes.axhline
            across(chart.bar[0], color="black", linestyle="--", linewidth=1, label=chart.bar[1])
        if len(chart.series) > 1 or chart.bar is not None:
            axes.legend()
        if chart.notes:
            figure.supxlabel(chart.notes, fontsize=7.0)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _series(chart: Chart, axes: Axes) -> None:
    places = range(len(chart.places))
    width = _BAR_SHARE / max(1, len(chart.series))
    for number, (name, values) in enumerate(chart.series.items()):
        shown = [float("nan") if value is None else value for value in values]
        shifted = [place + (number - (len(chart.series) - 1) / 2) * width for place in places]
        if chart.kind == "lines":
            axes.plot(list(places), shown, marker="o", label=name)
        elif chart.kind == "lying":
            axes.barh(shifted, shown, width, label=name)
        else:
            axes.bar_label(axes.bar(shifted, shown, width, label=name), fmt="{:,.4g}", fontsize=7, padding=2)
    if chart.kind == "lying":
        axes.set_yticks(list(places), chart.places)
        axes.invert_yaxis()
        axes.set_xlabel(chart.unit)
        axes.set_xscale("log" if chart.logarithmic else "linear")
    else:
        axes.set_xticks(list(places), chart.places)
        axes.set_ylabel(chart.unit)
        axes.set_yscale("log" if chart.logarithmic else "linear")
        if not chart.logarithmic:
            axes.set_ylim(bottom=0)
