"""Causes of steps that wait for a person, a time, a signal, or for what runs inside them."""

from __future__ import annotations

from ...claim.wire import Cause
from ...definitions.plan import StepPlan, WaitForSignal
from ..machine.state import FINAL_STEP, Instance, StepState, StepStatus
from .facts import Facts
from .sentences import after, at, counted, listed


def approval(instance: Instance, path: str, state: StepState, step: StepPlan | None, facts: Facts) -> Cause:
    asked = state.approval
    assert asked is not None
    policy = None if step is None else step.approval
    approvers = list(policy.approvers) if policy is not None else []
    who = listed(approvers) if approvers else "anyone of the tenant"
    until, then = "", ""
    if asked.timeout_at_ms and policy is not None:
        until = f" until {at(asked.timeout_at_ms)} ({after(asked.timeout_at_ms - facts.now_ms)})"
        then = {"fail": "; it fails then", "approve": "; it counts as approved then", "skip": "; it is skipped then"}[
            policy.on_timeout
        ]
    return Cause(
        "approval",
        f"it waits for approval by {who} since {at(asked.asked_at_ms)}{until}{then}",
        f"decide: leasehold instances approve {instance.id} --step {path} (or reject)",
        step=path,
        until_ms=asked.timeout_at_ms or None,
        holders=approvers,
    )


def timer(path: str, state: StepState, facts: Facts) -> Cause:
    return Cause(
        "timer",
        f"it waits until {at(state.wake_at_ms)} ({after(state.wake_at_ms - facts.now_ms)})",
        "wait, or skip the step",
        step=path,
        until_ms=state.wake_at_ms or None,
    )


def signal(instance: Instance, path: str, state: StepState, flow: WaitForSignal, facts: Facts) -> Cause:
    until = ""
    if state.wake_at_ms:
        then = "it is skipped then" if flow.on_timeout == "continue" else "it fails then"
        until = f" until {at(state.wake_at_ms)} ({after(state.wake_at_ms - facts.now_ms)}; {then})"
    return Cause(
        "signal",
        f"it waits for the signal {flow.signal!r}{until}",
        f"send it: leasehold instances signal {instance.id} {flow.signal}",
        step=path,
        until_ms=state.wake_at_ms or None,
    )


def children(path: str, state: StepState, facts: Facts) -> Cause:
    """What its child instances wait for stands in them."""
    flow = state.flow
    ids = [child.id for child in flow.children] if flow is not None else []
    known = [facts.children[id] for id in ids if id in facts.children]
    items = f" of {counted(flow.count, 'item')}" if flow is not None and flow.count else ""
    failed = f", {flow.failed} of them failed" if flow is not None and flow.failed else ""
    return Cause(
        "children",
        f"it waits for {counted(len(ids), 'child instance')}{items}{failed}",
        "see what each of them waits for",
        step=path,
        holders=ids,
        children=known,
    )


def inside(instance: Instance, path: str, what: str) -> Cause | None:
    """A step with steps of its own; None where these say by themselves what they wait for."""
    prefixes = (f"{path}.", f"{path}[")
    for other, state in instance.steps.items():
        if other.startswith(prefixes) and state.status not in (*FINAL_STEP, StepStatus.PENDING):
            return None
    return Cause("inside", what, "ask again: it is about to go on", step=path)
