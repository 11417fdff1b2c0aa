"""Definitions that are steered, and what these tests do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from leasehold.claim.wire import InstanceView, StepView
from leasehold.core.orders import AnyOrder
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import ANYBODY, Scheduler, documents, scheduler

FOREVER = 1_000_000_000
AUDIT = "workflow-audit"
INSTANCES = "workflow-instances"

FRAIL = """
name: frail
inputs: {n: {type: integer, default: 1}}
steps:
  - {name: first, executor: work}
  - {name: second, executor: work, input: {n: "{{ inputs.n }}"}}
  - {name: third, executor: work, input: {got: "{{ steps.second.result }}"}}
outputs: {third: "{{ steps.third.result }}"}
"""

FAN = """
name: fan
inputs:
  hosts: {type: array, default: []}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 40
    steps:
      - {name: apply, executor: work, requires_approval: true, input: {host: "{{ item }}"}}
"""

ASKING = """
name: asking
steps:
  - name: act
    executor: work
    requires_approval: true
    approval:
      form:
        amount: {type: integer, required: true}
        note: {type: string, default: none}
"""

WAITING = """
name: waiting
steps:
  - {name: ticket, wait_for_signal: closed}
  - {name: after, executor: work, input: {got: "{{ steps.ticket.result }}"}}
"""


@asynccontextmanager
async def dying(cluster: ModelElasticsearch, **options: Any) -> AsyncIterator[Scheduler]:
    """A replica that ends as by SIGKILL: nothing that it sends from then on arrives."""
    async with scheduler(cluster, **options) as s:
        yield s
        s.faults.cut_off(times=FOREVER)


async def told(s: Scheduler, instance_id: str, order: AnyOrder, principal: Principal = ANYBODY) -> InstanceView:
    return await s.replica.steer(principal, instance_id, order)


async def viewed(s: Scheduler, instance_id: str) -> InstanceView:
    return await s.replica.instance(ANYBODY, instance_id)


def step_of(view: InstanceView, path: str) -> StepView:
    return next(step for step in view.steps if step.run_path == path)


async def fail_second(s: Scheduler, **params: Any) -> str:
    """An instance of `frail` whose second step has failed for good; returns its id."""
    id = (await s.start("frail", **params)).instance_id
    await s.complete(await s.claim_one(), "one")
    await s.fail(await s.claim_one(), "boom", "it broke")
    return id


async def in_history(s: Scheduler) -> None:
    """Returns once what has ended is in history and has left the lane."""
    await asyncio.sleep(5)


def trail(cluster: ModelElasticsearch) -> list[tuple[str, str, str]]:
    """The orders' audit rows as (action, who, instance), oldest first."""
    return [(row["event"]["action"], row["user"]["name"], row["workflow"]["id"]) for row in order_rows(cluster)]


def order_rows(cluster: ModelElasticsearch) -> list[dict[str, Any]]:
    """The audit rows of orders, oldest first."""
    rows = [row for id, row in documents(cluster, AUDIT).items() if ":audit:" in id]
    return sorted(rows, key=lambda row: str(row["@timestamp"]))
