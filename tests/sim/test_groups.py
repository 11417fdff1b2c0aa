"""Concurrency groups: who runs, who waits and who goes (`core.lanes.groups`)."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import Scheduler, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual


def grouped(strategy: str = "queue", limit: int = 1, extra: str = "") -> str:
    return f"""
name: one
concurrency: {{key: "{{{{ inputs.k }}}}", limit: {limit}, strategy: {strategy}}}
{extra}
steps:
  - {{name: only, executor: work}}
"""


def test_one_runs_and_the_others_wait_in_order() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(grouped())
            started = [(await s.start("one", k="a")) for _ in range(4)]
            assert [answer.status for answer in started] == ["running", "waiting", "waiting", "waiting"]
            for answer in started:
                step = await s.claim_one(wait_ms=1_000)
                assert step.workflow_id == answer.instance_id
                assert await s.claim() == []
                await s.complete(step)

    run_virtual(main())
