"""The document that many others are copied from: an instance that has just started, with a number of its own.

A copy costs about two microseconds, where the machine and the codec take fifty.
"""

from __future__ import annotations

from typing import Any

from ...core.lanes import codec
from ...core.machine import Started, advance, new_instance, next_wake_ms
from ...core.machine.state import StepStatus
from ...core.settings import LaneSettings
from ...definitions.plan import Plan

# Stands for the number, and is found nowhere else in a document.
_NUMBER = 987_654_321_987
_NUMBER_BYTES = str(_NUMBER).encode()


class Model:
    """One started instance, made by the machine and the lane's codec: ready, or asleep, as its plan has it.

    Its input `n` is the number; `inputs` are those beside it.
    """

    def __init__(self, plan: Plan, id: str, *, tenant: str, inputs: dict[str, Any], at_ms: int) -> None:
        instance = new_instance(
            plan,
            id=id,
            definition_tenant="default",
            tenant=tenant,
            space="default",
            inputs={"n": _NUMBER, **inputs},
            trigger={},
            at_ms=at_ms,
            started_by="development",
        )
        event = Started(at_ms)
        instance = advance(instance, plan, event).instance
        ready = [path for path, step in instance.steps.items() if step.status is StepStatus.READY]
        rank = instance.priority * LaneSettings().age_step_ms
        self._id = id.encode()
        self._source = codec.encode_document(
            instance,
            write_id=f"0123456789ab.1.{_NUMBER}",
            epoch=1,
            writer="0123456789ab",
            answered_tokens=0,
            updated_at_ms=at_ms,
            wake_at_ms=next_wake_ms(instance),
            ready=[plan.steps[path].executor for path in ready],
            rank=rank + min(instance.steps[path].ready_at_ms for path in ready) if ready else None,
            held=False,
            log_parts=0,
            log=[codec.encode(event)],
            outbox=[],
        )

    def copy(self, id: str, number: int) -> bytes:
        """The source of the same instance under another id and number."""
        return self._source.replace(self._id, id.encode()).replace(_NUMBER_BYTES, b"%d" % number)
