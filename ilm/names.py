"""The names of all indices: a fixed number of them, however many definitions and tenants there are."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERED = re.compile(r"(?P<alias>.+)-(?P<number>[0-9]{6,})")


@dataclass(frozen=True, slots=True)
class IndexNames:
    """Every index of one installation, under its prefix (`workflow` gives `workflow-lane-00`).

    `steps`, `instances`, `events` and `audit` are aliases: writes go to the newest concrete index behind each
    (`workflow-steps-000001` is the first), searches to all of them.
    """

    prefix: str = "workflow"

    def lane(self, lane: str) -> str:
        """The index of a lane, by the lane's name (`00`)."""
        return f"{self.prefix}-lane-{lane}"

    @property
    def control(self) -> str:
        return f"{self.prefix}-control"

    @property
    def definitions(self) -> str:
        return f"{self.prefix}-definitions"

    @property
    def tenants(self) -> str:
        return f"{self.prefix}-tenants"

    @property
    def keys(self) -> str:
        return f"{self.prefix}-keys"

    @property
    def usage(self) -> str:
        return f"{self.prefix}-usage"

    @property
    def steps(self) -> str:
        return f"{self.prefix}-steps"

    @property
    def instances(self) -> str:
        return f"{self.prefix}-instances"

    @property
    def events(self) -> str:
        return f"{self.prefix}-events"

    @property
    def audit(self) -> str:
        return f"{self.prefix}-audit"

    def first(self, alias: str) -> str:
        """The first concrete index behind a rolled alias."""
        return self.numbered(alias, 1)

    def rolled(self, family: str) -> str:
        """The alias of a rolled family (`steps`)."""
        return f"{self.prefix}-{family}"

    def numbered(self, alias: str, number: int) -> str:
        """The concrete index of that number behind a rolled alias."""
        return f"{alias}-{number:06d}"

    def number_of(self, alias: str, index: str) -> int | None:
        """Which one a concrete index is behind a rolled alias; None for an index that is named otherwise."""
        match = _NUMBERED.fullmatch(index)
        return int(match["number"]) if match is not None and match["alias"] == alias else None


def lane_names(count: int) -> list[str]:
    """The names of the lanes of a new installation: `00`, `01`, ..."""
    return [f"{number:02d}" for number in range(count)]
