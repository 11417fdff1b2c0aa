"""Elastic's actions: what parameters each has. In which phases it may stand is said by `model.ALLOWED`.

The names, types, bounds and defaults are those of Elasticsearch 8.19: each action's class in
org.elasticsearch.xpack.core.ilm, named in the table below, and what its constructor checks. A parameter that only newer
releases know is unknown here: a policy that is valid here is valid on every server that Leasehold supports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .kinds import ATTRIBUTES, FLAG, NAME, Kind, duration, one_of, or_null, size, whole
from .units import LONG_MAX, is_told_exactly, is_told_wholly

ABSENT: Any = object()
"""The default of a parameter that is simply not there when nobody gives it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an action. `default` is what Elasticsearch fills in, and shows when it is asked for the policy."""

    kind: Kind
    required: bool = False
    default: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Action:
    """An action with its parameters. `fault` says what is wrong with parameters that are each fine, or None."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    fault: Callable[[Mapping[str, Any]], str | None] = lambda _: None


def _rollover_fault(read: Mapping[str, Any]) -> str | None:
    if any(name.startswith("max_") for name in read):
        return None
    return (
        "no condition says when to roll over; give at least one of `max_age`, `max_primary_shard_size`, "
        "`max_primary_shard_docs`, `max_docs` or `max_size`"
    )


def _shrink_fault(read: Mapping[str, Any]) -> str | None:
    if ("number_of_shards" in read) == ("max_primary_shard_size" in read):
        found = "both are there" if "number_of_shards" in read else "neither is there"
        return f"give either `number_of_shards` or `max_primary_shard_size`; {found}"
    if not is_told_exactly(read.get("max_primary_shard_size", 0)):
        return (
            "`max_primary_shard_size` would be cut down, since Elasticsearch keeps one decimal of it (of 1500mb "
            "1.4gb); give a whole number of the largest unit, such as 2gb"
        )
    return None


def _snapshot_fault(read: Mapping[str, Any]) -> str | None:
    # It would write 36h as 1.5d, and refuse that when it reads its own cluster state.
    if not is_told_wholly(read.get("replicate_for", 0)):
        return (
            "`replicate_for` can't be kept by Elasticsearch, which makes a fraction of it (of 36h 1.5d); give a whole "
            "number of the largest unit, such as 2d"
        )
    return None


def _allocate_fault(read: Mapping[str, Any]) -> str | None:
    if (
        any(read.get(name) for name in ALLOCATION_RULES)
        or "number_of_replicas" in read
        or "total_shards_per_node" in read
    ):
        return None
    return (
        "says nothing; give `number_of_replicas`, `total_shards_per_node`, or an attribute under `include`, `exclude` "
        "or `require`"
    )


ALLOCATION_RULES = ("include", "exclude", "require")

_DOCS = Parameter(whole(1, LONG_MAX))
_DOCS_OR_NONE = Parameter(whole(0, LONG_MAX))
_RULES = Parameter(ATTRIBUTES, default={})

ACTIONS: Mapping[str, Action] = {
    # AllocateAction
    "allocate": Action(
        {
            "number_of_replicas": Parameter(whole()),
            "total_shards_per_node": Parameter(whole(-1)),
            "include": _RULES,
            "exclude": _RULES,
            "require": _RULES,
        },
        _allocate_fault,
    ),
    # DeleteAction
    "delete": Action({"delete_searchable_snapshot": Parameter(FLAG, default=True)}),
    # DownsampleAction. Elasticsearch skips it for an index that is no time series, as none of ours is.
    "downsample": Action(
        {
            "fixed_interval": Parameter(duration(1), required=True),
            "wait_timeout": Parameter(duration(), default=86_400_000),
        }
    ),
    # ForceMergeAction, CodecService.BEST_COMPRESSION_CODEC
    "forcemerge": Action(
        {
            "max_num_segments": Parameter(whole(1), required=True),
            "index_codec": Parameter(one_of("best_compression")),
        }
    ),
    # FreezeAction: does nothing any more, and is still allowed.
    "freeze": Action(),
    # MigrateAction
    "migrate": Action({"enabled": Parameter(FLAG, default=True)}),
    # ReadOnlyAction
    "readonly": Action(),
    # RolloverAction, RolloverConditions
    "rollover": Action(
        {
            "max_age": Parameter(duration(1)),
            "max_docs": _DOCS,
            "max_size": Parameter(size(1)),
            "max_primary_shard_size": Parameter(size(1)),
            "max_primary_shard_docs": _DOCS,
            "min_age": Parameter(duration()),
            "min_docs": _DOCS_OR_NONE,
            "min_size": Parameter(size()),
            "min_primary_shard_size": Parameter(size()),
            "min_primary_shard_docs": _DOCS_OR_NONE,
        },
        _rollover_fault,
    ),
    # SearchableSnapshotAction
    "searchable_snapshot": Action(
        {
            "snapshot_repository": Parameter(NAME, required=True),
            "force_merge_index": Parameter(FLAG, default=True),
            "total_shards_per_node": Parameter(whole(1)),
            "replicate_for": Parameter(duration(1)),
        },
        _snapshot_fault,
    ),
    # SetPriorityAction
    "set_priority": Action({"priority": Parameter(or_null(whole()), required=True)}),
    # ShrinkAction
    "shrink": Action(
        {
            "number_of_shards": Parameter(whole(1)),
            "max_primary_shard_size": Parameter(size(1)),
            "allow_write_after_shrink": Parameter(FLAG, default=False),
        },
        _shrink_fault,
    ),
    # UnfollowAction
    "unfollow": Action(),
    # WaitForSnapshotAction
    "wait_for_snapshot": Action({"policy": Parameter(NAME, required=True)}),
}
