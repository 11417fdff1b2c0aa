"""When a lane has to look at its residents: their timers by wall clock, their leases by the monotonic one."""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ..machine import next_wake_ms
from ..machine.events import LeaseExpired, TimerFired

if TYPE_CHECKING:
    from .lane import Lane
    from .memory.resident import Resident

# A wall clock that is set back or forth is noticed after this long at the latest.
_LONGEST_NAP_MS = 5_000
# So many timers of instances that have left memory may stand in the heap before it is built anew.
_STALE_TIMERS = 10_000


class Timers:
    """One lane's timers and leases, and the one nap until the first of them is due.

    `Resident.wake_at_ms` and `Resident.leases` say what counts; the heaps may hold more, which is passed over.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._clock = lane.parts.clock
        self._random = lane.parts.random
        self._wakes: list[tuple[int, str]] = []
        self._expiries: list[tuple[int, str, str]] = []
        self._nap: asyncio.TimerHandle | None = None
        self._nap_until_ms = 0

    def lease(self, resident: Resident, path: str, ttl_ms: int) -> None:
        """A lease of the step begins."""
        expires_ms = self._clock.monotonic_ms() + ttl_ms
        resident.leases[path] = expires_ms
        heappush(self._expiries, (expires_ms, resident.id, path))
        if self._nap is None or expires_ms < self._nap_until_ms:
            self._arm(ttl_ms)

    def renew(self, resident: Resident, path: str) -> int:
        """Give a live lease its full time again; returns that time in milliseconds. Writes nothing."""
        ttl_ms = resident.instance.steps[path].lease_ttl_ms
        resident.leases[path] = self._clock.monotonic_ms() + ttl_ms
        self._lane.quotas.renewed(resident, path)
        return ttl_ms

    def wake_at(self, resident: Resident, wake_at_ms: int) -> None:
        """The instance's first timer is due at this wall time; 0: it has none."""
        if wake_at_ms and wake_at_ms != resident.wake_at_ms:
            residents = self._lane.residents
            if len(self._wakes) > _STALE_TIMERS + 2 * len(residents):
                self._wakes = [(other.wake_at_ms, other.id) for other in residents.values() if other.wake_at_ms]
                heapify(self._wakes)
            heappush(self._wakes, (wake_at_ms, resident.id))
            self._arm(wake_at_ms - self._clock.now_ms())
        resident.wake_at_ms = wake_at_ms

    def fire_due(self) -> None:
        """One pass: everything due happens now."""
        now_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        while self._expiries and self._expiries[0][0] <= monotonic_ms:
            _, instance_id, path = heappop(self._expiries)
            self._expire(instance_id, path, monotonic_ms)
        while self._wakes and self._wakes[0][0] <= now_ms:
            due_ms, instance_id = heappop(self._wakes)
            resident = self._lane.residents.get(instance_id)
            if resident is not None and resident.wake_at_ms == due_ms:
                resident.wake_at_ms = 0
                self._lane.happen(resident, TimerFired(now_ms, self._random.random()))
                self.wake_at(resident, next_wake_ms(resident.instance))

    def close(self) -> None:
        """Nothing is looked at any more."""
        if self._nap is not None:
            self._nap.cancel()

    def _expire(self, instance_id: str, path: str, monotonic_ms: int) -> None:
        resident = self._lane.residents.get(instance_id)
        expires_ms = None if resident is None else resident.leases.get(path)
        if resident is None or expires_ms is None:
            return
        if expires_ms > monotonic_ms:
            heappush(self._expiries, (expires_ms, instance_id, path))
            return
        token = resident.instance.steps[path].token
        self._lane.happen(resident, LeaseExpired(self._clock.now_ms(), path, token, self._random.random()))

    def _arm(self, in_ms: int) -> None:
        """Make sure that the timers are looked at in `in_ms` milliseconds at the latest."""
        in_ms = min(max(in_ms, 0), _LONGEST_NAP_MS)
        until_ms = self._clock.monotonic_ms() + in_ms
        if self._nap is not None:
            if self._nap_until_ms <= until_ms:
                return
            self._nap.cancel()
        self._nap_until_ms = until_ms
        self._nap = asyncio.get_running_loop().call_later(in_ms / 1_000, self._wake)

    def _wake(self) -> None:
        self._nap = None
        self.fire_due()
        if self._nap is None and (self._wakes or self._expiries):
            now_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
            next_ms = [self._wakes[0][0] - now_ms] if self._wakes else []
            next_ms += [self._expiries[0][0] - monotonic_ms] if self._expiries else []
            self._arm(min(next_ms))
