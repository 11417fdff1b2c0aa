"""What ILM says of an index (`GET <index>/_ilm/explain`), and how far that is in a policy. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..policies import ALLOWED, PHASES, PhaseName, Policy, min_age_ms
from .facts import IndexFacts

_WAITS_FOR_ROLL_OVER = "check-rollover-ready"


@dataclass(frozen=True, slots=True)
class Explained:
    """Where ILM has an index. `done` and `under_way` are as in `IndexStatus`."""

    phase: PhaseName
    done: tuple[str, ...]
    under_way: str | None
    error: str | None
    next_phase: PhaseName | None
    next_at_ms: int | None

    def has_done(self, phase: PhaseName, action: str) -> bool:
        return f"{phase}.{action}" in self.done


def explained(policy: Policy, index: IndexFacts, entry: Mapping[str, Any] | None) -> Explained:
    """An index by ILM's word; `entry` is what it says of the index, None where it says nothing."""
    told = entry or {}
    phase = _phase(told)
    action, step = str(told.get("action") or "complete"), str(told.get("step") or "complete")
    waits = action == "complete" or step in ("complete", _WAITS_FOR_ROLL_OVER)
    upcoming = next(
        (one for one in PHASES[PHASES.index(phase) + 1 :] if one in policy.phases),
        None,
    )
    return Explained(
        phase=phase,
        done=tuple(_done(policy, phase, action)) if told.get("phase") else (),
        under_way=None if waits else f"{phase}.{action} ({told.get('failed_step', step)})",
        error=_error(index, told),
        next_phase=upcoming,
        next_at_ms=None if upcoming is None else _enters_at_ms(policy, index, told, upcoming),
    )


def _phase(told: Mapping[str, Any]) -> PhaseName:
    """ILM calls the phase of an index that it has just taken up `new`."""
    return next((phase for phase in PHASES if phase == told.get("phase")), "hot")


def _done(policy: Policy, phase: PhaseName, action: str) -> Iterator[str]:
    """The actions in front of the one that ILM is at."""
    for one in PHASES[: PHASES.index(phase) + 1]:
        for name in ALLOWED[one]:
            if one == phase and name == action:
                return
            if name in policy.actions(one):
                yield f"{one}.{name}"


def _enters_at_ms(policy: Policy, index: IndexFacts, told: Mapping[str, Any], phase: PhaseName) -> int | None:
    if index.rolled_at_ms is None:
        return None
    return int(told.get("lifecycle_date_millis", index.rolled_at_ms)) + (min_age_ms(policy, phase) or 0)


def _error(index: IndexFacts, told: Mapping[str, Any]) -> str | None:
    if not told.get("managed"):
        return "ILM does not manage it; the next pass gives it its policy"
    info = told.get("step_info") or {}
    reason = ": ".join(str(info[key]) for key in ("type", "reason") if key in info)
    if told.get("step") == "ERROR":
        again = f"POST /{index.index}/_ilm/retry has ILM try again"
        if told.get("is_auto_retryable_error"):
            again = f"ILM tries again by itself, and {again} at once"
        where = f"{told.get('phase')}.{told.get('action')}, step {told.get('failed_step')}"
        return f"{where}: {reason or 'no reason given'}; {again}"
    if not told.get("phase") and reason:
        return f"ILM has not taken it up: {reason}"
    if told.get("skip"):
        return "index.lifecycle.skip is true, so ILM leaves it alone; take the setting away to have it age"
    return None
