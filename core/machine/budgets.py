"""Usage: what attempts report, summed into the instance and held against its budgets.

A report is cumulative for its attempt. Of two reports the larger figure of each field stands, so repeats and reports
that arrive out of order count once. Sums stop at the bounds that the wire sets for a report: stored usage must decode.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...claim.wire import ErrorInfo, Usage
from .state import StepState
from .turn import Turn

NOTHING = Usage()

_MOST = 2**53 - 1
_MOST_COST = 1e15


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
    total = turn.usage
    turn.usage = Usage(
        _add(total.llm_calls, usage.llm_calls - known.llm_calls),
        _add(total.llm_tokens, usage.llm_tokens - known.llm_tokens),
        min(total.cost + (usage.cost - known.cost), _MOST_COST),
    )
    return replace(state, usage=usage)


def overspent(turn: Turn) -> ErrorInfo | None:
    """The error that the instance fails with, if a budget is exceeded; reaching it exactly is fine."""
    budgets = turn.plan.budgets
    allowed = budgets.llm_calls
    if allowed is None or turn.usage.llm_calls <= allowed:
        return None
    name = budgets.llm_calls_key
    return ErrorInfo(
        "budget.llm_calls", f"the budget {name} is {allowed}, and {turn.usage.llm_calls} LLM calls were made"
    )


def _add(sum_so_far: int, more: int) -> int:
    return min(sum_so_far + more, _MOST)
