"""What the machine is measured on: runs of definitions, recorded with the test kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ...core.replay import Recording
from ...core.testing import Failure, StubStep, play
from ...definitions import Plan, load

CHAIN_STEPS = 10
BEATS = 10
"""Heartbeats with a checkpoint in each attempt of `retried`."""


class Workload(Struct, frozen=True):
    """A run that has succeeded, and the plan that it ran."""

    recording: Recording
    plan: Plan

    @property
    def events(self) -> int:
        """All of them, those of the shares of its foreach steps too."""
        return _events(self.recording)


def chain() -> Workload:
    """Ten steps, one after the other; the input of each is a template of the result before."""
    return _played(_chain(), {"work": {"n": 1}})


def retried(attempts: int) -> Workload:
    """The same, whose first step fails until this attempt, each with heartbeats that bring checkpoints."""
    definition = _chain()
    retry = {"max": attempts, "initial": "1ms", "backoff": "constant", "jitter": "none"}
    definition["steps"][0]["retry"] = retry

    def work(step: StubStep) -> Any:
        if step.name != "step-0":
            return {"n": 1}
        for beat in range(BEATS):
            step.heartbeat(checkpoint={"page": beat})
        return {"n": 1} if step.attempt == attempts else Failure("http.503")

    return _played(definition, {"work": work})


def loop(iterations: int) -> Workload:
    """A while over one step."""
    again = "{{ (steps.probe.result or {'more': true}).more }}"
    body = [{"name": "probe", "executor": "work"}]
    steps = [{"name": "until-quiet", "while": again, "max_iterations": iterations + 1, "steps": body}]
    asked = 0

    def work(step: StubStep) -> dict[str, bool]:
        nonlocal asked
        asked += 1
        return {"more": asked < iterations}

    return _played({"name": "loop", "steps": steps}, {"work": work})


def fan_out(items: int) -> Workload:
    """A foreach over so many items, with one step each that speaks of the item and of a step before."""
    scan = {"name": "scan", "executor": "work", "input": {"host": "{{ item }}", "at": "{{ steps.list.result.at }}"}}
    definition = {
        "name": "fan-out",
        "inputs": {"hosts": {"type": "array"}},
        "steps": [
            {"name": "list", "executor": "list"},
            {"name": "each-host", "foreach": "{{ inputs.hosts }}", "max_parallel": 10, "steps": [scan]},
        ],
    }
    hosts = [f"host-{number:05}.example.org" for number in range(items)]
    stubs = {"list": {"at": 7}, "work": lambda step: {"host": step.payload["host"], "open": [22, 443], "quiet": True}}
    return _played(definition, stubs, params={"hosts": hosts})


def _chain() -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for number in range(CHAIN_STEPS):
        given: Any = f"{{{{ steps.step-{number - 1}.result.n }}}}" if number else 1
        steps.append({"name": f"step-{number}", "executor": "work", "timeout": "30s", "input": {"n": given}})
    return {"name": "chain", "steps": steps}


def _played(
    definition: dict[str, Any], executors: Mapping[str, Any], *, params: Mapping[str, Any] | None = None
) -> Workload:
    (loaded,) = load(msgspec.json.encode(definition))
    run = play(loaded, params=params, executors=executors)
    run.until_done()
    assert run.status == "succeeded", run.error
    return Workload(run.recording(), loaded.compile())


def _events(recording: Recording) -> int:
    return len(recording.events) + sum(map(_events, recording.shares.values()))
