"""Replicas tell each other whom they have served, so that tenants' shares hold over all of them together.

Each has a queue of its own, and a tenant may wait at some of them alone. What it got elsewhere is charged here as if it
had got it here (`tenancy.fair_queue`), little by little: all replicas hear of the same imbalance and each corrects it,
so charging at once would correct it as many times as there are others, and the next second the other way round. What is
not heard of is not charged: a lost message makes a second less fair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ...errors import LeaseholdError
from ...metrics import Metrics
from ...peers import Peers, ServedAt
from ...principal import Principal
from ..memory.ready_queue import ReadyQueue

# What is left of a charge and not worth another pass, in milliseconds or claims.
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
        self._heard: dict[str, dict[str, float]] = {}

    def heard(self, served: Mapping[str, Mapping[str, float]]) -> None:
        """What another replica has charged tenants since it told last, by capability."""
        for capability, costs in served.items():
            known = self._heard.setdefault(capability, {})
            for tenant, cost in costs.items():
                known[tenant] = known.get(tenant, 0.0) + cost

    def weights_change(self) -> None:
        """What is still to be charged was served under the weights that the queue still has, so it is charged now.

        Under the new ones it would be worth more or less than at the replicas that served it, and whoever got a larger
        weight would be alone for seconds.
        """
        if self._queue.reweighs:
            self._charge(1.0)

    async def pass_once(self) -> int:
        """Charge a part of what was heard, and tell the others what was charged here; returns how many heard it.

        Silent when idle.
        """
        addresses = self._addresses()
        self._charge(1 / (2 * (len(addresses) + 1)))
        served = self._queue.take_served()
        if not served:
            return 0
        request = ServedAt(self._principal, served)
        told = await asyncio.gather(*(self._tell(address, request) for address in addresses))
        return sum(told)

    def _charge(self, part: float) -> None:
        """A part of what is still to be charged. With half of each replica's own part nothing swings, however many."""
        for capability, costs in list(self._heard.items()):
            self._queue.charge_elsewhere({capability: {tenant: part * cost for tenant, cost in costs.items()}})
            left = {tenant: (1 - part) * cost for tenant, cost in costs.items() if abs(cost) > _NOTHING}
            if left:
                self._heard[capability] = left
            else:
                del self._heard[capability]

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
