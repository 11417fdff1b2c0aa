"""The fan-out over indices, and the one that is batched for its cost."""

from __future__ import annotations

from typing import Any

from leasehold.core.testing import Delivery, Failure, Run, StubStep, Usage, play

from .stubs import EXAMPLES, Indexed, hits, render


def check(indices: list[str], *, broken: frozenset[str] = frozenset()) -> Run:
    def count(step: StubStep) -> Any:
        index = step.payload["index"]
        return Failure("es.404", "no such index", retryable=False) if index in broken else hits(total=len(index) * 20)

    return play(
        EXAMPLES / "index-check.yaml", params={"indices": indices}, executors={"es-query": count, "render": render}
    )


def test_every_index_is_counted_and_reported_in_order() -> None:
    run = check(["logs-a", "logs", "web"])
    run.until_done()
    assert run.status == "succeeded"
    assert run.outputs == {
        "report": "- logs-a: 120 errors, too many\n- logs: 80 errors\n- web: 60 errors\n", "failed": [],
    }  # fmt: skip


def test_an_index_that_can_not_be_read_stops_no_other() -> None:
    run = check(["a", "gone", "b"], broken=frozenset({"gone"}))
    run.until_done()
    assert (run.status, run.outputs["failed"]) == ("succeeded", [1])
    assert run.outputs["report"] == "- a: 20 errors\n- b: 20 errors\n- gone: not checked, es.404\n"


def test_where_most_can_not_be_read_it_fails_in_words() -> None:
    run = check(["a", "b", "c"], broken=frozenset({"a", "b"}))
    run.until_done()
    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.type, "2 of 3 indices could not be checked" in run.error.message) == ("fail", True)


def test_a_thousand_indices_are_one_step() -> None:
    run = check([f"logs-{number:03}" for number in range(1_000)])
    run.until_done()
    assert run.status == "succeeded"
    assert run.outputs["report"].count("\n") == 1_000


def label(step: StubStep) -> Any:
    messages = step.payload["messages"]
    return Delivery([{"message": text, "label": "disk"} for text in messages], usage=Usage(llm_calls=1))


def labels(count: int, ask: Any, indexed: Indexed) -> Run:
    buckets = [{"key": f"error {number}", "doc_count": 1} for number in range(count)]
    found = {**hits(), "aggregations": {"messages": {"buckets": buckets}}}
    return play(
        EXAMPLES / "message-labels.yaml",
        params={"index": "logs"},
        executors={"es-query": found, "ai-reasoning": ask, "es-index": indexed},
    )


def test_messages_are_labelled_in_batches() -> None:
    indexed = Indexed()
    run = labels(60, label, indexed)
    run.until_done()
    assert (run.status, run.outputs) == ("succeeded", {"batches": 3, "failed": 0})
    assert sorted(document["message"] for document in indexed.documents) == sorted(f"error {n}" for n in range(60))
    assert (run.usage.llm_calls, round(run.usage.cost, 6)) == (3, 0.03)


def test_a_batch_that_the_model_refuses_costs_its_own_labels_alone() -> None:
    def ask(step: StubStep) -> Any:
        refuse = "error 30" in step.payload["messages"]
        return Failure("ai.refused", "no", retryable=False) if refuse else label(step)

    indexed = Indexed()
    run = labels(60, ask, indexed)
    run.until_done()
    assert (run.status, run.outputs["failed"], len(indexed.documents)) == ("succeeded", 1, 35)


def test_a_run_that_would_cost_more_than_its_budget_fails_by_name_and_keeps_what_it_paid_for() -> None:
    indexed = Indexed()
    dear = lambda step: Delivery(label(step).result, usage=Usage(llm_calls=1, cost=0.2))  # noqa: E731
    run = labels(200, dear, indexed)
    run.until_done()
    assert (run.status, run.error.type if run.error else "") == ("failed", "budget.cost")
    assert len(indexed.documents) >= 25
