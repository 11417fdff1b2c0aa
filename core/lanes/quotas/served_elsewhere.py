"""Replicas tell each other whom they have served, so that tenants' shares hold over all of them together.

Each has a queue of its own, and a tenant may wait at some of them alone. What it got elsewhere is charged here as if it
had got it here (`tenancy.fair_queue`). What is not heard of is not charged: a lost message makes a second less fair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...errors import LeaseholdError
from ...metrics import Metrics
from ...peers import Peers, ServedAt
from ...principal import Principal
from ..memory.ready_queue import ReadyQueue


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

    async def pass_once(self) -> int:
        """Tell the others what was charged here since the last pass; returns how many heard it. Silent when idle."""
        served = self._queue.take_served()
        if not served:
            return 0
        request = ServedAt(self._principal, served)
        told = await asyncio.gather(*(self._tell(address, request) for address in self._addresses()))
        return sum(told)

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
