"""A scenario's outcome, with all that is needed to judge it, as one JSON object."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


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


def no_more_than(name: str, value: float | None, bar: float, unit: str) -> Target:
    """Met by a value up to the bar, the bar itself included."""
    return Target(name, value, bar, unit, value is not None and value <= bar)


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
