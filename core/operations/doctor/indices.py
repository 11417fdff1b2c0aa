"""Are all indices there, whole, and ready to be written? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from .cluster import ClusterFacts, IndexFacts
from .found import Asked, Found, Repair, listed

# Elasticsearch lifts its block by itself below the high watermark, 90 % full; a block that outlives that stays.
_ENOUGH_FREE = 0.1
_DISK_BLOCK = "index.blocks.read_only_allow_delete"
_BLOCKS = ("index.blocks.write", "index.blocks.read_only", "index.blocks.metadata", "index.blocks.read")


class LaneEntry(Struct, frozen=True):
    """A lane of the registry. `epoch` 0: nobody has ever owned it, so nothing was ever written into it."""

    epoch: int
    leaving: bool = False


def judge_indices(facts: ClusterFacts, lanes: Mapping[str, LaneEntry]) -> list[Found]:
    """Missing ones, lane indices that no lane is registered for, health and blocks."""
    found = [*_missing(facts, lanes), *_unlisted(facts, lanes)]
    for index in facts.indices.values():
        found += _health(index)
        found += _blocks(facts, index)
        found += _durability(index)
    return found


def _missing(facts: ClusterFacts, lanes: Mapping[str, LaneEntry]) -> Iterator[Found]:
    for family in facts.schema.families:
        index = f"{facts.names.prefix}-{family.name}"
        if family.numbered or family.rolled or index in facts.indices:
            continue
        yield Found(
            severity="error",
            what=f"Index {index} is missing.",
            way_out="Restore it from a snapshot, or have an empty one made with --fix: what it held is gone then.",
            repair=Repair(f"made {index}, empty, by its template", (Asked("PUT", f"/{index}"),)),
        )
    for lane, entry in lanes.items():
        index = facts.names.lane(lane)
        if index in facts.indices or entry.leaving:
            continue
        if entry.epoch == 0:
            yield Found(
                severity="error",
                what=f"Lane {lane} is registered and has no index {index}; nobody has ever owned it.",
                way_out="Have it made with --fix: nothing was ever in it.",
                repair=Repair(f"made {index}, by its template", (Asked("PUT", f"/{index}"),)),
            )
        else:
            yield Found(
                severity="error",
                what=f"Lane {lane} is registered and its index {index} is gone, with the live instances that it held.",
                way_out="Restore it from a snapshot (docs/operations.md, Backup); its owner takes it up by itself.",
                left="an empty index in its place would make the loss look like an empty lane",
            )


def _unlisted(facts: ClusterFacts, lanes: Mapping[str, LaneEntry]) -> Iterator[Found]:
    prefix = facts.names.lane("")
    for index in facts.indices.values():
        lane = index.name.removeprefix(prefix)
        if index.family.numbered and lane not in lanes:
            yield Found(
                severity="warning",
                what=f"Index {index.name} is there, and no lane {lane} is registered; nobody serves it.",
                way_out="A lane that was being added uses it when lanes are added again (leasehold lanes add); of a"
                " lane that was removed, search it for `kind: instance`, then delete it.",
                left="it may be of a lane that is being added at this moment",
            )


def _health(index: IndexFacts) -> Iterator[Found]:
    if index.health == "red":
        yield Found(
            severity="error",
            what=f"Index {index.name} is red: its primary shard is not assigned.",
            way_out="GET _cluster/allocation/explain says why; bring the node or its disk back, or restore a snapshot.",
            left="only the cluster can assign a shard",
        )
    elif index.health == "yellow":
        yield Found(
            severity="warning",
            what=f"Index {index.name} is yellow: a copy of it is not assigned, so one node's loss can take it.",
            way_out="GET _cluster/allocation/explain says why; it may just be on its way.",
            left="only the cluster can assign a shard",
        )


def _blocks(facts: ClusterFacts, index: IndexFacts) -> Iterator[Found]:
    if _on(index, _DISK_BLOCK):
        free = facts.free_share
        room = free is not None and free > _ENOUGH_FREE
        body = {_DISK_BLOCK: None}
        lift = Repair(f"lifted the block of {index.name}", (Asked("PUT", f"/{index.name}/_settings", body),))
        yield Found(
            severity="error",
            what=f"Index {index.name} takes no writes: it was blocked when a disk was full.",
            way_out="Free disk space; Elasticsearch lifts the block by itself then, and --fix does where it did not.",
            repair=lift if room else None,
            left="the disk of a node is still full, or does not say how full it is",
        )
    own = [name.removeprefix("index.blocks.") for name in _BLOCKS if _on(index, name)]
    # One that has rolled is written no more, and its policy may block it.
    rolled = index.family.rolled and not any(index.aliases.values())
    if own and not rolled:
        yield Found(
            severity="error",
            what=f"Index {index.name} is blocked: {listed(own)}.",
            way_out=f"If nobody needs that any more: PUT /{index.name}/_settings with `index.blocks.{own[0]}: null`.",
            left="somebody set it, perhaps for a snapshot or a migration under way",
        )


def _durability(index: IndexFacts) -> Iterator[Found]:
    if index.settings.get("index.translog.durability") == "async":
        body = {"index.translog.durability": "request"}
        yield Found(
            severity="error",
            what=f"Index {index.name} has `translog.durability: async`: a crash loses what was acknowledged before it.",
            way_out="Set it back with --fix.",
            repair=Repair(
                f"set the durability of {index.name} back to `request`",
                (Asked("PUT", f"/{index.name}/_settings", body),),
            ),
        )


def judge_aliases(facts: ClusterFacts) -> list[Found]:
    """Has every rolled name exactly one index that is written to?"""
    return [found for family in facts.schema.families if family.rolled for found in _judge_alias(facts, family.name)]


def _judge_alias(facts: ClusterFacts, family: str) -> Iterator[Found]:
    alias = f"{facts.names.prefix}-{family}"
    own = sorted(index.name for index in facts.indices.values() if index.family.name == family)
    behind = [name for name in own if alias in facts.indices[name].aliases]
    writes = [name for name in behind if facts.indices[name].aliases[alias]]
    if not writes:
        newest = own[-1] if own else None
        # A blocked one takes no rows: the next number does.
        usable = newest is not None and not any(_on(facts.indices[newest], name) for name in _BLOCKS)
        yield Found(
            severity="error",
            what=f"Alias {alias} has no index to write to, so rows of history wait in their lanes.",
            way_out=f"Have --fix make {'it' if usable else 'the next index'} one, or roll the alias over by hand.",
            repair=_write_index(alias, newest, usable=usable),
        )
    apart = [name for name in own if name not in behind]
    if apart and writes:
        actions = [{"add": {"index": name, "alias": alias, "is_write_index": False}} for name in apart]
        yield Found(
            severity="error",
            what=f"Searches of {alias} do not see {listed(apart)}: the alias does not name them.",
            way_out="Put them behind it with --fix.",
            repair=Repair(f"put {listed(apart)} behind {alias}", (Asked("POST", "/_aliases", {"actions": actions}),)),
        )


def _write_index(alias: str, newest: str | None, *, usable: bool) -> Repair:
    if newest is not None and usable:
        actions = [{"add": {"index": newest, "alias": alias, "is_write_index": True}}]
        return Repair(f"made {newest} what {alias} writes to", (Asked("POST", "/_aliases", {"actions": actions}),))
    number = 1 if newest is None else int(newest.rpartition("-")[2]) + 1
    index = f"{alias}-{number:06d}"
    body = {"aliases": {alias: {"is_write_index": True}}}
    return Repair(f"made {index}, which {alias} writes to", (Asked("PUT", f"/{index}", body),))


def _on(index: IndexFacts, block: str) -> bool:
    return str(index.settings.get(block, "false")).lower() == "true"
