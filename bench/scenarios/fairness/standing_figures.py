"""What executors' records of a standing backlog come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, to_builtins

from ...load.closed import Worked
from .people import NUMBERS_EACH, Person, weights_after, weights_before
from .plan import SharesPlan
from .shares import (
    Arrival,
    Held,
    Phase,
    Window,
    by_weight,
    most_at_once,
    risen_after_ms,
    stopped_after_ms,
    windows_of,
)

_STEP_NS = 1_000_000_000
# A bucket of half a second holds some twenty claims of a tenant.
_TOLERANCE = 0.5
_BEFORE_NS = 2_000_000_000
# Below so many claims of the smallest tenant a window's error is not its tenants' but that of counting.
LEAST_CLAIMS = 20


class Limit(Struct, frozen=True):
    """A tenant with `max_running_steps`: how many of its steps executors held at once, at the most and on average."""

    tenant: str
    limit: int
    most_at_once: int
    mean_at_once: float
    claims: int

    @property
    def exceeded(self) -> int:
        return max(0, self.most_at_once - self.limit)


class Standing(Struct, frozen=True):
    """Errors are in parts of the expected share; None where no window was measured.

    `fewest_claims` of one tenant in a window; `one_claim` is what one claim more or less is of them, in parts.
    """

    claims: int
    claims_per_s: float
    windows: int
    max_error: float | None
    mean_error: float | None
    fewest_claims: int | None
    one_claim: float | None
    worst: str
    weight_followed_ms: float | None
    stop_followed_ms: float | None
    dry: list[str]
    by_weight: list[dict[str, float]]
    over_time: list[dict[str, float]]
    limits: list[Limit]

    def as_figures(self) -> dict[str, Any]:
        return {**to_builtins(self), "dry": ", ".join(self.dry) or "none"}


def figures_of(
    plan: SharesPlan,
    people: Sequence[Person],
    worked: Sequence[Worked],
    *,
    begin_ns: int,
    changed_ns: int,
    end_ns: int,
    dry: list[str],
) -> Standing:
    """Claims count by when they reached their executor. `changed_ns`: when the change was about to be written."""
    arrivals = sorted(
        Arrival(batch.arrived_ns, number // NUMBERS_EACH)
        for each in worked
        for batch in each.batches
        for number in batch.numbers
    )
    window_ns, settle_ns = plan.window_s * _STEP_NS, round(plan.settle_s * 1e9)
    first_ns = begin_ns + window_ns
    phases = [
        Phase(first_ns, changed_ns, weights_before(people)),
        Phase(max(first_ns, changed_ns + settle_ns), end_ns, weights_after(people)),
    ]
    windows = [
        (phase, window)
        for phase in phases
        for window in windows_of(arrivals, phase, window_ns=window_ns, step_ns=_STEP_NS)
    ]
    settling = Phase(changed_ns, min(end_ns, changed_ns + settle_ns), weights_after(people))
    riser = next(person for person in people if person.later_weight > person.weight)
    stopped = next(person for person in people if not person.later_weight)
    stop_ms = stopped_after_ms(arrivals, stopped.number, changed_ns=changed_ns, before_ns=_BEFORE_NS)
    worst = max((window for _, window in windows), key=lambda window: window.max_error, default=None)
    fewest = min((window.fewest for _, window in windows), default=None)
    return Standing(
        claims=len(arrivals),
        claims_per_s=round(len(arrivals) / ((end_ns - begin_ns) / 1e9), 1),
        windows=len(windows),
        max_error=None if worst is None else round(worst.max_error, 4),
        mean_error=round(sum(window.mean_error for _, window in windows) / len(windows), 4) if windows else None,
        fewest_claims=fewest,
        one_claim=round(1 / fewest, 4) if fewest else None,
        worst="" if worst is None else _told(worst, people, begin_ns),
        weight_followed_ms=risen_after_ms(arrivals, settling, riser.number, tolerance=_TOLERANCE),
        stop_followed_ms=None if stop_ms is None else round(stop_ms, 1),
        dry=dry,
        by_weight=by_weight(windows),
        over_time=[
            {
                "from_s": round((window.begin_ns - begin_ns) / 1e9, 1),
                "claims": window.claims,
                "max_error": round(window.max_error, 4),
                "mean_error": round(window.mean_error, 4),
            }
            for _, window in windows
        ],
        limits=[
            _limit(person, person.limit, worked, span_ns=end_ns - begin_ns)
            for person in people
            if person.limit is not None
        ],
    )


def _told(worst: Window, people: Sequence[Person], begin_ns: int) -> str:
    name = people[worst.worst].name
    return f"{name}, {worst.errors[worst.worst]:+.1%}, {(worst.begin_ns - begin_ns) / 1e9:.0f} s from the beginning"


def _limit(person: Person, limit: int, worked: Sequence[Worked], *, span_ns: int) -> Limit:
    held = [
        Held(batch.arrived_ns, batch.completion_sent_ns)
        for each in worked
        for batch in each.batches
        for number in batch.numbers
        if number // NUMBERS_EACH == person.number
    ]
    mean = sum(each.until_ns - each.from_ns for each in held) / span_ns
    return Limit(person.name, limit, most_at_once(held), round(mean, 2), len(held))
