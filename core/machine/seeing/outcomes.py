"""What a step has led to, whatever its kind: a step with steps of its own has no stored result, theirs make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....definitions.plan import Block, Foreach, Parallel, Plan, Switch, While
from ..state import StepState, StepStatus, plain


def result_of(plan: Plan, states: Mapping[str, StepState], path: str) -> Any:
    """The result of the step at a run path; null for one that has none, or has failed."""
    state = states.get(path)
    if state is None or state.status is not StepStatus.SUCCEEDED:
        return None
    if state.flow is None:
        return plain(state.result)
    flow = plan.step(path).flow
    if isinstance(flow, Foreach):
        return [result for number in sorted(state.parts) for result in plain(state.parts[number])["results"]]
    if isinstance(flow, Parallel):
        return {key: block_result(plan, states, block, f"{path}.{key}.") for key, block in flow.branches.items()}
    if isinstance(flow, Switch):
        return _of_switch(plan, states, flow, path, state)
    if isinstance(flow, While):
        last = state.flow.iteration - 1
        return None if last < 0 else block_result(plan, states, flow.body, f"{path}[{last}].")
    return plain(state.result)


def block_result(plan: Plan, states: Mapping[str, StepState], block: Block, prefix: str) -> Any:
    """That of its last step."""
    return result_of(plan, states, prefix + block.names[-1])


def failures_of(state: StepState) -> list[dict[str, Any]]:
    """The items of a foreach that failed, in order."""
    return [
        {"index": index, "type": type, "message": message}
        for number in sorted(state.parts)
        for index, type, message in plain(state.parts[number])["failures"]
    ]


def _of_switch(plan: Plan, states: Mapping[str, StepState], flow: Switch, path: str, state: StepState) -> Any:
    assert state.flow is not None
    chosen = state.flow.chosen
    if chosen is None:
        return None
    block = flow.cases.get(chosen, flow.otherwise)
    assert block is not None
    return block_result(plan, states, block, f"{path}.{chosen}.")
