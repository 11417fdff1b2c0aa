"""What has to hold between the phases of a policy: Elastic's rules, and ours.

Elastic's stand in org.elasticsearch.xpack.core.ilm.TimeseriesLifecycleType of 8.19, in `validate` where nothing else is
said. Ours:

- The phase `hot` has `rollover`. ILM counts ages from an index's creation where it never rolls, so a write index would
  be shrunk, made read-only and deleted under the writers.
- `delete` comes an hour after the roll-over at the earliest (`DELETE_LEAST_MS`). A replica names the concrete index of
  a row before it writes it. Rows that were named just before the roll-over arrive after it: those that wait in
  outboxes, those that a crash repeats, and those of replicas that have not noticed the roll-over. They have to find
  their index, since a row that goes into an index which is deleted a moment later is lost, and one whose index is gone
  can't tell whether it had arrived. All of that is a matter of seconds, or of minutes after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .actions import ALLOCATION_RULES
from .model import Fault, PhaseName
from .units import time_text
from .words import listed, shown

DELETE_LEAST_MS = 3_600_000

# TimeseriesLifecycleType.ACTIONS_CANNOT_FOLLOW_SEARCHABLE_SNAPSHOT
_NOT_AFTER_A_SNAPSHOT = ("forcemerge", "freeze", "shrink", "downsample")


@dataclass(frozen=True, slots=True)
class ReadPhase:
    """What a phase says, as far as it could be read.

    `min_age_ms` is 0 where none is `given`, None where it is wrong. `actions` are the allowed ones, by name, with
    what their parameters mean. `broken`: it can't be said which actions there are.
    """

    name: PhaseName
    min_age_ms: int | None = 0
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    given: bool = False
    broken: bool = False


Phases = Mapping[PhaseName, ReadPhase]
"""The phases that a policy has, in their order."""


def rule_faults(path: str, phases: Phases) -> Iterator[Fault]:
    """Everything that is wrong between phases; `path` is that of `phases`."""
    for rule in _RULES:
        for where, message in rule(phases):
            yield Fault(f"{path}.{where}", message)


Found = Iterator[tuple[str, str]]


def _rolls_over(phases: Phases) -> Found:
    """Ours. HOT_ACTIONS_THAT_REQUIRE_ROLLOVER wants it only beside what may not be done to a write index."""
    hot = phases.get("hot")
    if hot is None:
        yield "hot", "this phase is missing; allowed: a phase `hot` with `rollover` among its actions"
    elif "rollover" not in hot.actions and not hot.broken:
        yield (
            "hot.actions",
            "`rollover` is missing: the index that is written to would age, and be deleted under its writers; give "
            'its conditions, such as "rollover": {"max_age": "7d", "max_primary_shard_size": "50gb"}',
        )


def _ages_do_not_fall(phases: Phases) -> Found:
    """`validateMonotonicallyIncreasingPhaseTimings`, of which Elasticsearch only warns. 0 stands for no age given."""
    oldest: ReadPhase | None = None
    for phase in phases.values():
        if not phase.min_age_ms:
            continue
        if oldest is not None and phase.min_age_ms < (oldest.min_age_ms or 0):
            least = time_text(oldest.min_age_ms or 0)
            yield (
                f"{phase.name}.min_age",
                f"found {time_text(phase.min_age_ms)}; allowed: at least {least}, the min_age of `{oldest.name}`, "
                f"since an index enters `{phase.name}` after `{oldest.name}`",
            )
        else:
            oldest = phase


def _deletes_late_enough(phases: Phases) -> Found:
    """Ours. See the module's docstring."""
    delete = phases.get("delete")
    if delete is None or "delete" not in delete.actions:
        return
    ages = [phase.min_age_ms for name, phase in phases.items() if name != "hot"]
    known = [age for age in ages if age is not None]
    if len(known) == len(ages) and max(known) < DELETE_LEAST_MS:
        yield (
            "delete.min_age",
            f"found {time_text(delete.min_age_ms or 0)}; allowed: at least {time_text(DELETE_LEAST_MS)} after the "
            "roll-over, since rows that were on their way then, or that a crash repeats, still go into the index",
        )


def _one_way_to_move(phases: Phases) -> Found:
    for phase in phases.values():
        migrate, allocate = phase.actions.get("migrate"), phase.actions.get("allocate")
        if migrate is None or allocate is None or not migrate.get("enabled", True):
            continue
        rules = [name for name in ALLOCATION_RULES if allocate.get(name)]
        if rules:
            yield (
                f"{phase.name}.actions",
                f"`migrate` and `allocate` with {listed(rules)} both say to which nodes the index goes; allowed: one "
                'of them, so remove these, or give "migrate": {"enabled": false}',
            )


