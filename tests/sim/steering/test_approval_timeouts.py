"""Approvals that nobody decides end as their definition says, whoever owns the lane by then."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.core.errors import Conflict
from leasehold.core.orders import Decide

from tests.kit.schedulers import new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, run_virtual

from .kit import dying, step_of, told, trail, viewed

TIMEOUT_S = 600


def asking(on_timeout: str) -> str:
    return f"""
name: asking
steps:
  - name: act
    executor: work
    requires_approval: true
    approval_timeout: 10m
    approval: {{on_timeout: {on_timeout}}}
  - {{name: after, executor: work, input: {{got: "{{{{ steps.act.result }}}}"}}}}
"""


@pytest.mark.parametrize(
    ("on_timeout", "status", "claimed"),
    [("fail", "failed", None), ("approve", "ready", "act"), ("skip", "skipped", "after")],
)
def test_each_on_timeout_does_what_it_says_when_its_time_is_over(
    on_timeout: str, status: str, claimed: str | None
) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(asking(on_timeout))
            id = (await s.start("asking")).instance_id
            await asyncio.sleep(TIMEOUT_S / 2)
        async with scheduler(cluster, replica_id="replica-b") as s:
            await asyncio.sleep(TIMEOUT_S / 2 - 60)
            view = await viewed(s, id)
            assert (view.status, step_of(view, "act").status) == ("waiting", "waiting")
            await asyncio.sleep(120)
            view = await viewed(s, id)
            approval = step_of(view, "act").approval
            assert approval is not None
            assert (step_of(view, "act").status, approval.decision) == (status, "timed_out")
            assert approval.decided_at_ms is not None
            assert abs(approval.decided_at_ms - EPOCH_MS - TIMEOUT_S * 1_000) < 15_000
            with pytest.raises(Conflict):
                await told(s, id, Decide(approved=True, step="act"))
            steps = await s.claim(wait_ms=1_000)
            assert [step.run_path for step in steps] == ([claimed] if claimed else [])
            assert trail(cluster) == [], "time is nobody's order"

    run_virtual(main())


def test_a_decision_just_in_time_counts_and_the_timer_does_nothing() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(asking("fail"))
            id = (await s.start("asking")).instance_id
            await asyncio.sleep(TIMEOUT_S - 5)
            await told(s, id, Decide(approved=True, comment="go"))
            await asyncio.sleep(60)
            assert step_of(await viewed(s, id), "act").status == "ready"

    run_virtual(main())
