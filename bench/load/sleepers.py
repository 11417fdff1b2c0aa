"""Sleeping instances for lanes: they wait for an approval, for ever or until a timer approves them.

Made by the machine and the lane's codec; those that are due at the same moment share all bytes but their ids and
numbers, as in `seeds`.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import time

from ...core.ids import new_instance_id
from ...core.lanes import codec
from ...core.machine import Started, advance, new_instance, next_wake_ms
from ...definitions import load
from ...definitions.plan import Plan

WORKFLOW = "bench-sleeper"
TIMED_WORKFLOW = "bench-timer"
CAPABILITY = "bench-woken"
STEP = "work"
TIMEOUT_MS = 24 * 3_600_000

_APPROVAL = f"""\
inputs:
  n: {{type: integer, required: true}}
  due_ms: {{type: integer, default: 0}}
steps:
  - name: {STEP}
    executor: {CAPABILITY}
    requires_approval: true
    input: {{n: "{{{{ inputs.n }}}}", due_ms: "{{{{ inputs.due_ms }}}}"}}
"""
FOR_EVER = f"name: {WORKFLOW}\nversion: 1\n{_APPROVAL}"
UNTIL_DUE = (
    f"name: {TIMED_WORKFLOW}\nversion: 1\n{_APPROVAL}    approval_timeout: 24h\n    approval: {{on_timeout: approve}}\n"
)
DEFINITIONS = {WORKFLOW: FOR_EVER, TIMED_WORKFLOW: UNTIL_DUE}

# Stands for the number, and is found nowhere else in a document.
_NUMBER = 987_654_321_987
_NUMBER_BYTES = str(_NUMBER).encode()


def sleeping_documents(
    count: int, *, lane: str, first: int = 0, due_from_ms: int = 0, due_to_ms: int = 0, quantum_ms: int = 5
) -> Iterator[tuple[str, bytes]]:
    """Ids and sources of instances numbered from `first` on.

    Their timers are due (wall time) evenly from `due_from_ms` to `due_to_ms`, in steps of `quantum_ms`, and each
    instance's inputs say when its own is. With 0 they wait for ever.
    """
    source = FOR_EVER if not due_to_ms else UNTIL_DUE
    (definition,) = load(source.encode())
    plan = definition.compile()
    random = Random(first)
    made_for, model, document = -1, b"", b""
    for position in range(count):
        due_ms = due_from_ms + (due_to_ms - due_from_ms) * position // count // quantum_ms * quantum_ms
        at_ms = due_ms - TIMEOUT_MS if due_ms else int(time() * 1_000)
        if due_ms != made_for:
            made_for = due_ms
            model_id = new_instance_id(lane, at_ms, random)
            model, document = model_id.encode(), _source(plan, model_id, at_ms, due_ms)
        id = new_instance_id(lane, at_ms, random)
        yield id, document.replace(model, id.encode()).replace(_NUMBER_BYTES, b"%d" % (first + position))


def _source(plan: Plan, id: str, at_ms: int, due_ms: int) -> bytes:
    instance = new_instance(
        plan,
        id=id,
        definition_tenant="default",
        tenant="default",
        space="default",
        inputs={"n": _NUMBER, "due_ms": due_ms},
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
        wake_at_ms=next_wake_ms(instance),
        ready=[],
        rank=None,
        held=False,
        log_parts=0,
        log=[codec.encode(event)],
        outbox=[],
    )
