"""An executor whose attempt was ended hears the true reason with its next heartbeat, whoever owns the lane by then."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import ClaimedStep, HeartbeatAnswer, HeartbeatBody, Usage
from leasehold.core.orders import AnyOrder, Cancel, Terminate

from tests.kit.schedulers import ANYBODY, TWO_STEPS, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .kit import dying, told

THRIFTY = """
name: thrifty
budgets: {llm_tokens: 100}
steps:
  - {name: spender, executor: work}
  - {name: saver, executor: work, depends_on: []}
"""

RACE = """
name: race
steps:
  - name: both
    parallel:
      left: [{name: a, executor: work}]
      right: [{name: b, executor: work}]
    wait_for: any
  - {name: after, executor: work}
"""


async def beat(s: Scheduler, step: ClaimedStep, **body: object) -> HeartbeatAnswer:
    return await s.replica.heartbeat(ANYBODY, step.step_id, HeartbeatBody(**body))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "words"),
    [(Cancel(reason="wrong host"), "cancelled by tester: wrong host"), (Terminate(), "terminated by tester")],
    ids=["cancel", "terminate"],
)
def test_who_ended_the_instance_and_why_is_told_also_by_the_next_owner_and_from_history(
    order: AnyOrder, words: str
) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            step = await s.claim_one(lease_ms=600_000)
            await told(s, id, order)
            first = await beat(s, step)
            assert (first.cancel, words in (first.reason or "")) == (True, True)
        async with scheduler(cluster, replica_id="replica-b") as s:
            for _ in range(2):
                answer = await beat(s, step)
                assert (answer.cancel, answer.reason) == (True, first.reason)
                await asyncio.sleep(10)

    run_virtual(main())


def test_a_spent_budget_is_named_to_the_spender_and_to_the_others() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(THRIFTY)
            await s.start("thrifty")
            spender, saver = await s.claim(max_steps=2, wait_ms=1_000)
            assert (await beat(s, spender, usage=Usage(llm_tokens=99))).cancel is False
            answers = [await beat(s, spender, usage=Usage(llm_tokens=101)), await beat(s, saver)]
            for answer in answers:
                assert answer.cancel
                assert "budget.llm_tokens" in (answer.reason or "")

    run_virtual(main())


def test_the_loser_of_a_race_is_told_to_stop_while_the_instance_goes_on() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(RACE)
            await s.start("race")
            winner, loser = await s.claim(max_steps=2, wait_ms=1_000)
            await s.complete(winner)
            answer = await beat(s, loser)
            assert answer.cancel
            assert answer.reason
            assert (await s.claim_one()).run_path == "after"

    run_virtual(main())
