"""How old an index is when something happens to it, in milliseconds. Ages count from its roll-over, as in ILM."""

from __future__ import annotations

from typing import Any

from .model import PHASES, PhaseName, Policy
from .units import time_ms

# WaitForRolloverReadyStep.applyDefaultConditions: ILM adds these where the policy says nothing stricter.
MAX_PRIMARY_SHARD_DOCS = 200_000_000
MIN_DOCS = 1


def min_age_ms(policy: Policy, phase: PhaseName) -> int | None:
    """The age at which an index enters a phase; None without that phase.

    A phase without an age of its own begins as soon as the phase before it is done, so this is the greatest age given
    until there. Of `hot` it is the age since the index was created, at which it may begin to be looked after.
    """
    if phase not in policy.phases:
        return None
    if phase == "hot":
        return _given_ms(policy, phase)
    return max(_given_ms(policy, name) for name in PHASES[1 : PHASES.index(phase) + 1])


def retention_ms(policy: Policy) -> int | None:
    """How long an index is kept after its roll-over; None: for ever.

    A row may be written just before the roll-over, so this is also the shortest life of a row. The longest is longer
    by what the index takes to roll: at most `max_age`, where the policy gives one and the index has rows.
    """
    return min_age_ms(policy, "delete") if "delete" in policy.actions("delete") else None


def max_age_ms(policy: Policy) -> int | None:
    """How old an index gets before it rolls at the latest; None where it may be any age."""
    written = policy.actions("hot").get("rollover", {}).get("max_age")
    return None if written is None else time_ms(written)


def rollover_conditions(policy: Policy) -> dict[str, Any]:
    """The conditions of `rollover` as ILM applies them: those of the policy, and two that it adds by itself.

    Without the first addition a shard of many tiny rows grows beyond what can be searched well, without the second an
    index that nobody writes to is followed by another empty one at every `max_age`. Whoever rolls without ILM gives
    these to `_rollover`.
    """
    conditions = dict(policy.actions("hot").get("rollover", {}))
    if "min_docs" not in conditions and "min_primary_shard_docs" not in conditions:
        conditions["min_docs"] = MIN_DOCS
    docs = conditions.get("max_primary_shard_docs", MAX_PRIMARY_SHARD_DOCS)
    return conditions | {"max_primary_shard_docs": min(docs, MAX_PRIMARY_SHARD_DOCS)}


def _given_ms(policy: Policy, phase: PhaseName) -> int:
    return time_ms(policy.phases.get(phase, {}).get("min_age", "0ms")) or 0
