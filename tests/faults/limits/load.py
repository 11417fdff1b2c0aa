"""Callers that start, and executors that claim, work, renew, end, or forget a step."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

from leasehold.claim import ClaimClient, ClaimedStep, ClaimError, LeaseLost, OutcomeUnknown

from ..ground import Ground
from .ground import WORKFLOW
from .ledger import Ledger

# So many instances of a tenant are open at a time; the starts that wait to be admitted are among them.
OPEN = {"ten": 40}
_OPEN = 10
LEASE_S = 3
_RENEW_EVERY_S = 0.5
_CLAIMS_AT_ONCE = 6
_TAKES_S = (0.02, 0.15)
# What has many slots needs long steps to use them all.
_OF_SOME_S = {("ten", "work"): (0.8, 1.5)}


class Load:
    """`starting`: callers go on to start, each tenant keeping some instances open."""

    def __init__(self, ground: Ground, ledger: Ledger) -> None:
        self._ground = ground
        self._ledger = ledger
        self._keys = 0
        self.starting = True

    async def start(self, tenant: str) -> None:
        """Start instances, one after another, each until a server has answered."""
        async with self._ground.client(tenant=tenant, worker=f"caller-of-{tenant}") as client:
            while self.starting:
                if self._ledger.open(tenant) < OPEN.get(tenant, _OPEN):
                    await self._start_one(client, tenant)
                else:
                    await asyncio.sleep(0.05)

    async def _start_one(self, client: ClaimClient, tenant: str) -> None:
        self._keys += 1
        key = f"start-{self._keys}"
        while True:
            with suppress(ClaimError):
                answer = await client.start(WORKFLOW, idempotency_key=key)
                self._ledger.started[tenant].add(answer.instance_id)
                return

    async def work(self, name: str, capability: str) -> None:
        """An executor for all tenants, until cancelled: several claims and their steps at a time."""
        random = Random(name)
        async with self._ground.client(tenant="*", worker=name) as client, asyncio.TaskGroup() as group:
            for _ in range(_CLAIMS_AT_ONCE):
                group.create_task(self._claim(client, capability, random))

    async def _claim(self, client: ClaimClient, capability: str, random: Random) -> None:
        while True:
            with suppress(ClaimError):
                timed = await client.claim_timed(capability, max=3, lease=f"{LEASE_S}s", wait="1s")
                self._ledger.claimed(timed.steps, timed.since_s)
                await asyncio.gather(*(self._carry_out(client, step, random) for step in timed.steps))

    async def _carry_out(self, client: ClaimClient, step: ClaimedStep, random: Random) -> None:
        kind = random.random()
        if kind < 0.02:
            # Forgotten: the lease has to run out.
            self._ledger.told["forgotten"] += 1
            return
        if kind < 0.05:
            await self._long(client, step, LEASE_S * 1.5)
        else:
            await asyncio.sleep(random.uniform(*_OF_SOME_S.get((step.tenant, step.capability), _TAKES_S)))
        await self._complete(client, step)

    async def _long(self, client: ClaimClient, step: ClaimedStep, for_s: float) -> None:
        """Renew for as long as the work takes."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + for_s
        while loop.time() < until_s:
            await asyncio.sleep(_RENEW_EVERY_S)
            sent_s = loop.time()
            try:
                answer = await client.heartbeat(step)
            except LeaseLost:
                self._ledger.lost(step, self._ledger.let_go(step))
                return
            except ClaimError:
                continue
            self._ledger.renewed(step, sent_s, answer.lease_ttl_ms)

    async def _complete(self, client: ClaimClient, step: ClaimedStep) -> None:
        until_s = self._ledger.let_go(step)
        try:
            await client.complete(step, {"attempt": step.attempt})
        except LeaseLost as lost:
            self._ledger.told["completion refused"] += 1
            if lost.after_unknown:
                self._ledger.over(step)
            else:
                self._ledger.lost(step, until_s)
        except OutcomeUnknown:
            self._ledger.told["completion unknown"] += 1
            self._ledger.over(step)
        else:
            self._ledger.completed(step)
