"""Definitions with children, and what tests of them do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from leasehold.claim.wire import ClaimedStep
from leasehold.core.lanes.lane import Lane

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import LANE, NAMES, Scheduler, documents, live, scheduler

FOREVER = 1_000_000_000

FAN = """
name: fan
inputs:
  hosts: {type: array, default: []}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 40
    steps:
      - {name: scan, executor: work, input: {host: "{{ item }}", n: "{{ index }}"}}
  - {name: after, executor: work, input: {got: "{{ steps.each-host.result }}"}}
outputs: {all: "{{ steps.each-host.result }}"}
"""

CALLED = """
name: called
inputs: {host: {type: string, required: true}}
steps:
  - {name: isolate, executor: work, input: {host: "{{ inputs.host }}"}}
outputs: {done: "{{ steps.isolate.result }}"}
"""

CALLS = """
name: calls
labels: {team: soc}
steps:
  - {name: call, workflow: called, input: {host: "{{ inputs.host }}"}}
  - {name: after, executor: work, input: {got: "{{ steps.call.result }}"}}
outputs: {got: "{{ steps.call.result }}"}
"""


@asynccontextmanager
async def dying(cluster: ModelElasticsearch, **options: Any) -> AsyncIterator[Scheduler]:
    """A replica that ends as by SIGKILL: nothing that it sends from then on arrives."""
    async with scheduler(cluster, **options) as s:
        yield s
        s.faults.cut_off(times=FOREVER)


def the_lane(s: Scheduler) -> Lane:
    """The replica's one lane."""
    (lane,) = s.replica._engine.lanes.values()
    return lane


async def work(
    s: Scheduler, *, result: Callable[[ClaimedStep], Any] | None = None, at_most: int = 1_000_000, lot: int = 50
) -> list[ClaimedStep]:
    """Claim and complete whatever there is, until nothing comes for a while; in the order of the claims."""
    done: list[ClaimedStep] = []
    while len(done) < at_most:
        steps = await s.claim(max_steps=min(lot, at_most - len(done)), wait_ms=3_000)
        if not steps:
            return done
        await asyncio.gather(*(s.complete(step, result(step) if result else step.payload) for step in steps))
        done += steps
    return done


async def until_empty(cluster: ModelElasticsearch, within_s: float = 30) -> None:
    """Returns once no document is left in the lane but the fence. Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while len(documents(cluster, LANE)) > 1:
            await asyncio.sleep(0.2)


def children(cluster: ModelElasticsearch) -> dict[str, dict[str, Any]]:
    """The documents of child instances in the lane."""
    return {id: source for id, source in live(cluster).items() if source.get("parent_id")}


def sides(cluster: ModelElasticsearch) -> dict[str, dict[str, Any]]:
    """The side documents in the lane."""
    return documents(cluster, LANE, "side")


def rows(cluster: ModelElasticsearch, kind: str) -> dict[str, dict[str, Any]]:
    """What stands in history: `steps`, `instances` or `events`, by id."""
    return documents(cluster, getattr(NAMES, kind))


NESTED = """
name: nested
inputs:
  groups: {type: array, default: []}
steps:
  - {name: before, executor: work, input: {prefix: p}}
  - name: each-group
    foreach: "{{ inputs.groups }}"
    max_parallel: 3
    steps:
      - {name: open, executor: work, input: "{{ item.name }}"}
      - name: each-host
        foreach: "{{ item.hosts }}"
        max_parallel: 5
        steps:
          - name: scan
            executor: work
            input: "{{ steps.before.result.prefix }}/{{ steps.open.result }}/{{ item }}"
outputs: {all: "{{ steps.each-group.result }}"}
"""

CALLS_EACH = """
name: calls-each
inputs:
  hosts: {type: array, default: []}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 4
    workflow: called
    input: {host: "{{ item }}"}
outputs: {all: "{{ steps.each-host.result }}"}
"""

UNDONE = """
name: undone
inputs:
  hosts: {type: array, default: []}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 2
    steps:
      - name: book
        executor: work
        input: "{{ item }}"
        compensate: {executor: work, input: "{{ item }}"}
  - {name: charge, executor: work}
"""

LARGE = """
name: large
inputs:
  hosts: {type: array, default: []}
steps:
  - {name: before, executor: work}
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 8
    steps:
      - name: scan
        executor: work
        input: "{{ item.id }}/{{ steps.before.result | length }}"
outputs: {all: "{{ steps.each-host.result }}"}
"""

LOOPED = """
name: looped
inputs:
  hosts: {type: array, default: []}
steps:
  - name: until-quiet
    while: "{{ (steps.probe.result or {'more': true}).more }}"
    max_iterations: 10
    steps:
      - name: each-host
        foreach: "{{ inputs.hosts }}"
        steps:
          - {name: scan, executor: work, input: "{{ item }}"}
      - {name: probe, executor: work}
"""
