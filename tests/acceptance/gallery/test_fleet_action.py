"""An action on a fleet: all answer, some do not, none is there."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.testing import Run, play

from .stubs import EXAMPLES, Indexed, Search, Services, hits

PARAMS = {"action": "restart", "policy": "linux"}


def restart(
    agents: int, answers: list[list[str]], *, failed: frozenset[str] = frozenset(), down: tuple[str, ...] = ()
) -> Run:
    """The agents are `a0`, `a1`, ...; `answers` are who has answered by each poll, the last one for ever."""
    polls = list(answers)

    def results(payload: dict[str, Any]) -> Any:
        there = polls.pop(0) if len(polls) > 1 else polls[0]
        return hits(*({"agent": {"id": one}, **({"error": "exit 1"} if one in failed else {})} for one in there))

    online = hits(*({"_id": f"a{number}", "agent": {"id": f"a{number}"}} for number in range(agents)))
    return play(
        EXAMPLES / "fleet-action.yaml",
        params=PARAMS,
        executors={
            "es-query": Search({"agents": online, "action-results": results}),
            "es-index": Indexed(),
            "http": Services(*down),
        },
    )


def test_a_fleet_that_answers_is_done_when_the_last_one_has() -> None:
    run = restart(3, [[], ["a0"], ["a0", "a1", "a2"]], failed=frozenset({"a1"}))
    run.until_done()
    assert run.status == "succeeded", run.error
    assert run.outputs == {"complete": True, "sent": 3, "unreached": 0, "answered": 3, "failed": ["a1"]}
    assert run.elapsed_ms == 3 * 15_000


def test_agents_that_do_not_answer_are_waited_for_no_longer_than_said() -> None:
    run = restart(3, [["a0"]])
    run.until_done()
    assert (run.status, run.outputs["complete"], run.outputs["answered"]) == ("succeeded", False, 1)
    assert run.elapsed_ms == 30 * 60_000


def test_agents_that_can_not_be_reached_are_not_waited_for() -> None:
    run = restart(3, [["a0", "a2"]], down=("/agents/a1/",))
    run.until_done()
    assert run.outputs == {"complete": True, "sent": 2, "unreached": 1, "answered": 2, "failed": []}


def test_a_policy_without_agents_fails_in_words() -> None:
    run = restart(0, [[]])
    run.until_done()
    assert run.status == "failed"
    assert run.error is not None
    assert "no agent of policy linux is on-line" in run.error.message


@pytest.mark.parametrize("agents", [60])
def test_many_agents_are_sent_to_a_few_at_a_time(agents: int) -> None:
    run = restart(agents, [[f"a{number}" for number in range(agents)]])
    run.until_done()
    assert (run.status, run.outputs["sent"]) == ("succeeded", agents)
