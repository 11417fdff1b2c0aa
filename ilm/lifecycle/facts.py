"""What is known of the rolled indices: read from a few answers of Elasticsearch, without any request.

An index is ours when it stands behind the family's alias and is named as roll-over names it. Whatever else bears such a
name (a restored copy, say) or stands behind the alias is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..names import IndexNames

Settings = Mapping[str, str]
"""The settings of an index, flat: `index.priority` and so on, all values text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """One concrete index.

    `rolled_at_ms`: when its alias rolled over from it, by the master's clock; None while it never did. `segments`: the
    most that any copy has that is started; None where none is. `merging`: a force-merge of it is under way.
    """

    index: str
    number: int
    is_write_index: bool
    created_at_ms: int
    rolled_at_ms: int | None = None
    closed: bool = False
    settings: Settings
    segments: int | None = None
    docs: int = 0
    bytes: int = 0
    merging: bool = False

    @property
    def shards(self) -> int:
        return int(self.settings.get("index.number_of_shards", 1))

    @property
    def blocks(self) -> list[str]:
        """The settings of blocks that refuse changes of the index, which none of the policies' actions sets."""
        blocks = ("index.blocks.read_only", "index.blocks.metadata", "index.blocks.read_only_allow_delete")
        return [block for block in blocks if self.settings.get(block) == "true"]


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """The indices of one family, the oldest first. `highest` is the highest number that any index bears, ours or not.

    `foreign` are indices behind the alias that are named otherwise: those that ILM has mounted from a snapshot or
    shrunk, or somebody else's.
    """

    family: str
    alias: str
    indices: tuple[IndexFacts, ...]
    highest: int
    foreign: tuple[IndexFacts, ...] = ()

    @property
    def write_index(self) -> IndexFacts | None:
        """The index that the alias says it writes to; None where it says none, or one that is not ours."""
        return next((index for index in self.indices if index.is_write_index), None)


def facts_of(
    names: IndexNames, families: Iterable[str], aliases: Any, metadata: Any, stats: Any, merging: frozenset[str]
) -> dict[str, FamilyFacts]:
    """What these answers say, by family.

    They are to `GET .../_alias`, read before `GET /_cluster/state/metadata` (so that an index that is no longer written
    to has its roll-over in the second), and `GET .../_stats/docs,store,segments?level=shards`.
    """
    return {family: _family(names, family, aliases, metadata, stats, merging) for family in families}


def _family(
    names: IndexNames, family: str, aliases: Any, metadata: Any, stats: Any, merging: frozenset[str]
) -> FamilyFacts:
    alias = names.rolled(family)
    ours: list[IndexFacts] = []
    foreign: list[IndexFacts] = []
    highest = 0
    for index, entry in metadata.items():
        number = names.number_of(alias, index)
        highest = max(highest, number or 0)
        behind = aliases.get(index, {}).get("aliases", {}).get(alias)
        # An index that came to the alias, or went, between the two answers is looked at the next time.
        if behind is not None and alias in entry.get("aliases", ()):
            writes = behind.get("is_write_index") is True
            facts = _index(alias, index, number or 0, writes, entry, stats.get(index, {}), index in merging)
            (foreign if number is None else ours).append(facts)
    ours.sort(key=lambda facts: facts.number)
    foreign.sort(key=lambda facts: facts.index)
    return FamilyFacts(family, alias, tuple(ours), highest, tuple(foreign))


def _index(
    alias: str, index: str, number: int, writes: bool, entry: Mapping[str, Any], stats: Any, merging: bool
) -> IndexFacts:
    settings: Settings = entry["settings"]
    rolled = entry.get("rollover_info", {}).get(alias)
    primaries = stats.get("primaries", {})
    return IndexFacts(
        index=index,
        number=number,
        is_write_index=writes,
        created_at_ms=int(settings["index.creation_date"]),
        rolled_at_ms=None if rolled is None else int(rolled["time"]),
        closed=entry.get("state") == "close",
        settings=settings,
        segments=_segments(stats.get("shards", {})),
        docs=primaries.get("docs", {}).get("count", 0),
        bytes=primaries.get("store", {}).get("size_in_bytes", 0),
        merging=merging,
    )


def _segments(shards: Mapping[str, Any]) -> int | None:
    counts = [copy["segments"]["count"] for copies in shards.values() for copy in copies if "segments" in copy]
    return max(counts, default=None)
