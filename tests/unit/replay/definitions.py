"""Random definitions over the whole language, as YAML's values, and stubs that do anything."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from leasehold.claim.wire import Call, Usage
from leasehold.core.testing import NO_ANSWER, RELEASED, Delivery, Failure, StubStep, Takes

CHILD = {
    "name": "child",
    "inputs": {"n": {"type": "integer", "default": 0}},
    "steps": [
        {"name": "work", "executor": "any", "input": "{{ inputs.n }}", "compensate": {"executor": "any"}},
        {"name": "more", "executor": "any", "retry": {"max": 1, "initial": "5s"}},
    ],
    "outputs": {"n": "{{ steps.work.result }}"},
}

IN_ITEMS = "@"

_DURATIONS = ("1s", "30s", "5m", "2h")


class Author:
    """Writes definitions; each choice is the random source's."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._named = 0

    def definition(self) -> dict[str, Any]:
        steps = self._steps(2 + self._below(4), depth=0, inside=())
        found: dict[str, Any] = {"name": "whole", "steps": steps}
        if self._chance(3):
            found["max_duration"] = self._one("30s", "10m", "3h")
        if self._chance(4):
            found["budgets"] = {"llm_calls": self._below(12), "steps": 5 + self._below(40)}
        if self._chance(3):
            found["on_failure"] = self._steps(1, depth=2, inside=())
        if self._chance(3):
            found["on_cancel"] = self._steps(1, depth=2, inside=())
        if self._chance(2):
            found["outputs"] = {"last": f"{{{{ steps.{steps[-1]['name']}.result }}}}", "vars": "{{ vars | json }}"}
        return found

    def _steps(self, count: int, depth: int, inside: Sequence[str]) -> list[dict[str, Any]]:
        """A list of steps; `inside`: what is done before them outside, and IN_ITEMS inside a foreach."""
        steps: list[dict[str, Any]] = []
        done: dict[str, tuple[str, ...]] = {}
        for position in range(count):
            before = steps[-1]["name"] if steps else ""
            needed = [before] if before else []
            if position and self._chance(4):
                needed = self._one([], [steps[0]["name"]])
            seen = (*inside, *(name for each in needed for name in (*done[each], each)))
            step = self._step(depth, seen)
            if needed != ([before] if before else []):
                step["depends_on"] = needed
            done[step["name"]] = tuple(name for name in seen if name not in inside)
            steps.append(step)
        return steps

    def _step(self, depth: int, seen: Sequence[str]) -> dict[str, Any]:
        self._named += 1
        name = f"s{self._named}"
        kinds = ["executor"] * 5 + ["wait", "workflow"]
        if depth < 2:
            kinds += ["foreach", "parallel", "switch", "while", "foreach", "while", "workflow"]
        if IN_ITEMS not in seen:
            kinds += ["set", "signal", "end"]
        kind = self._one(*kinds)
        named = [each for each in seen if each != IN_ITEMS]
        step = {"name": name, **getattr(self, f"_{kind}")(depth, seen, named)}
        if self._chance(5) and named and "if" not in step:
            step["if"] = f"{{{{ {self._number(named)} > {self._below(4)} }}}}"
        return step

    def _executor(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        step: dict[str, Any] = {"executor": self._one("any", "other")}
        if self._chance(2) and named:
            step["input"] = {"from": f"{{{{ steps.{self._one(*named)}.result }}}}", "now": "{{ now }}"}
        if self._chance(2):
            step["retry"] = {"max": self._below(4), "initial": "2s", "jitter": self._one("none", "full")}
        if self._chance(3):
            step["timeout"] = self._one(*_DURATIONS)
        if self._chance(5):
            step["queue_timeout"] = "30s"
        if self._chance(4):
            step["requires_approval"] = True
            step["approval_timeout"] = self._one(*_DURATIONS)
            step["approval"] = {"on_timeout": self._one("fail", "approve", "skip")}
        if self._chance(4):
            step["compensate"] = {"executor": "any", "input": {"undo": "{{ error.type | default('') }}"}}
        if self._chance(4):
            step["cost"] = 0.5
        return self._guarded(step, seen)

    def _guarded(self, step: dict[str, Any], seen: Sequence[str]) -> dict[str, Any]:
        if self._chance(4):
            step["on_failure"] = "continue" if self._chance(2) else self._steps(1, depth=2, inside=seen)
        return step

    def _set(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        return {"set": {f"v{self._below(3)}": "{{ now }}" if not named else f"{{{{ {self._number(named)} }}}}"}}

    def _wait(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        return {"wait": self._one(*_DURATIONS)}

    def _workflow(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        step: dict[str, Any] = {"workflow": "child", "input": {"n": self._below(5)}}
        if self._chance(2):
            step["retry"] = {"max": 1, "initial": "3s"}
        if self._chance(3):
            step["timeout"] = self._one(*_DURATIONS)
        return self._guarded(step, seen)

    def _signal(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        return {
            "wait_for_signal": self._one("go", "stop"),
            "timeout": self._one(*_DURATIONS),
            "on_timeout": self._one("fail", "continue"),
        }

    def _end(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        if not named:
            return {"wait": "1s"}
        ends: tuple[dict[str, Any], ...] = ({"fail": "enough"}, {"succeed": {"early": True}})
        return {**self._one(*ends), "if": f"{{{{ {self._number(named)} > 6 }}}}"}

    def _foreach(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        return {
            "foreach": list(range(self._one(0, 1, 3, 20, 35))),
            "max_parallel": 1 + self._below(12),
            "on_item_failure": self._one("fail", "continue"),
            "steps": self._steps(1 + self._below(2), depth + 1, (*seen, IN_ITEMS)),
        }

    def _parallel(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        branches = {key: self._steps(1 + self._below(2), depth + 1, seen) for key in ("left", "right", "third")}
        return {"parallel": branches, "wait_for": self._one("all", "any", 2)}

    def _switch(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        value = f"{{{{ {self._number(named)} % 3 }}}}" if named else "{{ 1 }}"
        step: dict[str, Any] = {
            "switch": value,
            "cases": {key: self._steps(1, depth + 1, seen) for key in ("0", "1")},
        }
        if self._chance(2):
            step["else"] = self._steps(1, depth + 1, seen)
        return step

    def _while(self, depth: int, seen: Sequence[str], named: Sequence[str]) -> dict[str, Any]:
        body = self._steps(1 + self._below(2), depth + 1, seen)
        last = body[-1]["name"]
        return {
            "while": f"{{{{ (steps.{last}.result | json | length) % 5 != {self._below(5)} }}}}",
            "max_iterations": 2 + self._below(6),
            "steps": body,
        }

    def _number(self, named: Sequence[str]) -> str:
        return f"(steps.{self._one(*named)}.result | json | length)"

    def _below(self, bound: int) -> int:
        return self._random.randrange(bound)

    def _chance(self, of: int) -> bool:
        return self._random.randrange(of) == 0

    def _one(self, *choices: Any) -> Any:
        return choices[self._random.randrange(len(choices))]


class AnyStub:
    """An executor that does whatever executors do."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __call__(self, step: StubStep) -> Any:
        random = self._random
        if random.random() < 0.15:
            usage = Usage(llm_calls=random.randrange(2), cost=random.randrange(3) / 4)
            step.heartbeat(checkpoint={"page": random.randrange(9)}, usage=usage, calls=[Call("look")])
        outcome = self._outcome()
        return Takes(random.choice(_DURATIONS), outcome) if random.random() < 0.5 else outcome

    def _outcome(self) -> Any:
        random = self._random
        kind = random.random()
        if kind < 0.12:
            return Failure(random.choice(["boom", "http.503"]), retryable=random.random() < 0.8)
        if kind < 0.17:
            return NO_ANSWER
        if kind < 0.2:
            return RELEASED
        value = random.choice([None, 1, "text", {"n": random.randrange(20)}, list(range(random.randrange(9)))])
        return Delivery(value, usage=Usage(llm_calls=random.randrange(3))) if kind < 0.5 else value
