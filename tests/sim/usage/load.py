"""Random work of several tenants: retries, failures, leases that run out, foreach, sub-workflows, cancellations."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from leasehold.claim.wire import CompleteBody, ErrorInfo, FailBody, HeartbeatBody, StartBody, Usage
from leasehold.core.errors import LeaseholdError
from leasehold.core.orders import Retry
from leasehold.core.principal import Principal

from tests.kit.schedulers import Scheduler

EVERYBODY = Principal("provider", "*", roles=("operator",))
WORKFLOWS = (
    """
name: called
steps:
  - {name: only, executor: work, input: {who: "{{ inputs.host }}"}}
outputs: {got: "{{ steps.only.result }}"}
""",
    """
name: many
steps:
  - name: each
    foreach: "{{ inputs.hosts }}"
    on_item_failure: continue
    steps:
      - {name: scan, executor: work, input: {host: "{{ item }}"}, retry: {max: 3, initial: 1s}}
""",
    """
name: calling
steps:
  - {name: before, executor: work, timeout: 20s, retry: {max: 2, initial: 1s}}
  - {name: call, workflow: called, input: {host: "hôte"}}
""",
)
INPUTS: dict[str, dict[str, Any]] = {
    "called": {"host": "h"},
    "many": {"hosts": [f"host-{n}" for n in range(20)]},
    "calling": {},
}
TENANTS = ("acme", "globex", "initech")


async def define(s: Scheduler) -> None:
    for source in WORKFLOWS:
        name = source.split("name:", 1)[1].split()[0]
        await s.replica.put_definition(EVERYBODY, name, source.encode())


async def start(s: Scheduler, random: Random) -> str | None:
    name = random.choice(tuple(INPUTS))
    who = Principal("tester", random.choice(TENANTS))
    try:
        answer, _ = await s.replica.start(
            who, name, StartBody(params=INPUTS[name]), idempotency_key=None, traceparent=None
        )
    except LeaseholdError:
        return None
    return answer.instance_id


async def work(s: Scheduler, random: Random, *, until_idle_ms: int = 30_000) -> None:
    """Claim and end steps in random ways until none comes for a while."""
    while True:
        try:
            steps = await s.replica.claim(
                EVERYBODY, ("work",), max_steps=8, lease_ms=5_000, wait_ms=until_idle_ms, worker="w", request_id=None
            )
        except LeaseholdError:
            await asyncio.sleep(1)
            continue
        if not steps:
            return
        for step in steps:
            await asyncio.sleep(random.random() / 10)
            used = Usage(random.randrange(3), random.randrange(1_000), random.randrange(10_000) / 1_000)
            try:
                await _end(s, step.step_id, used, random)
            except LeaseholdError:
                continue


async def bring_back(s: Scheduler, ids: list[str], random: Random) -> None:
    for id in random.sample(ids, len(ids) // 2):
        try:
            await s.replica.steer(EVERYBODY, id, Retry())
        except LeaseholdError:
            continue


async def _end(s: Scheduler, step_id: str, used: Usage, random: Random) -> None:
    how = random.random()
    if how < 0.1:
        await s.replica.heartbeat(EVERYBODY, step_id, HeartbeatBody(usage=used))
    elif how < 0.25:
        error = ErrorInfo(random.choice(("http.503", "broken")), "no")
        await s.replica.fail(EVERYBODY, step_id, FailBody(error, retryable=how < 0.2, usage=used))
    else:
        await s.replica.complete(EVERYBODY, step_id, CompleteBody({"é": "x" * random.randrange(50)}, usage=used))
