"""What a changed policy changes, and what policies of several families have to do with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .actions import ABSENT, ACTIONS
from .ages import max_age_ms, retention_ms
from .model import PHASES, Policy, copied
from .units import time_ms, time_text


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs: at `path`, in the old and in the new policy; None where it is absent."""

    path: str
    old: Any
    new: Any


def spelled_out(policy: Policy) -> dict[str, Any]:
    """The policy's document with every default in it, and each value in its shortest writing (`60m` becomes `1h`).

    Two policies say the same if these are equal. Elasticsearch answers with its defaults filled in too.
    """
    phases = {
        name: {
            "min_age": time_text(time_ms(policy.phases[name].get("min_age", "0ms")) or 0),
            "actions": {action: _parameters(action, given) for action, given in policy.actions(name).items()},
        }
        for name in PHASES
        if name in policy.phases
    }
    return {"phases": phases} | ({} if policy.meta is None else {"_meta": copied(policy.meta)})


def _parameters(action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {}
    for name, parameter in ACTIONS[action].parameters.items():
        value = parameter.kind.read(given[name]) if name in given else parameter.default
        if value is not ABSENT:
            parameters[name] = parameter.kind.write(value)
    return parameters


def differences(old: Policy, new: Policy) -> list[Difference]:
    """Everything in which two policies differ, in the order of phases. Another writing of the same is no difference."""
    return list(_differences("", _in_order(old), _in_order(new)))


def _in_order(policy: Policy) -> dict[str, Any]:
    """The document with a place for every phase, so that one that only one of two policies has comes in its turn."""
    document = spelled_out(policy)
    return document | {"phases": {name: document["phases"].get(name) for name in PHASES}}


def _differences(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(f"{path}.{key}" if path else str(key), old.get(key), new.get(key))
    elif old != new or type(old) is not type(new):
        yield Difference(path, old, new)


def shortened(old: Policy, new: Policy) -> str | None:
    """A sentence where the new policy keeps records less long than the old one; None where it does not.

    What counts is what is promised: the shortest life of a row. An index that rolls earlier is not less.
    """
    before, after = retention_ms(old), retention_ms(new)
    if after is None:
        return None
    if before is None:
        return (
            f"records of {new.family}, which were kept for ever, would be deleted {time_text(after)} after their "
            "index rolls"
        )
    if after < before:
        return (
            f"records of {new.family} would be deleted {time_text(after)} after their index rolls, and not "
            f"{time_text(before)} after it as until now"
        )
    if "wait_for_snapshot" in old.actions("delete") and "wait_for_snapshot" not in new.actions("delete"):
        waited = old.actions("delete")["wait_for_snapshot"]["policy"]
        return (
            f"records of {new.family} would be deleted without waiting any more for a snapshot of the policy {waited!r}"
        )
    if _takes_snapshots(old) and not _deletes_snapshots(old) and _deletes_snapshots(new):
        return (
            f"records of {new.family} would be deleted together with their searchable snapshots, which until now "
            "stayed in the repository"
        )
    return None


def _takes_snapshots(policy: Policy) -> bool:
    return any("searchable_snapshot" in policy.actions(phase) for phase in PHASES)


def _deletes_snapshots(policy: Policy) -> bool:
    return bool(policy.actions("delete").get("delete", {}).get("delete_searchable_snapshot", True))


def disagreements(policies: Mapping[str, Policy]) -> list[str]:
    """Sentences on policies, by family, that are each valid and do not fit together.

    An instance is replayed from its row and from parts of its event log in `events`. A part is written while the
    instance runs, so before its row. The row stands until its index is deleted: at the latest `max_age` and the
    retention of `instances` after it was written.
    """
    instances, events = policies["instances"], policies["events"]
    kept, rolls, parts = retention_ms(instances), max_age_ms(instances), retention_ms(events)
    if parts is None:
        return []
    if kept is None or rolls is None:
        stays = (
            "for ever" if kept is None else "longer than can be said, since their index may be any age when it rolls"
        )
        return [
            f"events are deleted {time_text(parts)} after their index rolls, and instances stay {stays}: the oldest "
            "ones with long event logs can't be replayed; keep both for ever, or give `instances` a `max_age` and a "
            "`delete` phase"
        ]
    if parts >= kept + rolls:
        return []
    return [
        f"events are deleted {time_text(parts)} after their index rolls, and an instance stays up to "
        f"{time_text(kept + rolls)}: the oldest ones with long event logs can't be replayed; keep events at least "
        f"{time_text(kept + rolls)}, and longer by how long instances run"
    ]
