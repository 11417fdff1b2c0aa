"""What a run leaves behind: each report as a JSON file, and its charts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .charts import charts_of
from .report import Report, as_json


def keep(report: Report, folder: Path) -> list[Path]:
    """Write `<scenario>.json` and `<scenario>-<chart>.svg`, over those of an earlier run. Returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.scenario}.json"
    path.write_bytes(msgspec.json.format(as_json(report), indent=2) + b"\n")
    return [path, *_draw(report, folder)]


def _draw(report: Report, folder: Path) -> list[Path]:
    charts = charts_of(report)
    if not charts:
        return []
    # Half a second to import, and large.
    from .charts.drawing import draw

    paths = []
    for chart in charts:
        path = folder / f"{report.scenario}-{chart.name}.svg"
        draw(chart, path)
        paths.append(path)
    return paths
