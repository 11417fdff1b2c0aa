"""Usage: what attempts report, summed into the instance and held against its budgets.

A report is cumulative for its attempt. Of two reports the larger figure of each field stands, so repeats and reports
that arrive out of order count once. Sums stop at the bounds that the wire sets for a report: stored usage must decode.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...claim.wire import ErrorInfo, Usage
from ...definitions.plan import NO_BUDGETS
from .state import StepState
from .turn import Turn

NOTHING = Usage()

_MOST = 2**53 - 1
_MOST_COST = 1e15


def bill(turn: Turn, path: str, state: StepState, reported: Usage | None) -> StepState:
    """`absorb` at an attempt's end, where the step's `cost` stands for that of an executor that reports none."""
    cost = turn.step(path).cost
    if cost and (reported is None or not reported.cost):
        reported = Usage(cost=cost) if reported is None else replace(reported, cost=cost)
    return state if reported is None else absorb(turn, state, reported)


def absorb(turn: Turn, state: StepState, reported: Usage) -> StepState:
    """The state with this report in it; the instance's sum grows by what is new. The caller puts the state."""
    known = state.usage or NOTHING
    released = state.usage_released or NOTHING
    usage = Usage(
        max(known.llm_calls, _add(released.llm_calls, reported.llm_calls)),
        max(known.llm_tokens, _add(released.llm_tokens, reported.llm_tokens)),
        max(known.cost, min(released.cost + reported.cost, _MOST_COST)),
    )
    if usage == known:
        return state
    grow(turn, known, usage)
    return replace(state, usage=usage)


def grow(turn: Turn, known: Usage, usage: Usage) -> None:
    """The instance's sum grows by what `usage` has more than what was known before; never shrinks."""
    total = turn.usage
    turn.usage = Usage(
        _add(total.llm_calls, max(0, usage.llm_calls - known.llm_calls)),
        _add(total.llm_tokens, max(0, usage.llm_tokens - known.llm_tokens)),
        min(total.cost + max(0.0, usage.cost - known.cost), _MOST_COST),
    )


def overspent(turn: Turn, *, ended: int = 0) -> ErrorInfo | None:
    """The error that the instance fails with, if a budget is exceeded; reaching it exactly is fine.

    `ended`: attempts that end in this turn and are not recorded yet. Compensations and closing steps have no budget.
    """
    budgets, usage = turn.plan.budgets, turn.usage
    if budgets is NO_BUDGETS or turn.ending is not None or turn.instance.items is not None:
        return None
    if budgets.llm_calls is not None and usage.llm_calls > budgets.llm_calls:
        return _spent("llm_calls", budgets.llm_calls_key, budgets.llm_calls, f"{usage.llm_calls} LLM calls were made")
    if budgets.llm_tokens is not None and usage.llm_tokens > budgets.llm_tokens:
        what = f"{usage.llm_tokens} LLM tokens were used"
        return _spent("llm_tokens", "budgets.llm_tokens", budgets.llm_tokens, what)
    if budgets.cost is not None and usage.cost > budgets.cost + _ROUNDING:
        return _spent("cost", "budgets.cost", budgets.cost, f"{usage.cost:.6g} was spent")
    attempts = turn.attempts + ended
    if budgets.steps is not None and attempts > budgets.steps:
        return _spent("steps", "budgets.steps", budgets.steps, f"{attempts} attempts have ended")
    return None


def _spent(name: str, key: str, allowed: float, what: str) -> ErrorInfo:
    return ErrorInfo(f"budget.{name}", f"the budget {key} is {allowed}, and {what}")


# A thousand costs of 0.1 sum to a little more than 100.
_ROUNDING = 1e-9


def _add(sum_so_far: int, more: int) -> int:
    return min(sum_so_far + more, _MOST)
