"""A new instance, before anything has happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...definitions.plan import Plan
from .state import Instance, SideValue, StepState

_PENDING = StepState()


def new_instance(
    plan: Plan,
    *,
    id: str,
    definition_tenant: str,
    tenant: str,
    space: str,
    inputs: Any,
    trigger: Any,
    at_ms: int,
    labels: Mapping[str, str] | None = None,
    started_by: str = "",
    correlation_id: str | None = None,
    traceparent: str | None = None,
    parent_id: str | None = None,
    parent_path: str | None = None,
    parent_number: int = 0,
    depth: int = 0,
    watched: bool = False,
    memory: Any = None,
    memory_key: str | None = None,
    group: str | None = None,
    queued: bool = False,
    priority_ceiling: int = 0,
) -> Instance:
    """An instance with every step of its own list pending; `Started` is the first event to apply to it.

    `inputs` are checked and have their defaults; they and `trigger` may be `SideValue`s. The definition's labels are
    its labels too, and `labels` win over them. The deadline of `max_duration` counts from `at_ms`.
    `priority_ceiling`: the best priority that it may have.
    """
    return Instance(
        id=id,
        workflow=plan.name,
        version=plan.version,
        definition_tenant=definition_tenant,
        tenant=tenant,
        space=space,
        priority=max(plan.priority, priority_ceiling),
        created_at_ms=at_ms,
        deadline_ms=at_ms + plan.max_duration_ms if plan.max_duration_ms else 0,
        steps=dict.fromkeys(plan.main.names, _PENDING),
        inputs=inputs,
        inputs_ref=inputs.ref if isinstance(inputs, SideValue) else None,
        trigger=trigger,
        trigger_ref=trigger.ref if isinstance(trigger, SideValue) else None,
        labels={**plan.labels, **(labels or {})},
        started_by=started_by,
        correlation_id=correlation_id,
        traceparent=traceparent,
        parent_id=parent_id,
        parent_path=parent_path,
        parent_number=parent_number,
        depth=depth,
        watched=watched,
        memory=memory,
        memory_key=memory_key,
        group=group,
        queued=queued,
        backlogged=parent_id is None,
    )
