"""Which heartbeats are due, and which leases are over. No I/O and no clock: the caller passes the time, in seconds.

A lease counts from when the request was sent that got or renewed it, never from its answer: a slow answer must not
stretch a lease. So one that took longer than it gives is doubtful when it arrives, and is to be confirmed by a
heartbeat before anything is done under it.
"""

from __future__ import annotations

from msgspec import Struct

# A heartbeat goes after a third of the lease, so that two may fail; those nearly due go along with one that is.
_BEATS_A_LEASE = 3
_ALONG_PART = 0.1
# A heartbeat without an answer is repeated after this part of the lease, within these bounds.
_AGAIN_PART = 1 / 12
_AGAIN_MIN_S = 0.05
_AGAIN_MAX_S = 2.0
# What is due this soon is due: a timer may fire a little before its time.
_GRAIN_S = 0.001


class Lease(Struct):
    """`beating`: a heartbeat is under way; there is never more than one. `again`: another one is wanted after it."""

    step_id: str
    ttl_s: float
    ends_at_s: float
    beat_at_s: float
    beating: bool = False
    again: bool = False


class Due(Struct, frozen=True):
    """`over`: leases that have ended, now forgotten. `beats`: those whose heartbeat is to be sent now."""

    over: list[str]
    beats: list[str]


class LeaseBook:
    """The leases that one worker holds."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._leases

    def hold(self, step_id: str, ttl_ms: int, since_s: float, now_s: float) -> bool:
        """Enter a lease that was asked for at `since_s`; False if it is doubtful.

        A doubtful one is kept for the answer of the heartbeat that is to be sent at once.
        """
        ttl_s = ttl_ms / 1_000
        certain = now_s < since_s + ttl_s
        ends_at_s = since_s + ttl_s if certain else now_s + ttl_s
        self._leases[step_id] = Lease(step_id, ttl_s, ends_at_s, since_s + ttl_s / _BEATS_A_LEASE)
        return certain

    def renewed(self, step_id: str, ttl_ms: int, sent_at_s: float) -> None:
        """A heartbeat that was sent at `sent_at_s` has renewed the lease."""
        lease = self._leases.get(step_id)
        if lease is not None:
            lease.ttl_s = ttl_ms / 1_000
            lease.ends_at_s = sent_at_s + lease.ttl_s
            lease.beat_at_s = sent_at_s if lease.again else sent_at_s + lease.ttl_s / _BEATS_A_LEASE
            lease.beating = lease.again = False

    def unanswered(self, step_id: str, now_s: float) -> None:
        """A heartbeat got no answer that counts: it is due again soon."""
        lease = self._leases.get(step_id)
        if lease is not None:
            lease.beating = False
            lease.beat_at_s = now_s + min(_AGAIN_MAX_S, max(_AGAIN_MIN_S, lease.ttl_s * _AGAIN_PART))

    def hurry(self, step_id: str, now_s: float) -> None:
        """There is news that should not wait for the regular heartbeat."""
        lease = self._leases.get(step_id)
        if lease is not None:
            lease.again = lease.beating
            lease.beat_at_s = min(lease.beat_at_s, now_s)

    def drop(self, step_id: str) -> None:
        self._leases.pop(step_id, None)

    def due(self, now_s: float) -> Due:
        """What is to be done now. The heartbeats named count as under way until they are answered."""
        soon_s = now_s + _GRAIN_S
        over = [lease.step_id for lease in self._leases.values() if lease.ends_at_s <= soon_s]
        for step_id in over:
            del self._leases[step_id]
        idle = [lease for lease in self._leases.values() if not lease.beating]
        if not any(lease.beat_at_s <= soon_s for lease in idle):
            return Due(over, [])
        beats = [lease for lease in idle if lease.beat_at_s - lease.ttl_s * _ALONG_PART <= soon_s]
        for lease in beats:
            lease.beating = True
        return Due(over, [lease.step_id for lease in beats])

    def wake_at_s(self) -> float | None:
        """When `due` will next have something; None while there is nothing to wait for."""
        times = (
            lease.ends_at_s if lease.beating else min(lease.beat_at_s, lease.ends_at_s)
            for lease in self._leases.values()
        )
        return min(times, default=None)

    def time_left_s(self, step_ids: list[str], now_s: float) -> tuple[float, float]:
        """Of these leases: how long the shortest is, and how soon the first one ends. Both 0 if none is held."""
        held = [self._leases[step_id] for step_id in step_ids if step_id in self._leases]
        if not held:
            return 0.0, 0.0
        return min(lease.ttl_s for lease in held), max(0.0, min(lease.ends_at_s for lease in held) - now_s)
