"""What the ager may ask of Elasticsearch, one change each. All of them may be asked for again without harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...policies import PhaseName


@dataclass(frozen=True, slots=True)
class Roll:
    """Have an alias write to a new index if one of the conditions is met, which the server judges.

    The next index is named, so that of two agers only one rolls.
    """

    family: str
    index: str
    phase: PhaseName
    alias: str
    next_index: str
    conditions: Mapping[str, Any]
    action: str = "rollover"


@dataclass(frozen=True, slots=True)
class Settle:
    """Give an index these settings; None takes one away."""

    family: str
    index: str
    phase: PhaseName
    action: str
    settings: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Block:
    """Let an index take no more writes, and wait for those that are under way."""

    family: str
    index: str
    phase: PhaseName
    action: str = "readonly"


@dataclass(frozen=True, slots=True)
class Merge:
    """Begin to merge an index to at most so many segments. Takes seconds to hours, and is not waited for."""

    family: str
    index: str
    phase: PhaseName
    max_num_segments: int
    action: str = "forcemerge"


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete an index."""

    family: str
    index: str
    phase: PhaseName = "delete"
    action: str = "delete"


Step = Roll | Settle | Block | Merge | Remove
