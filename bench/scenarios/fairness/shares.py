"""What tenants' claims come to: their shares over windows of time, and when a change of rules shows. Pure.

All times are nanoseconds of the monotonic clock. A tenant is a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

_NS_PER_S = 1_000_000_000


class Arrival(NamedTuple):
    """A claimed step reached an executor."""

    at_ns: int
    tenant: int


class Phase(Struct, frozen=True):
    """A span with the same rules throughout. `weights` has the tenants that count: those that nothing else holds back.

    A tenant's expected share is its weight to those of all that count.
    """

    from_ns: int
    until_ns: int
    weights: Mapping[int, float]

    def expected(self, tenant: int) -> float:
        return self.weights[tenant] / sum(self.weights.values())


class Window(Struct, frozen=True):
    """One window of a phase: claims of tenants that count, the fewest of one of them, and each one's error.

    `errors` holds by tenant how far its share was off the expected one, in parts of that: 0.1 is a tenth too much.
    """

    begin_ns: int
    claims: int
    fewest: int
    errors: Mapping[int, float]

    @property
    def worst(self) -> int:
        """The tenant with the largest error."""
        return max(self.errors, key=lambda tenant: abs(self.errors[tenant]))

    @property
    def max_error(self) -> float:
        return abs(self.errors[self.worst])

    @property
    def mean_error(self) -> float:
        return sum(map(abs, self.errors.values())) / len(self.errors)


def windows_of(arrivals: Iterable[Arrival], phase: Phase, *, window_ns: int, step_ns: int) -> list[Window]:
    """Every window that lies in the phase whole, one beginning each `step_ns`, of which `window_ns` is a multiple."""
    steps = max(0, (phase.until_ns - phase.from_ns) // step_ns)
    counts: list[Counter[int]] = [Counter() for _ in range(steps)]
    for at_ns, tenant in arrivals:
        place = (at_ns - phase.from_ns) // step_ns
        if 0 <= place < steps and tenant in phase.weights:
            counts[place][tenant] += 1
    wide = window_ns // step_ns
    return [
        _window(phase, phase.from_ns + place * step_ns, sum(counts[place : place + wide], Counter()))
        for place in range(steps - wide + 1)
    ]


def _window(phase: Phase, begin_ns: int, claims: Counter[int]) -> Window:
    total = claims.total()
    weights = sum(phase.weights.values())
    errors = {
        tenant: claims[tenant] / total / (weight / weights) - 1 if total else -1.0
        for tenant, weight in phase.weights.items()
    }
    return Window(begin_ns, total, min(claims[tenant] for tenant in phase.weights), errors)


def risen_after_ms(
    arrivals: Sequence[Arrival],
    phase: Phase,
    tenant: int,
    *,
    tolerance: float,
    bucket_ns: int = _NS_PER_S // 2,
    step_ns: int = _NS_PER_S // 4,
) -> float | None:
    """How long after the phase's beginning a tenant's share has risen to its weight's, and stays there.

    It is the end of the first of the overlapping buckets from which on the share is, in all of them, below the expected
    one by no more than `tolerance` (in parts of that). None where the last one is further below, or has no claims.
    """
    buckets = windows_of(arrivals, phase, window_ns=bucket_ns, step_ns=step_ns)
    risen: Window | None = None
    for bucket in reversed(buckets):
        if not bucket.claims or bucket.errors[tenant] < -tolerance:
            break
        risen = bucket
    return None if risen is None else (risen.begin_ns + bucket_ns - phase.from_ns) / 1e6


def stopped_after_ms(arrivals: Iterable[Arrival], tenant: int, *, changed_ns: int, before_ns: int) -> float | None:
    """How long after the change a tenant's last claim came. None where it had none in the `before_ns` before it."""
    own = [at_ns for at_ns, other in arrivals if other == tenant and at_ns >= changed_ns - before_ns]
    if not any(at_ns < changed_ns for at_ns in own):
        return None
    return max(0, max(own) - changed_ns) / 1e6


class Held(NamedTuple):
    """An executor held a step at least from the first moment to the second."""

    from_ns: int
    until_ns: int


def most_at_once(held: Iterable[Held]) -> int:
    """How many steps were held at the same time, at the most. One that ends as another begins does not meet it."""
    turns = sorted(turn for each in held for turn in ((each.from_ns, 1), (each.until_ns, -1)))
    running = most = 0
    for _, turn in turns:
        running += turn
        most = max(most, running)
    return most


def by_weight(windows: Iterable[tuple[Phase, Window]]) -> list[dict[str, float]]:
    """For each weight: how its tenants' shares were spread about the expected one, which is 1, over all windows."""
    found: dict[float, list[float]] = {}
    for phase, window in windows:
        for tenant, error in window.errors.items():
            found.setdefault(phase.weights[tenant], []).append(error)
    return [
        {
            "weight": weight,
            "mean_share": round(1 + sum(errors) / len(errors), 4),
            "least_share": round(1 + min(errors), 4),
            "greatest_share": round(1 + max(errors), 4),
            "mean_error": round(sum(map(abs, errors)) / len(errors), 4),
        }
        for weight, errors in sorted(found.items())
    ]
