"""Callers that start (in bulk, one by one, under keys) and cancel, executors, and what all of them were told."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random

from leasehold.claim import ClaimClient, ClaimedStep, ClaimError, LeaseLost, OutcomeUnknown, Refused
from leasehold.claim.wire import StartItem
from msgspec import Struct, field

from ..ground import Ground

TENANT = "acme"
WORKFLOWS = {"two": 2, "three": 3}
_OPEN = 60
_IN_BULK = 12
_CANCELLED = 0.2
_LEASE_S = 3
_TAKES_S = (0.0, 0.1)


def definition(name: str) -> str:
    steps = "".join(f"  - {{name: step-{n}, executor: work}}\n" for n in range(WORKFLOWS[name]))
    return f"""
name: {name}
version: 1
defaults: {{retry: {{max: 100, initial: 50ms, max_delay: 200ms}}}}
steps:
{steps}"""


class Ledger(Struct):
    """What was acknowledged: instances by id, attempts by the id of their row. `doubtful_starts`: instances that may
    have been started without anybody knowing their id."""

    started: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    succeeded: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    doubtful_starts: int = 0
    told: Counter[str] = field(default_factory=Counter)


class Load:
    """`starting`: callers go on to start. `ended`: how many instances can have ended, as far as is known."""

    def __init__(self, ground: Ground, ledger: Ledger) -> None:
        self._ground = ground
        self._ledger = ledger
        self._last = {f"step-{steps - 1}" for steps in WORKFLOWS.values()}
        self._keys = 0
        self.ended = 0
        self.starting = True

    async def start(self, name: str) -> None:
        """Start instances, one request after another, and cancel some of them."""
        random = Random(name)
        ways = (self._start_one, self._start_with_key, self._start_many)
        async with self._ground.client(tenant=TENANT, worker=name) as client, asyncio.TaskGroup() as cancels:
            while self.starting:
                if len(self._ledger.started) - self.ended > _OPEN:
                    await asyncio.sleep(0.05)
                    continue
                for id in await random.choice(ways)(client, random.choice(list(WORKFLOWS))):
                    self._ledger.started.add(id)
                    if random.random() < _CANCELLED:
                        cancels.create_task(self._cancel(client, id, random.uniform(0, 1)))

    async def _start_one(self, client: ClaimClient, workflow: str) -> list[str]:
        """Without a key: what an unknown outcome has begun, nobody knows."""
        try:
            return [(await client.start(workflow)).instance_id]
        except OutcomeUnknown:
            self._ledger.doubtful_starts += 1
        except ClaimError:
            pass
        return []

    async def _start_with_key(self, client: ClaimClient, workflow: str) -> list[str]:
        key = self._key()
        while True:
            with suppress(ClaimError):
                return [(await client.start(workflow, idempotency_key=key)).instance_id]

    async def _start_many(self, client: ClaimClient, workflow: str) -> list[str]:
        """In one request; every other one under a key of its own, all of them until each is started."""
        left = [StartItem(workflow=workflow, idempotency_key=self._key()) for _ in range(_IN_BULK)]
        ids: list[str] = []
        while left:
            with suppress(ClaimError):
                results = await client.start_many(left)
                ids += [one.instance_id for one in results if one.instance_id is not None]
                left = [item for item, one in zip(left, results, strict=True) if one.instance_id is None]
        return ids

    def _key(self) -> str:
        self._keys += 1
        return f"start-{self._keys}"

    async def _cancel(self, client: ClaimClient, id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            try:
                await client.cancel(id, reason="no more")
            except Refused:
                # It has ended already.
                return
            except ClaimError:
                continue
            self._ledger.cancelled.add(id)
            self.ended += 1
            return

    async def work(self, name: str) -> None:
        """An executor, until cancelled."""
        random = Random(name)
        async with self._ground.client(tenant=TENANT, worker=name) as client:
            while True:
                with suppress(ClaimError):
                    steps = await client.claim("work", max=4, lease=f"{_LEASE_S}s", wait="1s")
                    await asyncio.gather(*(self._carry_out(client, step, random) for step in steps))

    async def _carry_out(self, client: ClaimClient, step: ClaimedStep, random: Random) -> None:
        kind, row = random.random(), f"{step.workflow_id}:{step.run_path}:{step.attempt}"
        if kind < 0.02:
            # Forgotten: the lease has to run out.
            return
        await asyncio.sleep(random.uniform(*_TAKES_S))
        try:
            if kind < 0.1:
                await client.fail(step, "flaky", "not this time")
                self._ledger.failed.add(row)
            else:
                await client.complete(step, {"attempt": step.attempt})
                self._ledger.succeeded.add(row)
                self.ended += step.run_path in self._last
        except LeaseLost:
            self._ledger.told["lease lost"] += 1
        except ClaimError:
            self._ledger.told["end unknown"] += 1
