"""How old an index is when something happens to it. Ages count from its roll-over, as ILM counts them."""

from __future__ import annotations

from .model import PhaseName, Policy
from .units import time_ms


def min_age_ms(policy: Policy, phase: PhaseName) -> int | None:
    """The age at which an index enters a phase, in milliseconds since its roll-over; None without that phase.

    A phase without `min_age` is entered as soon as the phase before is done (Phase: the default is 0).
    """
    body = policy.phases.get(phase)
    return None if body is None else time_ms(body.get("min_age", "0ms")) or 0


def retention_ms(policy: Policy) -> int | None:
    """How long an index is kept after its roll-over, in milliseconds; None: for ever.

    A row may be written just before the roll-over, so this is also the shortest life of a row.
    """
    return min_age_ms(policy, "delete") if "delete" in policy.actions("delete") else None
