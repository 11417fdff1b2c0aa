"""The sleeping instances that the benchmark writes into lanes are what the engine would have written."""

from __future__ import annotations

import pytest
from leasehold.bench.load.sleepers import DEFINITIONS, STEP, TIMED_WORKFLOW, TIMEOUT_MS, WORKFLOW, sleeping_documents
from leasehold.core.ids import lane_of
from leasehold.core.lanes import codec
from leasehold.core.machine import advance, next_wake_ms
from leasehold.core.machine.events import StepReady, TimerFired
from leasehold.core.machine.state import InstanceStatus, StepStatus
from leasehold.definitions import load

DUE_MS = 2_000_000_000_000


def test_sleepers_for_ever_wait_for_an_approval_and_have_no_timer() -> None:
    numbers = []
    for id, source in sleeping_documents(3, lane="01", first=7):
        instance, _ = codec.decode_document(source)
        assert (instance.id, lane_of(id)) == (id, "01")
        assert (instance.workflow, instance.status) == (WORKFLOW, InstanceStatus.WAITING)
        assert instance.steps[STEP].status is StepStatus.WAITING
        assert next_wake_ms(instance) == 0
        assert b"wake_at_ms" not in source
        numbers.append(instance.inputs["n"])
    assert numbers == [7, 8, 9]


def test_timers_are_due_evenly_and_their_steps_are_ready_when_they_fire() -> None:
    (definition,) = load(DEFINITIONS[TIMED_WORKFLOW].encode())
    plan = definition.compile()
    due = []
    for number, (_, source) in enumerate(
        sleeping_documents(40, lane="00", due_from_ms=DUE_MS, due_to_ms=DUE_MS + 100, quantum_ms=5)
    ):
        instance, _ = codec.decode_document(source)
        due_ms = instance.inputs["due_ms"]
        assert next_wake_ms(instance) == due_ms
        assert instance.created_at_ms == due_ms - TIMEOUT_MS
        assert f'"wake_at_ms":{due_ms}'.encode() in source
        transition = advance(instance, plan, TimerFired(due_ms, 0.5))
        (ready,) = [effect for effect in transition.effects if isinstance(effect, StepReady)]
        assert ready.input == {"n": number, "due_ms": due_ms}
        due.append(due_ms)
    assert due == sorted(due)
    assert set(due) == set(range(DUE_MS, DUE_MS + 100, 5))


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_the_definitions_carry_the_names_under_which_they_are_stored(name: str) -> None:
    (definition,) = load(DEFINITIONS[name].encode())
    assert definition.compile().name == name
