"""Sub-workflows are child instances of their own (`core.lanes.children`)."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import CompleteBody, StartBody, Usage

from tests.kit.schedulers import ANYBODY, Scheduler, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .plans import CALLED, CALLS, children, rows, until_empty, work

BUDGETED = CALLS.replace("labels: {team: soc}", "budgets: {llm_calls: 3}")
CALLS_ITSELF = """
name: deeper
inputs: {host: {type: string, default: a}}
steps:
  - {name: call, workflow: deeper, input: {host: "{{ inputs.host }}"}}
"""
GROUPED = CALLED.replace("steps:", 'concurrency: {key: "{{ inputs.host }}", limit: 1, strategy: queue}\nsteps:')


async def failed_with(s: Scheduler, id: str) -> str:
    """The type of the error that the instance fails with, within a minute."""
    async with asyncio.timeout(60):
        while True:
            view = await s.replica.instance(ANYBODY, id)
            if view.status == "failed":
                assert view.error is not None
                return view.error.type
            await asyncio.sleep(0.1)


def test_its_outputs_are_the_steps_result_and_it_has_a_record_of_its_own() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS, CALLED)
            body = StartBody(params={"host": "a"}, correlation_id="case-7", labels={"site": "x"})
            trace = f"00-{'a' * 32}-{'b' * 16}-01"
            answer, _ = await s.replica.start(ANYBODY, "calls", body, idempotency_key=None, traceparent=trace)
            step = await s.claim_one()
            assert step.workflow_name == "called"
            assert step.workflow_id != answer.instance_id
            assert (step.correlation_id, step.traceparent) == ("case-7", trace)
            assert step.labels == {"team": "soc", "site": "x"}
            view = await s.replica.instance(ANYBODY, answer.instance_id)
            assert view.steps[0].children == [step.workflow_id]
            assert (await s.replica.instance(ANYBODY, step.workflow_id)).parent_id == answer.instance_id
            await s.complete(step, "isolated")
            after = await s.claim_one()
            assert after.payload == {"got": {"done": "isolated"}}
            await s.complete(after)
            await until_empty(cluster)
            assert set(rows(cluster, "instances")) == {answer.instance_id, step.workflow_id}
            assert await s.status(step.workflow_id) == "succeeded"

    run_virtual(main())


@pytest.mark.parametrize(
    ("called", "version", "type"),
    [
        (None, "active", "workflow_not_found"),
        (CALLED, "7", "workflow_not_found"),
        (CALLED.replace("type: string", "type: integer"), "active", "invalid_params"),
        (GROUPED, "active", "concurrency"),
    ],
)
def test_one_that_cannot_begin_fails_the_step_and_says_why(called: str | None, version: str, type: str) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS.replace("workflow: called", f"workflow: called, version: {version}"))
            if called is not None:
                await s.define(called)
            id = (await s.start("calls", host="a")).instance_id
            assert await failed_with(s, id) == type
            await until_empty(cluster)
            assert set(rows(cluster, "instances")) == {id}

    run_virtual(main())


def test_workflows_that_call_each_other_without_end_fail_at_the_limit() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS_ITSELF)
            id = (await s.start("deeper")).instance_id
            assert await failed_with(s, id) == "recursion"
            await until_empty(cluster)
            assert len(rows(cluster, "instances")) == 1 + 8

    run_virtual(main())


def test_what_it_uses_counts_in_its_parents_budget_while_it_runs() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            called = CALLED.replace("steps:", "steps:\n  - {name: first, executor: work}")
            await s.define(BUDGETED, called)
            id = (await s.start("calls", host="a")).instance_id
            first = await s.claim_one()
            await s.replica.complete(ANYBODY, first.step_id, CompleteBody("x", Usage(llm_calls=4)))
            assert await failed_with(s, id) == "budget.llm_calls"
            await until_empty(cluster)
            assert await s.status(first.workflow_id) == "cancelled"

    run_virtual(main())


def test_a_failed_one_is_begun_anew_by_the_steps_retry() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            retrying = 'input: {host: "{{ inputs.host }}"}, retry: {max: 1, initial: 1s}}'
            await s.define(CALLS.replace('input: {host: "{{ inputs.host }}"}}', retrying), CALLED)
            id = (await s.start("calls", host="a")).instance_id
            first = await s.claim_one()
            await s.fail(first, "boom")
            second = await s.claim_one()
            assert second.workflow_id != first.workflow_id
            await s.complete(second, "better")
            await work(s)
            await until_empty(cluster)
            assert await s.status(id) == "succeeded"
            assert len(rows(cluster, "instances")) == 3

    run_virtual(main())


def test_one_that_is_gone_without_a_word_fails_its_parents_step() -> None:
    """Somebody has deleted the child's document by hand."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS, CALLED)
            id = (await s.start("calls", host="a")).instance_id
            step = await s.claim_one()
            del cluster.one_index("workflow-lane-00").documents[step.workflow_id]
            with pytest.raises(Exception, match="finished by another replica"):
                await s.complete(step)
            assert await failed_with(s, id) == "child_lost"

    run_virtual(main())


def test_one_whose_document_cannot_be_stored_fails_its_parents_step() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS, CALLED)
            refused = lambda operation: operation.id != started[0]  # noqa: E731
            started: list[str] = []
            started.append((await s.start("calls", host="a")).instance_id)
            s.faults.fail_items(400, "mapper_parsing_exception", fits=refused, index="workflow-lane-00")
            assert await failed_with(s, started[0]) == "document_rejected"
            assert not children(cluster)

    run_virtual(main())


def test_nothing_of_it_exists_before_its_parents_intent_stands() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(CALLS, CALLED)
            held = s.faults.hold("after", on="bulk", index="workflow-lane-00")
            starting = asyncio.create_task(s.start("calls", host="a"))
            await held.reached()
            await asyncio.sleep(1)
            (document,) = live(cluster).values()
            assert [intent[1] for intent in document["intents"]] == ["begin"]
            assert document["held"]
            held.release()
            await starting
            await asyncio.sleep(0.1)
            assert len(children(cluster)) == 1

    run_virtual(main())


def test_it_has_the_memory_of_its_own_workflow() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            remembering = """
name: called
inputs: {host: {type: string, required: true}}
memory: {key: "{{ inputs.host }}"}
steps:
  - {name: isolate, executor: work, input: {before: "{{ (memory or {'seen': 0}).seen }}"}}
  - {name: keep, remember: {seen: "{{ steps.isolate.result.before + 1 }}"}}
"""
            await s.define(CALLS.replace("outputs:", "x-outputs:").partition("x-outputs:")[0], remembering)
            for expected in range(2):
                await s.start("calls", host="a")
                step = await s.claim_one()
                assert step.payload == {"before": expected}
                await s.complete(step, step.payload)
                await work(s)
                await until_empty(cluster)

    run_virtual(main())
