"""Waiting instances for lanes, by the hundred thousand: one in a thousand is made by the machine and the lane's codec.

The others of its thousand are the same bytes with an id, a number and a write id of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from time import time

from ...core.ids import new_instance_id
from ...definitions import load
from .documents import one_step
from .models import Model
from .orders import Backlog

BLOCK = 1_000
# How many moments the backlogs of several tenants became ready at, and how far apart.
_MOMENTS = 20
_APART_MS = 10


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
        model = Model(plan, new_instance_id(lane, at_ms, random), tenant=tenant, inputs={}, at_ms=at_ms)
        for number in range(first + at, first + min(at + block, count)):
            id = new_instance_id(lane, at_ms, random)
            yield id, model.copy(id, number)


def tenants_documents(
    backlogs: Sequence[Backlog], *, lane: str, workflow: str, capability: str, ready_ms: int
) -> Iterator[tuple[str, bytes]]:
    """Ids and sources of instances of several tenants, whose only step is ready to be claimed.

    At each of some moments from `ready_ms` (wall time) on the same part of every backlog became ready: whoever serves
    a tenant's work in the order in which it came gets through the backlogs of all lanes evenly.
    """
    (definition,) = load(one_step(workflow, capability).encode())
    plan = definition.compile()
    random = Random(f"{lane}-{workflow}")
    for moment in range(_MOMENTS):
        at_ms = ready_ms + moment * _APART_MS
        for tenant, documents, first in ((each.tenant, each.documents, each.first) for each in backlogs):
            numbers = range(documents * moment // _MOMENTS, documents * (moment + 1) // _MOMENTS)
            if not numbers:
                continue
            model = Model(plan, new_instance_id(lane, at_ms, random), tenant=tenant, inputs={}, at_ms=at_ms)
            for number in numbers:
                id = new_instance_id(lane, at_ms, random)
                yield id, model.copy(id, first + number)
