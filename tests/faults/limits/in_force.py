"""Which limits were in force when, and whether that many at once, or within so long a time, were ever allowed. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

# Within this time, by contract 2 s, every replica that serves obeys a limit that was lowered.
OBEYED_S = 4.0

Key = tuple[str, str]


class Lease(Struct, frozen=True):
    """A leased step, and since when at least; times are the event loop's, in seconds."""

    tenant: str
    capability: str
    began_s: float


class InForce:
    """Limits of running steps by tenant and capability (`*`: of all tenants, "": of all capabilities).

    `most`: how many leases there were at once at most. `broken`: each time that there were too many.
    """

    def __init__(self, limits: Mapping[Key, int]) -> None:
        self._limits = {key: [(float("-inf"), limit)] for key, limit in limits.items()}
        self.most: Counter[Key] = Counter()
        self.broken: list[str] = []

    def change(self, key: Key, limit: int, at_s: float) -> None:
        """A lowered limit counts from when it was acknowledged, a raised one from when it was sent."""
        self._limits[key].append((at_s, limit))

    def highest(self, key: Key, since_s: float) -> int:
        """The highest limit that was in force at any time since then."""
        changes = self._limits[key]
        ends = [at_s for at_s, _ in changes[1:]] + [float("inf")]
        return max(limit for (_, limit), end_s in zip(changes, ends, strict=True) if end_s >= since_s)

    def check(self, leases: Iterable[Lease], seen: str) -> None:
        """These are all held at one moment. A lowered limit takes no lease away, so the newest decides which limit."""
        groups: defaultdict[Key, list[Lease]] = defaultdict(list)
        for lease in leases:
            for key in ((lease.tenant, ""), ("*", lease.capability)):
                if key in self._limits:
                    groups[key].append(lease)
        for key, held in groups.items():
            self.most[key] = max(self.most[key], len(held))
            allowed = self.highest(key, max(lease.began_s for lease in held) - OBEYED_S)
            if len(held) > allowed:
                self.broken.append(f"{seen}: {len(held)} leases of {key}, {allowed} allowed: {held}")


def overrun(times: Sequence[tuple[float, float]], per_s: float, burst: int) -> float:
    """By how much the worst window exceeds a rate; at most 0 where none does.

    Each event happened between two times. An event counts for a window that holds both, so no window is blamed for
    what may have happened outside of it.
    """
    by_end = sorted(times, key=lambda one: one[1])
    worst = float("-inf")
    for start_s, _ in times:
        count = 0
        for earliest_s, latest_s in by_end:
            if earliest_s >= start_s:
                count += 1
                worst = max(worst, count - burst - per_s * (latest_s - start_s))
    return worst
