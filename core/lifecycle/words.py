"""What a changed policy means for how long rows are kept, in words."""

from __future__ import annotations

from ...ilm.policies import Policy, retention_ms, shortened, time_text


def retention(policy: Policy) -> str:
    """When the indices of a policy go."""
    kept_ms = retention_ms(policy)
    return "kept for ever" if kept_ms is None else f"deleted {time_text(kept_ms)} after roll-over"


def less_long(old: Policy | None, new: Policy) -> str | None:
    """A sentence where rows are deleted earlier than now, None where they are not. Without `old` nothing ages now."""
    if old is not None:
        return shortened(old, new)
    if retention_ms(new) is None:
        return None
    return f"nothing of {new.family} is deleted now, and would be: {retention(new)}"


def retention_change(old: Policy | None, new: Policy) -> str:
    """What a new policy does to how long its family is kept."""
    shorter = less_long(old, new)
    if shorter is not None:
        return shorter
    if old is None or retention_ms(old) == retention_ms(new):
        return f"records of {new.family} stay {retention(new)}"
    return f"records of {new.family} are kept longer: {retention(new)}, not {retention(old)}"