def _frozen_is_a_snapshot(phases: Phases) -> Found:
    """`validateFrozenPhaseHasSearchableSnapshotAction`"""
    frozen = phases.get("frozen")
    if frozen is not None and not frozen.broken and "searchable_snapshot" not in frozen.actions:
        yield (
            "frozen.actions",
            "`searchable_snapshot` is missing, which is all that this phase is for; name a repository, as in "
            '"searchable_snapshot": {"snapshot_repository": "backups"}, or leave the phase out',
        )


def _nothing_changes_a_snapshot(phases: Phases) -> Found:
    """`validateActionsFollowingSearchableSnapshot`: after one in `hot` any phase, after one in `cold` only `frozen`."""
    if (hot := phases.get("hot")) is not None and "searchable_snapshot" in hot.actions:
        since, following = "hot", [phase for name, phase in phases.items() if name != "hot"]
    elif (cold := phases.get("cold")) is not None and "searchable_snapshot" in cold.actions:
        since, following = "cold", [phase for name, phase in phases.items() if name == "frozen"]
    else:
        return
    for phase in following:
        for action in _NOT_AFTER_A_SNAPSHOT:
            if action in phase.actions:
                yield (
                    f"{phase.name}.actions.{action}",
                    f"a searchable snapshot can't be changed, and the index is one since the phase `{since}`; allowed: "
                    f"`{action}` in `{since}` or before, or no `searchable_snapshot` there",
                )


def _one_repository(phases: Phases) -> Found:
    """`validateAllSearchableSnapshotActionsUseSameRepository`"""
    named = {phase.name: action["snapshot_repository"] for phase, action in _snapshots(phases) if _named(action)}
    first = next(iter(named), None)
    for phase, repository in named.items():
        if first is not None and repository != named[first]:
            yield (
                f"{phase}.actions.searchable_snapshot.snapshot_repository",
                f"found {shown(repository)}; allowed: {shown(named[first])}, as in the phase `{first}`, since all "
                "snapshots of a policy are in one repository",
            )


def _replicated_long_enough(phases: Phases) -> Found:
    """`validateReplicateFor`: only the first snapshot may say it, and no longer than until any later phase begins.

    An hour, say, counts from when the index enters the phase of that snapshot: the latest age given until there.
    """
    snapshots = list(_snapshots(phases))
    for phase, action in snapshots[1:]:
        if "replicate_for" in action:
            yield (
                f"{phase.name}.actions.searchable_snapshot.replicate_for",
                f"allowed only in the first `searchable_snapshot`, which is in the phase `{snapshots[0][0].name}`",
            )
    if not snapshots or not snapshots[0][1].get("replicate_for"):
        return
    (first, action), names = snapshots[0], list(phases)
    until, after = names[: names.index(first.name) + 1], names[names.index(first.name) + 1 :]
    begins = 0
    for name in until:
        # Ages count from the roll-over, so the phase that rolls begins at none.
        age = 0 if "rollover" in phases[name].actions else phases[name].min_age_ms
        begins = age or begins
    for name in after:
        # An age such as `0d` counts here, though none at all does not.
        age = phases[name].min_age_ms
        if phases[name].given and age is not None and age - begins < action["replicate_for"]:
            yield (
                f"{first.name}.actions.searchable_snapshot.replicate_for",
                f"found {time_text(action['replicate_for'])}; allowed: at most {time_text(max(0, age - begins))}, when "
                f"the phase `{name}` begins",
            )


def _intervals_grow(phases: Phases) -> Found:
    """`validateDownsamplingIntervals`: each a multiple of the one before, and larger."""
    before: ReadPhase | None = None
    for phase in phases.values():
        interval = phase.actions.get("downsample", {}).get("fixed_interval")
        if not interval:
            continue
        if before is not None:
            smaller = before.actions["downsample"]["fixed_interval"]
            if interval <= smaller or interval % smaller:
                yield (
                    f"{phase.name}.actions.downsample.fixed_interval",
                    f"found {time_text(interval)}; allowed: a multiple of {time_text(smaller)}, the interval of "
                    f"`{before.name}`, and larger",
                )
        before = phase


def _snapshots(phases: Phases) -> Iterator[tuple[ReadPhase, Mapping[str, Any]]]:
    for phase in phases.values():
        if "searchable_snapshot" in phase.actions:
            yield phase, phase.actions["searchable_snapshot"]


def _named(action: Mapping[str, Any]) -> bool:
    return action.get("snapshot_repository") is not None


_RULES: tuple[Callable[[Phases], Found], ...] = (
    _rolls_over,
    _ages_do_not_fall,
    _deletes_late_enough,
    _one_way_to_move,
    _frozen_is_a_snapshot,
    _nothing_changes_a_snapshot,
    _one_repository,
    _replicated_long_enough,
    _intervals_grow,
)
