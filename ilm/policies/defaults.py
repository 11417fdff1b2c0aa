"""The policies that hold where nobody has written one, and the reason for each number.

All families:

- `max_primary_shard_size: 50gb`: the upper end of what Elastic advises for a shard (10 to 50 GB). Larger ones take long
  to move and to merge.
- `max_primary_shard_docs: 200000000`: what ILM applies anyway, written out so that it can be seen.
- warm after 1 day: rows that were on their way when the index rolled, or that are repeated after a night's outage,
  have come by then, so nothing is written any more and one merge is enough. Then `readonly` (nothing can be changed),
  `shrink` to one shard (does nothing where the index has one, as ours have unless somebody changed the template) and
  `forcemerge` to one segment (smaller, and faster to search). Not `best_compression`, which closes the index for a
  moment.
- priorities 100, 50, 0: after a restart of the cluster what is written to comes back first.
- frozen only where a repository is named: the rows then lie in the repository, and are searched there, slowly.

By family, in days:

steps      rolls after 7, is deleted after 30. The most rows by far, and looked at for days: which step is slow, what
           failed. A week's index keeps what lives longer than promised to a fourth.
instances  rolls after 30, is deleted after 90: a quarter can be compared with the one before.
events     rolls after 30, is deleted after 180. A replay needs an instance's row and all parts of its event log, which
           are older than the row by as long as the instance ran. A row stays up to 30 + 90 days, so instances that ran
           for up to 60 days can be replayed as long as they are found.
audit      rolls after 30, is deleted after 400: a year, and a month to look into the year that is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .model import FAMILIES, Fault, Policy, PolicyInvalid
from .words import unknown


@dataclass(frozen=True, slots=True)
class _Days:
    """When what happens to an index of a family. All but `rolls` count from the roll-over."""

    rolls: int
    cold: int
    frozen: int
    delete: int
    warm: int = 1


_DAYS = {
    "steps": _Days(rolls=7, cold=7, frozen=14, delete=30),
    "instances": _Days(rolls=30, cold=30, frozen=60, delete=90),
    "events": _Days(rolls=30, cold=30, frozen=60, delete=180),
    "audit": _Days(rolls=30, cold=60, frozen=120, delete=400),
}


def default_policy(family: str, *, repository: str | None = None) -> Policy:
    """The policy of a family where nobody has written one; with a snapshot repository it has a frozen phase.

    Raises: PolicyInvalid for an unknown family.
    """
    if family not in _DAYS:
        raise PolicyInvalid(family, [Fault("", unknown(family, FAMILIES, what="family"))])
    days = _DAYS[family]
    frozen = {} if repository is None else {"frozen": _phase(days.frozen, searchable_snapshot=_snapshot(repository))}
    return Policy(
        family,
        {
            "hot": _phase(0, set_priority={"priority": 100}, rollover=_conditions(days.rolls)),
            "warm": _phase(
                days.warm,
                set_priority={"priority": 50},
                readonly={},
                shrink={"number_of_shards": 1},
                forcemerge={"max_num_segments": 1},
            ),
            "cold": _phase(days.cold, set_priority={"priority": 0}),
            **frozen,
            "delete": _phase(days.delete, delete={}),
        },
    )


def _phase(after_days: int, **actions: dict[str, Any]) -> dict[str, Any]:
    return {"min_age": f"{after_days}d" if after_days else "0ms", "actions": actions}


def _conditions(days: int) -> dict[str, Any]:
    return {"max_age": f"{days}d", "max_primary_shard_size": "50gb", "max_primary_shard_docs": 200_000_000}


def _snapshot(repository: str) -> dict[str, Any]:
    return {"snapshot_repository": repository}
