"""How long history is kept, and what a changed policy means for that, in words."""

from __future__ import annotations

from ...ilm.policies import Policy, retention_ms

_UNITS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("millisecond", 1))


def span(ms: int) -> str:
    """A span of time in the largest unit that says it whole: `90 days`, `36 hours`."""
    for name, unit_ms in _UNITS:
        if ms % unit_ms == 0 and (ms or name == "day"):
            return f"{ms // unit_ms} {name}{'' if ms == unit_ms else 's'}"
    raise AssertionError(ms)


def retention(policy: Policy) -> str:
    """When the indices of a policy are deleted."""
    kept_ms = retention_ms(policy)
    return "kept for ever" if kept_ms is None else f"deleted {span(kept_ms)} after roll-over"


def retention_change(old: Policy | None, new: Policy) -> str:
    """What a new policy does to how long its family is kept. `old` is None where nothing ages now."""
    before_ms, after_ms = None if old is None else retention_ms(old), retention_ms(new)
    before = "nothing is deleted" if old is None else "are kept for ever" if before_ms is None else ""
    what = f"rows of {new.family}"
    if after_ms == before_ms:
        return f"{what} are kept as long as before ({retention(new)})" if old is not None else f"{what}: {before}"
    if after_ms is None:
        return f"{what} are kept for ever, no longer deleted {span(before_ms or 0)} after roll-over"
    if before_ms is None:
        return f"{what} are deleted {span(after_ms)} after roll-over; {'until now ' + before}"
    change = "longer" if after_ms > before_ms else "less"
    by = span(abs(after_ms - before_ms))
    return f"{what} are deleted {span(after_ms)} after roll-over, {by} {change} than the {span(before_ms)} in force"


def shortens(old: Policy | None, new: Policy) -> bool:
    """Whether rows are deleted earlier than by what is in force, or at all for the first time."""
    before_ms, after_ms = None if old is None else retention_ms(old), retention_ms(new)
    return after_ms is not None and (before_ms is None or after_ms < before_ms)
