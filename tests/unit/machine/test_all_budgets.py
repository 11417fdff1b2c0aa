"""Budgets other than that of LLM calls, and what spends them."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.testing import Delivery, Run, Usage, play

LOOP = """
name: agent
budgets: %s
steps:
  - name: loop
    while: true
    max_iterations: 50
    steps: [{name: think, executor: ai%s}]
"""


def agent(budgets: str, usage: Usage | None = None, keys: str = "") -> Run:
    text = (LOOP % (budgets, keys)).replace("while: true", 'while: "{{ true }}"')
    run = play(text, executors={"ai": lambda step: Delivery(None, usage=usage)})
    run.until_done()
    return run


@pytest.mark.parametrize(
    ("budgets", "usage", "keys", "type", "message", "attempts"),
    [
        ("{llm_calls: 5}", Usage(llm_calls=2), "", "llm_calls", "budgets.llm_calls is 5, and 6 LLM calls were made", 3),
        ("{llm_tokens: 10}", Usage(llm_tokens=3), "", "llm_tokens", "llm_tokens is 10, and 12 LLM tokens were used", 4),
        ("{cost: 1.0}", Usage(cost=0.3), "", "cost", "budgets.cost is 1.0, and 1.2 was spent", 4),
        ("{cost: 0.1}", None, ", cost: 0.02", "cost", "budgets.cost is 0.1, and 0.12 was spent", 6),
        ("{steps: 7}", None, "", "steps", "budgets.steps is 7, and 8 attempts have ended", 8),
    ],
)
def test_a_spent_budget_fails_the_instance_by_its_name(
    budgets: str, usage: Usage | None, keys: str, type: str, message: str, attempts: Any
) -> None:
    run = agent(budgets, usage, keys)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == f"budget.{type}"
    assert message in run.error.message
    assert len(run.attempts()) == attempts


def test_the_cost_that_an_executor_reports_stands_instead_of_the_definitions() -> None:
    run = agent("{steps: 9}", Usage(cost=0.5), ", cost: 0.02")
    assert run.usage.cost == pytest.approx(5.0)


def test_items_of_a_foreach_spend_the_budget_of_the_whole() -> None:
    run = play(
        """
name: x
budgets: {llm_calls: 10, steps: 1000}
steps: [{name: each, foreach: "{{ range(100) | list }}", max_parallel: 4, steps: [{name: a, executor: ai}]}]
""",
        executors={"ai": lambda step: Delivery(None, usage=Usage(llm_calls=1))},
    )
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type) == ("failed", "budget.llm_calls")
    assert 11 <= run.usage.llm_calls <= 15
