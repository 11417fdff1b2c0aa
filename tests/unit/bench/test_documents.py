"""The documents that the benchmark writes are those of the engine."""

from __future__ import annotations

from leasehold.bench.load.documents import CAPABILITY, ONE_STEP, STEP, WORKFLOW, claimed_documents
from leasehold.core.lanes import codec
from leasehold.core.machine.state import StepStatus
from leasehold.definitions import load


def test_a_claimed_document_is_read_by_the_lanes_own_codec_as_a_leased_attempt() -> None:
    ids = set()
    for id, source in claimed_documents(3, lane="02", seed=5):
        instance, bookkeeping = codec.decode_document(source)
        assert instance.id == id
        assert instance.id.startswith("02-")
        assert instance.workflow == WORKFLOW
        assert instance.steps[STEP].status is StepStatus.CLAIMED
        assert instance.steps[STEP].token == 1
        assert len(bookkeeping.log) == 2
        ids.add(id)
    assert len(ids) == 3


def test_the_one_step_workflow_is_a_valid_definition() -> None:
    (definition,) = load(ONE_STEP.encode())
    plan = definition.compile()
    assert plan.name == WORKFLOW
    assert [step.executor for step in plan.steps.values()] == [CAPABILITY]
