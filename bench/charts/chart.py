"""What a chart shows, before it is drawn. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Chart(Struct, frozen=True, kw_only=True):
    """Series over the same places. `name` is part of the file's name.

    `kind`: grouped bars, bars that lie down (for long labels), or lines. A value of None is left out. `bar` is a
    target, drawn as a line across, with its words. `notes` stands below: what was measured, and on what.
    """

    name: str
    title: str
    unit: str
    places: list[str]
    series: dict[str, list[float | None]]
    kind: Literal["bars", "lying", "lines"] = "bars"
    logarithmic: bool = False
    bar: tuple[float, str] | None = None
    notes: str = ""
