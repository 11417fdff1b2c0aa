"""Instances and steps as the HTTP surface shows them."""

from __future__ import annotations

from ...claim.wire import ApprovalView, InstanceView, StepView, Usage
from ...definitions.plan import Plan, StepPlan
from .state import Approval, Instance, StepState, plain


def instance_view(instance: Instance, plan: Plan | None) -> InstanceView:
    """The whole instance, its steps in the plan's order. Without a plan, what only the definition knows is left out."""
    order = instance.steps if plan is None else [path for path in plan.steps if path in instance.steps]
    return InstanceView(
        instance_id=instance.id,
        workflow=instance.workflow,
        version=instance.version,
        status=instance.status.value,
        tenant=instance.tenant,
        space=instance.space,
        created_at_ms=instance.created_at_ms,
        steps=[step_view(instance, plan, path) for path in order],
        finished_at_ms=instance.finished_at_ms or None,
        inputs=plain(instance.inputs),
        trigger=plain(instance.trigger),
        outputs=plain(instance.outputs),
        error=instance.error,
        labels=instance.labels,
        usage=None if instance.usage == Usage() else instance.usage,
        started_by=instance.started_by or None,
        correlation_id=instance.correlation_id,
        traceparent=instance.traceparent,
    )


def step_view(instance: Instance, plan: Plan | None, path: str) -> StepView:
    """One step of it. Raises: KeyError for an unknown path."""
    state = instance.steps[path]
    step = plan.steps.get(path) if plan is not None else None
    return StepView(
        name=step.name if step is not None else path,
        run_path=path,
        status=state.status.value,
        executor=step.executor if step is not None else "",
        attempt=state.attempt,
        result=plain(state.result),
        error=state.error,
        ready_at_ms=state.ready_at_ms or None,
        started_at_ms=state.claimed_at_ms or None,
        finished_at_ms=state.finished_at_ms or None,
        wake_at_ms=state.wake_at_ms or None,
        worker=state.worker,
        approval=_approval_view(state, step),
    )


def _approval_view(state: StepState, step: StepPlan | None) -> ApprovalView | None:
    approval: Approval | None = state.approval
    if approval is None:
        return None
    policy = step.approval if step is not None else None
    return ApprovalView(
        decision=approval.decision,
        decided_by=approval.decided_by,
        decided_at_ms=approval.decided_at_ms or None,
        comment=approval.comment,
        form=approval.form,
        approvers=list(policy.approvers) if policy is not None else [],
        timeout_at_ms=approval.timeout_at_ms or None,
    )
