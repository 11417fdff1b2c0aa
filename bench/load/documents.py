"""Instance documents of the one-step workflow, made by the machine and the lane's own codec: their size is right."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import time

from ...core.ids import new_instance_id
from ...core.lanes import codec
from ...core.machine import Claimed, Started, advance, new_instance
from ...core.machine.events import AnyEvent
from ...core.machine.state import Instance
from ...definitions.plan import Block, Plan, StepPlan

WORKFLOW = "bench-one-step"
CAPABILITY = "bench"
STEP = "work"


def one_step(workflow: str, capability: str) -> str:
    """The definition of a workflow with one step, which takes the input `n`."""
    return f"""\
name: {workflow}
version: 1
inputs:
  n: {{type: integer, required: true}}
steps:
  - {{name: {STEP}, executor: {capability}, input: {{n: "{{{{ inputs.n }}}}"}}}}
"""


ONE_STEP = one_step(WORKFLOW, CAPABILITY)

_MAIN = Block("", "main", "", (STEP,), (STEP,))
_STEPS = {STEP: StepPlan(STEP, CAPABILITY, static_input={"n": 0}, path=STEP, block=_MAIN)}
_PLAN = Plan(WORKFLOW, 1, _STEPS, (STEP,), main=_MAIN)


def claimed_documents(count: int, *, lane: str = "00", seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Ids and sources of instances whose only step is under a lease: what a claim writes."""
    random = Random(seed)
    now_ms = int(time() * 1000)
    events: tuple[AnyEvent, ...] = (Started(now_ms), Claimed(now_ms + 2, STEP, 30_000, "bench-worker-1"))
    for number in range(count):
        instance = new_instance(
            _PLAN,
            id=new_instance_id(lane, now_ms, random),
            definition_tenant="default",
            tenant="default",
            space="default",
            inputs={"n": number},
            trigger={},
            at_ms=now_ms,
            started_by="development",
        )
        for event in events:
            instance = advance(instance, _PLAN, event).instance
        yield instance.id, _source(instance, events, number, now_ms)


def _source(instance: Instance, events: tuple[AnyEvent, ...], number: int, now_ms: int) -> bytes:
    return codec.encode_document(
        instance,
        write_id=f"0123456789ab.1.{number}",
        epoch=1,
        writer="0123456789ab",
        answered_tokens=0,
        updated_at_ms=now_ms,
        wake_at_ms=0,
        ready=[],
        rank=None,
        held=True,
        log_parts=0,
        log=[codec.encode(event) for event in events],
        outbox=[],
    )
