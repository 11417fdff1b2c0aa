"""The actions that are settings of an index: what they give, and what of it an index lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROUTING = "index.routing.allocation"


def priority(set_priority: Mapping[str, Any]) -> dict[str, str | None]:
    """`set_priority`: which indices are recovered first. `priority: null` takes the setting away."""
    if "priority" not in set_priority:
        return {}
    wanted = set_priority["priority"]
    return {"index.priority": None if wanted is None else str(wanted)}


def allocation(allocate: Mapping[str, Any]) -> dict[str, str | None]:
    """`allocate`: how many copies, and on which nodes.

    Leasehold's templates let the number of copies follow the number of nodes; where a policy names it, that has to end,
    or Elasticsearch would change it back at once.
    """
    wanted: dict[str, str | None] = {}
    if "number_of_replicas" in allocate:
        wanted["index.auto_expand_replicas"] = "false"
        wanted["index.number_of_replicas"] = str(allocate["number_of_replicas"])
    if "total_shards_per_node" in allocate:
        wanted[f"{_ROUTING}.total_shards_per_node"] = str(allocate["total_shards_per_node"])
    for kind in ("include", "exclude", "require"):
        for attribute, value in (allocate.get(kind) or {}).items():
            wanted[f"{_ROUTING}.{kind}.{attribute}"] = str(value)
    return wanted


def missing(settings: Mapping[str, str], wanted: Mapping[str, str | None]) -> dict[str, str | None]:
    """What of the wanted settings is not there."""
    return {name: value for name, value in wanted.items() if settings.get(name) != value}
