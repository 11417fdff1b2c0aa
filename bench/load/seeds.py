"""Waiting instances for lanes, by the hundred thousand: one in a thousand is made by the machine and the lane's codec.

The others of its thousand are the same bytes with an id, a number and a write id of their own, which costs about two
microseconds instead of fifty.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import time

from ...core.ids import new_instance_id
from ...core.lanes import codec
from ...core.machine import Started, advance, new_instance
from ...core.settings import LaneSettings
from ...definitions import load
from ...definitions.plan import Plan
from .documents import STEP, one_step

BLOCK = 1_000
# Stands for the number in a block's first document, and is found nowhere else in it.
_NUMBER = 987_654_321_987
_NUMBER_BYTES = str(_NUMBER).encode()


def waiting_documents(
    count: int, *, lane: str, workflow: str, capability: str, first: int = 0, tenants: int = 1, seed: int = 0
) -> Iterator[tuple[str, bytes]]:
    """Ids and sources of instances whose only step is ready to be claimed, numbered from `first` on.

    The number is the input `n` of the instance and of its step. With several `tenants` they take turns, a block each,
    as `tenant-0`, `tenant-1`, ...; a single one is `default`. Later blocks are due later, by a millisecond each.
    """
    (definition,) = load(one_step(workflow, capability).encode())
    plan = definition.compile()
    random = Random(seed)
    blocks = -(-count // BLOCK)
    begin_ms = int(time() * 1_000) - blocks
    block = BLOCK if tenants == 1 else max(1, min(BLOCK, count // tenants))
    for at in range(0, count, block):
        tenant = "default" if tenants == 1 else f"tenant-{(first + at) // block % tenants}"
        at_ms = begin_ms + at // BLOCK
        model = new_instance_id(lane, at_ms, random)
        source = _source(plan, model, tenant, capability, at_ms)
        model_bytes = model.encode()
        for number in range(first + at, first + min(at + block, count)):
            id = new_instance_id(lane, at_ms, random)
            yield id, source.replace(model_bytes, id.encode()).replace(_NUMBER_BYTES, b"%d" % number)


def _source(plan: Plan, id: str, tenant: str, capability: str, at_ms: int) -> bytes:
    instance = new_instance(
        plan,
        id=id,
        definition_tenant="default",
        tenant=tenant,
        space="default",
        inputs={"n": _NUMBER},
        trigger={},
        at_ms=at_ms,
        started_by="development",
    )
    event = Started(at_ms)
    instance = advance(instance, plan, event).instance
    return codec.encode_document(
        instance,
        write_id=f"0123456789ab.1.{_NUMBER}",
        epoch=1,
        writer="0123456789ab",
        answered_tokens=0,
        updated_at_ms=at_ms,
        wake_at_ms=0,
        ready=[capability],
        rank=instance.steps[STEP].ready_at_ms + instance.priority * LaneSettings().age_step_ms,
        held=False,
        log_parts=0,
        log=[codec.encode(event)],
        outbox=[],
    )
