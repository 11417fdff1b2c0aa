"""Whether a canary fails too often: pure, from how many instances of which version ended how."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from .documents import Canary

Outcomes = Mapping[tuple[int, str], int]
"""How many instances of a version have ended with a status."""


class Rate(Struct, frozen=True):
    """Of `ended` instances of a version `failed` failed; what was cancelled or terminated is not counted."""

    version: int
    failed: int
    ended: int

    @property
    def share(self) -> float:
        """0 while none has ended: until the active version fails, nothing excuses the canary's failures."""
        return self.failed / self.ended if self.ended else 0.0

    def __str__(self) -> str:
        return f"version {self.version}: {self.failed} of {self.ended} instances failed ({self.share:.1%})"


def rate_of(version: int, outcomes: Outcomes) -> Rate:
    failed = outcomes.get((version, "failed"), 0)
    return Rate(version, failed, failed + outcomes.get((version, "succeeded"), 0))


def fault_of(canary: Canary, active: int, outcomes: Outcomes) -> str | None:
    """Why the canary is to be removed; None while it may stay."""
    limit = canary.rollback
    if limit is None:
        return None
    new, old = rate_of(canary.version, outcomes), rate_of(active, outcomes)
    if new.ended < limit.min_instances or new.share - old.share <= limit.margin:
        return None
    return f"canary {new}; active {old}; allowed above it: {limit.margin:.1%}"
