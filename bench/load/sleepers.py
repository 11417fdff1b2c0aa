"""Sleeping instances for lanes: they wait for an approval, for ever or until a timer approves them.

Made by the machine and the lane's codec; those that are due at the same moment share all bytes but their ids and
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import time

from ...core.ids import new_instance_id
from ...definitions import load
from .models import Model

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
    made_for, model = -1, None
    for position in range(count):
        due_ms = due_from_ms + (due_to_ms - due_from_ms) * position // count // quantum_ms * quantum_ms
        at_ms = due_ms - TIMEOUT_MS if due_ms else int(time() * 1_000)
        if model is None or due_ms != made_for:
            made_for = due_ms
            model_id = new_instance_id(lane, at_ms, random)
            model = Model(plan, model_id, tenant="default", inputs={"due_ms": due_ms}, at_ms=at_ms)
        id = new_instance_id(lane, at_ms, random)
        yield id, model.copy(id, first + position)
