"""What it costs to decide whose step is claimed next, with many tenants, in processor time of this process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import cycle, islice
from time import process_time_ns

from msgspec import Struct

from ...core.app.collector import rare_collections
from ...tenancy import FairQueue, May

WEIGHTS = 10


class Decisions(Struct, frozen=True):
    """Microseconds, the best of some rounds each.

    `pop_us`: one entry taken. `push_and_pop_us`: one taken, and one of the same tenant added. `half_blocked_us`: the
    same, while the steps of every second tenant are held back. `refused_us`: the same, and each time one of those held
    back is tried again, in vain.
    """

    pop_us: float
    push_and_pop_us: float
    half_blocked_us: float
    refused_us: float


class _Standing:
    """A queue in which every tenant has so many entries, spread over lanes. Tenant `t7` has weight 8, and so on."""

    def __init__(self, tenants: int, each: int, lanes: int) -> None:
        self.tenants = [f"t{number}" for number in range(tenants)]
        self._blocked = frozenset(self.tenants[1::2])
        weights = {tenant: 1.0 + number % WEIGHTS for number, tenant in enumerate(self.tenants)}
        self.queue: FairQueue[tuple[str, int]] = FairQueue(lambda entry: True, weight_of=weights.__getitem__)
        self._lanes = lanes
        self._lane_of = dict.fromkeys(self.tenants, 0)
        self._pushed = 0
        for _ in range(each):
            for tenant in self.tenants:
                self.push(tenant)

    def push(self, tenant: str) -> None:
        lane = self._lane_of[tenant]
        self._lane_of[tenant] = (lane + 1) % self._lanes
        self._pushed += 1
        self.queue.push(tenant, self._pushed, (tenant, lane), lane)

    def may(self, tenant: str, _lane: Hashable) -> May:
        """Every second tenant has to wait."""
        return May.BLOCK_TENANT if tenant in self._blocked else May.PASS

    def unblock(self, tenant: str) -> None:
        for lane in range(self._lanes):
            self.queue.unblock(tenant, lane)


def decisions(*, tenants: int, each: int, lanes: int, taken: int, rounds: int) -> Decisions:
    """Measure with so many tenants, `each` entries of theirs in `lanes` lanes, `taken` entries a round."""

    def best_us(work: Callable[[], Callable[[], None]]) -> float:
        """Each round has a queue of its own, which is made before the clock starts."""
        return round(min(_timed_ns(work) for _ in range(rounds)) / taken / 1_000, 2)

    def standing(*, blocked: bool = False) -> _Standing:
        found = _Standing(tenants, each, lanes)
        for _ in range(tenants if blocked else 0):
            # By then every tenant that has to wait has been met.
            _take_one(found, found.may)
        return found

    return Decisions(
        pop_us=best_us(lambda: _pops(standing(), taken)),
        push_and_pop_us=best_us(lambda: _replaced(standing(), taken, blocking=False)),
        half_blocked_us=best_us(lambda: _replaced(standing(blocked=True), taken, blocking=True)),
        refused_us=best_us(lambda: _refused(standing(blocked=True), taken)),
    )


def _pops(standing: _Standing, taken: int) -> Callable[[], None]:
    pop = standing.queue.pop

    def work() -> None:
        for _ in range(taken):
            pop()

    return work


def _replaced(standing: _Standing, taken: int, *, blocking: bool) -> Callable[[], None]:
    may = standing.may if blocking else _passes

    def work() -> None:
        for _ in range(taken):
            _take_one(standing, may)

    return work


def _refused(standing: _Standing, taken: int) -> Callable[[], None]:
    def work() -> None:
        for tenant in islice(cycle(standing.tenants[1::2]), taken):
            standing.unblock(tenant)
            _take_one(standing, standing.may)

    return work


def _take_one(standing: _Standing, may: Callable[[str, Hashable], May]) -> None:
    entry = standing.queue.pop(None, may)
    assert entry is not None, "every tenant that may be served has something"
    standing.push(entry[0])


def _passes(_tenant: str, _lane: Hashable) -> May:
    return May.PASS


def _timed_ns(make: Callable[[], Callable[[], None]]) -> int:
    work = make()
    # As in a replica.
    with rare_collections():
        began_ns = process_time_ns()
        work()
        return process_time_ns() - began_ns
