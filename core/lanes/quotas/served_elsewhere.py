"""Replicas tell each other whom they have served, so that tenants' shares hold over all of them together.

Each has a queue of its own, and a tenant may wait at some of them alone. Whoever got more elsewhere than the tenants
that wait here got on average, by weight, is put behind by that here, and who got less before (`tenancy.fair_queue`).
What all got alike changes nothing, so a tenant that has just come meets no debts of others.

It is done little by little: all replicas hear of the same imbalance and each makes up for it, so at once it would be
made up for as many times as there are others, and the next second the other way round. What is not heard of is not made
up for: a lost message makes a second less fair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ...errors import LeaseholdError
from ...metrics import Metrics
from ...peers import Peers, ServedAt
from ...principal import Principal
from ..memory.ready_queue import ReadyQueue

# What is left to be made up for and not worth another pass, in milliseconds or claims.
_NOTHING = 0.01


class ServedElsewhere:
    """One replica's exchange. `addresses` says where the other replicas answer."""

    def __init__(
        self,
        *,
        queue: ReadyQueue,
        peers: Peers,
        addresses: Callable[[], list[str]],
        replica_id: str,
        every_ms: int,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._peers = peers
        self._addresses = addresses
        self._principal = Principal(replica_id, tenant="")
        self._every_ms = every_ms
        self._metrics = metrics
        # What tenants that wait here are to be put behind by, or before (negative), by capability.
        self._owed: dict[str, dict[str, float]] = {}

    def heard(self, served: Mapping[str, Mapping[str, float]]) -> None:
        """What another replica has charged tenants since it told last, by capability."""
        for capability, costs in served.items():
            weights = self._queue.waiting(capability)
            if not weights:
                continue
            owed = self._owed.setdefault(capability, {})
            average = sum(costs.get(tenant, 0.0) for tenant in weights) / sum(weights.values())
            for tenant, weight in weights.items():
                owed[tenant] = owed.get(tenant, 0.0) + costs.get(tenant, 0.0) - average * weight

    def weights_change(self) -> None:
        """What is still to be made up for was so much by the weights that the queue still has: it is forgotten.

        By the new ones it would be more or less, and somebody would be alone or left out for seconds.
        """
        if self._queue.reweighs:
            self._owed.clear()

    async def pass_once(self) -> int:
        """Make up for a part of what was heard, and tell the others what was charged here; returns how many heard it.

        Silent when idle.
        """
        addresses = self._addresses()
        self._make_up(1 / (2 * (len(addresses) + 1)))
        served = self._queue.take_served()
        if not served:
            return 0
        request = ServedAt(self._principal, served)
        told = await asyncio.gather(*(self._tell(address, request) for address in addresses))
        return sum(told)

    def _make_up(self, part: float) -> None:
        """For a part of what is left. With half of each replica's own part nothing swings, however many there are."""
        for capability, costs in list(self._owed.items()):
            self._queue.adjust(capability, {tenant: part * cost for tenant, cost in costs.items()})
            waits = self._queue.waiting(capability)
            left = {name: (1 - part) * cost for name, cost in costs.items() if abs(cost) > _NOTHING and name in waits}
            if left:
                self._owed[capability] = left
            else:
                del self._owed[capability]

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        while True:
            await asyncio.sleep(self._every_ms / 1_000)
            if await self.pass_once():
                self._metrics.loop("served_elsewhere")

    async def _tell(self, address: str, request: ServedAt) -> bool:
        try:
            await self._peers.ask(address, request)
        except LeaseholdError:
            return False
        return True
