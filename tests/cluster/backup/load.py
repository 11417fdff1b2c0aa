"""Instances of every kind under way, and what clients were told of them: the evidence that the checks go by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

from tests.kit.served import Caller

DEFINITIONS = {
    "chain": """
name: chain
steps:
  - {name: first, executor: work, input: {}}
  - {name: second, executor: work, input: {from: "{{ steps.first.result.mark }}"}}
  - {name: third, executor: work, input: {from: "{{ steps.second.result.mark }}"}}
""",
    "nap": """
name: nap
steps:
  - {name: first, executor: work, input: {}}
  - {name: rest, wait: 4s}
  - {name: second, executor: work, input: {from: "{{ steps.first.result.mark }}"}}
""",
    "ask": """
name: ask
steps:
  - {name: first, executor: work, input: {}, requires_approval: true}
  - {name: second, executor: work, input: {from: "{{ steps.first.result.mark }}"}}
""",
    "act-on": """
name: act-on
steps:
  - {name: first, executor: work, input: {}}
""",
    "fan": """
name: fan
steps:
  - name: each
    foreach: [a, b, c, d, e]
    max_parallel: 2
    steps:
      - {name: first, executor: work, input: {}}
      - {name: act, workflow: act-on}
      - {name: second, executor: work, input: {from: "{{ steps.first.result.mark }}"}}
""",
    "one-a-host": """
name: one-a-host
inputs: {host: {type: string, required: true}}
concurrency: {key: "{{ inputs.host }}"}
steps:
  - {name: first, executor: work, input: {host: "{{ inputs.host }}"}}
  - {name: second, executor: work, input: {host: "{{ inputs.host }}", from: "{{ steps.first.result.mark }}"}}
""",
    "later": """
name: later
concurrency: {key: one}
steps:
  - {name: first, executor: later, input: {}}
""",
    "idle": """
name: idle
steps:
  - {name: first, executor: idle, input: {}}
""",
}
WORKFLOWS = ("one-a-host", "later", "idle", "nap", "ask", "one-a-host", "fan", "chain")
HOST = "web-1"

Step = tuple[str, str]
"""An instance's id and a run path."""


class Ledger:
    """What was acknowledged. `started` has ids by idempotency key, `completed` the result's mark of each step.

    `held` are claimed steps whose executor works on, whatever happens to Elasticsearch.
    """

    def __init__(self) -> None:
        self.started: dict[str, str] = {}
        self.workflows: dict[str, str] = {}
        self.params: dict[str, dict[str, Any]] = {}
        self.approved: set[str] = set()
        self.completed: dict[Step, int] = {}
        self.claims: list[dict[str, Any]] = []
        self.held: list[dict[str, Any]] = []
        self.held_hosts: list[str] = []
        self.crowded: list[str] = []
        self.asking = 0
        self._marks = count(1)

    def copy(self) -> Ledger:
        """What is known now; the marks of later results are others."""
        other = Ledger()
        other.started, other.workflows, other.params = dict(self.started), dict(self.workflows), dict(self.params)
        other.approved, other.completed = set(self.approved), dict(self.completed)
        other.held = list(self.held)
        other._marks = count(next(self._marks) + 1_000_000)
        return other

    def mark(self) -> int:
        return next(self._marks)

    def took(self, step: dict[str, Any]) -> None:
        self.claims.append(step)
        host = step["payload"].get("host")
        if host is not None:
            if host in self.held_hosts:
                self.crowded.append(step["step_id"])
            self.held_hosts.append(host)

    def done_with(self, step: dict[str, Any]) -> None:
        """Its executor works on it no more, whatever becomes of the report."""
        host = step["payload"].get("host")
        if host is not None:
            self.held_hosts.remove(host)


def step_of(claimed: dict[str, Any]) -> Step:
    return claimed["workflow_id"], claimed["run_path"]


def keys() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Idempotency keys, each with its workflow and params, for ever."""
    for number in count():
        workflow = WORKFLOWS[number % len(WORKFLOWS)]
        params = {"host": HOST} if workflow == "one-a-host" else {}
        yield f"key-{number}", workflow, params


async def start(caller: Caller, key: str, workflow: str, params: dict[str, Any]) -> tuple[int, str]:
    path = f"/_workflows/{workflow}/_start"
    status, answer = await caller.send("POST", path, {"params": params}, {"Idempotency-Key": key})
    assert status in (200, 201), answer
    return status, answer["instance_id"]


async def start_on(caller: Caller, ledger: Ledger, pause_s: float) -> None:
    """Start instances until cancelled."""
    for key, workflow, params in keys():
        _, id = await start(caller, key, workflow, params)
        ledger.started[key], ledger.workflows[id], ledger.params[id] = id, workflow, params
        await asyncio.sleep(pause_s)


async def work(caller: Caller, ledger: Ledger, random: Random, capabilities: str, hold_s: float) -> None:
    """Claim steps, hold each for up to so long, and complete them, until cancelled."""
    while True:
        ledger.asking += 1
        try:
            status, answer = await caller.send(
                "POST", f"/_workflows/_steps/_claim?capability={capabilities}&max=2&wait=1s&lease=5s"
            )
        finally:
            ledger.asking -= 1
        steps = answer["steps"] if status == 200 else []
        for step in steps:
            ledger.took(step)
        for step in steps:
            await asyncio.sleep(random.uniform(0.0, hold_s))
            await complete(caller, ledger, step)


async def complete(caller: Caller, ledger: Ledger, step: dict[str, Any]) -> None:
    mark = ledger.mark()
    ledger.done_with(step)
    ledger.asking += 1
    try:
        path = f"/_workflows/_steps/{step['step_id']}/_complete"
        status, told = await caller.send("POST", path, {"result": {"mark": mark}})
    finally:
        ledger.asking -= 1
    assert status in (200, 409), told
    if status == 200:
        ledger.completed[step_of(step)] = mark


async def approve(caller: Caller, ledger: Ledger, *, every: int) -> None:
    """Decide every so manieth `ask` that nobody has decided yet, until cancelled."""
    while True:
        asks = [id for id, workflow in ledger.workflows.items() if workflow == "ask"]
        for id in asks[::every]:
            if id not in ledger.approved:
                status, told = await caller.send("POST", f"/_workflows/_instances/{id}/_approve", {})
                assert status == 200, told
                ledger.approved.add(id)
        await asyncio.sleep(0.1)
