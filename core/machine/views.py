"""Instances and steps as the HTTP surface shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...claim.wire import ApprovalView, InstanceView, KeptSignal, PartsView, StepView, Usage
from ...definitions.plan import (
    Fail,
    Flow,
    Foreach,
    Parallel,
    Plan,
    Remember,
    SetVars,
    StepPlan,
    SubWorkflow,
    Succeed,
    Switch,
    Wait,
    WaitForSignal,
    While,
)
from .children import CHILD_ITEMS
from .seeing.outcomes import result_of
from .state import FINAL_STEP, Instance, StepState, StepStatus, plain

_KINDS: dict[type[Flow], str] = {
    Foreach: "foreach",
    Parallel: "parallel",
    Switch: "switch",
    While: "while",
    SubWorkflow: "workflow",
    Wait: "wait",
    WaitForSignal: "wait_for_signal",
    SetVars: "set",
    Remember: "remember",
    Fail: "fail",
    Succeed: "succeed",
}


def instance_view(instance: Instance, plan: Plan | None) -> InstanceView:
    """The whole instance, its steps in the plan's order. Without a plan, what only the definition knows is left out."""
    return InstanceView(
        instance_id=instance.id,
        workflow=instance.workflow,
        version=instance.version,
        status=instance.status.value,
        tenant=instance.tenant,
        space=instance.space,
        created_at_ms=instance.created_at_ms,
        steps=[step_view(instance, plan, path) for path in in_order(instance.steps, plan)],
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
        ending=instance.ending,
        undone=instance.undone or None,
        paused_by=instance.paused_by,
        vars=instance.vars,
        signals=instance.signals,
        kept_signals=[KeptSignal(one.name, one.at_ms, one.by, one.payload) for one in instance.inbox],
        queued=instance.queued,
        redrives=instance.redrives,
        attempts=instance.attempts,
        parent_id=instance.parent_id,
        parent_step=instance.parent_path,
    )


def step_view(instance: Instance, plan: Plan | None, path: str) -> StepView:
    """One step of it. Raises: KeyError for an unknown path."""
    state = instance.steps[path]
    step = _planned(plan, path)
    flow = state.flow
    return StepView(
        name=step.name if step is not None else path,
        run_path=path,
        status=state.status.value,
        executor=step.executor if step is not None else "",
        attempt=state.attempt,
        result=plain(state.result) if plan is None or flow is None else result_of(plan, instance.steps, path),
        error=state.error,
        ready_at_ms=state.ready_at_ms or None,
        started_at_ms=state.claimed_at_ms or None,
        finished_at_ms=state.finished_at_ms or None,
        wake_at_ms=state.wake_at_ms or None,
        worker=state.worker,
        approval=_approval_view(state, step),
        kind=None if step is None or step.flow is None else _KINDS[type(step.flow)],
        handled=state.handled,
        undone=state.undone or None,
        chosen=None if flow is None else flow.chosen,
        iteration=flow.iteration if flow is not None and step is not None and type(step.flow) is While else None,
        parts=_parts_view(state, step),
        children=[] if flow is None else [child.id for child in flow.children],
        signal=_signal(state, step),
    )


_SEGMENT = re.compile(r"([^.\[\]]+)(?:\[(\d+)\])?")


def in_order(paths: Iterable[str], plan: Plan | None) -> list[str]:
    """The run paths as the YAML has their steps, those inside a step after it, iteration by iteration."""
    known = dict.fromkeys(paths)
    if plan is None:
        return list(known)
    if known.keys() <= plan.steps.keys():
        return [path for path in plan.steps if path in known]
    places = {path: place for place, path in enumerate(plan.steps)}

    def key(path: str) -> list[tuple[int, int]]:
        static, keys = "", []
        for name, index in _SEGMENT.findall(path):
            static = f"{static}.{name}" if static else name
            # Names of branches and of blocks are no steps: their steps have places.
            keys.append((places.get(static, -1), int(index or -1)))
        return keys

    return sorted(known, key=key)


def _planned(plan: Plan | None, path: str) -> StepPlan | None:
    try:
        return None if plan is None else plan.step(path)
    except KeyError:
        return None


def _parts_view(state: StepState, step: StepPlan | None) -> PartsView | None:
    if step is None or type(step.flow) is not Foreach or state.flow is None:
        return None
    total = state.flow.count
    if state.status is StepStatus.SUCCEEDED:
        return PartsView(total, total, state.flow.failed)
    ended = sum(min(CHILD_ITEMS, total - number * CHILD_ITEMS) for number in state.parts)
    return PartsView(total, ended, state.flow.failed)


def _signal(state: StepState, step: StepPlan | None) -> str | None:
    if step is None or type(step.flow) is not WaitForSignal or state.status in FINAL_STEP:
        return None
    return step.flow.signal


def _approval_view(state: StepState, step: StepPlan | None) -> ApprovalView | None:
    approval = state.approval
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
        fields=dict(policy.form or {}) if policy is not None else {},
    )
