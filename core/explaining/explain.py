"""From an instance and the facts around it to the causes of its waiting."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ...claim.wire import Cause, Explanation
from ...definitions.plan import Foreach, Plan, StepPlan, SubWorkflow, Wait, WaitForSignal
from ..machine.state import FINAL_INSTANCE, FINAL_STEP, Instance, InstanceStatus, StepState, StepStatus
from .facts import Facts, QuotaFacts
from .sentences import after, at, counted, listed
from .waiting import approval, children, inside, signal, timer


def explain(instance: Instance, plan: Plan | None, facts: Facts) -> Explanation:
    """One answer to "why is it waiting?"; each open step has its cause."""
    causes = list(_of_instance(instance, facts))
    if instance.status not in FINAL_INSTANCE:
        causes += _of_steps(instance, plan, facts)
    return Explanation(instance.id, instance.workflow, instance.status.value, _summary(instance, causes), causes)


def _of_instance(instance: Instance, facts: Facts) -> Iterator[Cause]:
    lane = facts.lane
    if facts.live and (lane.owner is None or lane.dead or lane.silent):
        yield _without_owner(facts)
    if instance.status in FINAL_INSTANCE and facts.live:
        lag = counted(facts.history_lag_records, "record")
        since = f", the oldest since {facts.history_lag_ms / 1_000:.1f} s" if facts.history_lag_ms else ""
        yield Cause(
            "history",
            f"it has ended, and its record is on its way into history; this replica has {lag} to deliver{since}",
            "wait; if it lasts, look at leasehold_history_lag_seconds and at Elasticsearch",
        )
    if instance.status is InstanceStatus.PAUSED:
        by = f" by {instance.paused_by}" if instance.paused_by else ""
        yield Cause(
            "paused",
            f"it was paused{by}: nothing of it can be claimed, attempts in progress and timers go on",
            f"resume it: leasehold instances resume {instance.id}",
        )
    if instance.queued and facts.group is not None:
        group = facts.group
        yield Cause(
            "concurrency",
            f"its concurrency group has {counted(group.limit, 'slot')}, held by {listed(group.holders)};"
            f" {counted(group.ahead, 'other')} wait before it",
            "wait until one of the holders has ended, or cancel one",
            ahead=group.ahead,
            holders=list(group.holders),
        )
    if facts.quota is not None:
        yield _quota(instance, facts.quota)


def _quota(instance: Instance, quota: QuotaFacts, path: str | None = None) -> Cause:
    counted_as = f": {quota.used:g} of {quota.allowed:g} are used" if quota.allowed else ""
    found = quota.reason or f"tenant {instance.tenant} is at its limit"
    return Cause(
        "quota",
        f"{found} (quota {quota.quota}{counted_as})",
        _quota_advice(quota),
        step=path,
    )


def _quota_advice(quota: QuotaFacts) -> str:
    word = quota.quota.rpartition(".")[2]
    if quota.quota == "paused":
        return f"let the tenant go on: {_setting(quota, 'false')}"
    if quota.quota == "breaker":
        return "see why these attempts fail; some are let through from time to time, and it ends when they succeed"
    if quota.quota.startswith("budgets."):
        return f"wait until the period is over, or raise it: {_setting(quota, 'NUMBER')}"
    if word.endswith("_rate"):
        return f"wait, or raise it: {_setting(quota, 'NUMBER', '.per_s')}"
    return f"wait until some of it is given back, or raise it: {_setting(quota, 'NUMBER')}"


def _setting(quota: QuotaFacts, value: str, below: str = "") -> str:
    """The command that sets it, as a shell takes it."""
    words = (quota.document, f"{quota.path}{below}={value}")
    return f"leasehold tenants set {' '.join(shlex.quote(word) for word in words)}"


def _without_owner(facts: Facts) -> Cause:
    lane = facts.lane
    said = "does not renew its lease" if lane.dead else "does not answer"
    whose = f"its owner {lane.owner} {said}" if lane.owner else "nobody owns it"
    if lane.should_own is None:
        next_one = "no replica lives that could take it"
        advice = "start a replica: leasehold serve"
    elif lane.should_own == lane.owner:
        next_one = "another replica takes it once its lease is over"
        advice = f"wait {lane.lease_ms} ms (lanes.lease_ms); if it lasts, look at the log of {lane.owner}"
    else:
        next_one = f"replica {lane.should_own} is to take it"
        advice = f"wait {lane.lease_ms} ms (lanes.lease_ms); if it lasts, look at the log of that replica"
    return Cause("lane", f"lane {lane.name} has no living owner: {whose}; {next_one}", advice)


def _of_steps(instance: Instance, plan: Plan | None, facts: Facts) -> Iterator[Cause]:
    for path, state in instance.steps.items():
        if state.status is StepStatus.PENDING or state.status in FINAL_STEP:
            continue
        cause = _of_step(instance, path, state, _planned(plan, path), facts)
        if cause is not None:
            yield cause


def _planned(plan: Plan | None, path: str) -> StepPlan | None:
    try:
        return None if plan is None else plan.step(path)
    except KeyError:
        return None


def _of_step(instance: Instance, path: str, state: StepState, step: StepPlan | None, facts: Facts) -> Cause | None:
    if state.status is StepStatus.READY:
        if instance.status is InstanceStatus.PAUSED:
            return None
        quota = facts.quotas.get(path)
        return _ready(instance, path, step, facts) if quota is None else _quota(instance, quota, path)
    if state.status is StepStatus.CLAIMED:
        return _claimed(path, state, facts)
    if state.status is StepStatus.BACKING_OFF:
        return _backing_off(instance, path, state, facts)
    if state.approval is not None and state.approval.decision == "pending":
        return approval(instance, path, state, step, facts)
    flow = None if step is None else step.flow
    if state.flow is not None and state.flow.handling:
        return inside(instance, path, "it has failed, and its on_failure steps run")
    if isinstance(flow, Wait):
        return timer(path, state, facts)
    if isinstance(flow, WaitForSignal):
        return signal(instance, path, state, flow, facts)
    if isinstance(flow, Foreach | SubWorkflow) or (state.flow is not None and state.flow.children):
        return children(path, state, facts)
    return inside(instance, path, "the steps inside it are not done")


def _ready(instance: Instance, path: str, step: StepPlan | None, facts: Facts) -> Cause:
    capability = step.executor if step is not None else "?"
    placing = facts.placings.get(path)
    if placing is None:
        return Cause(
            "queue",
            f"it is ready for an executor with the capability {capability!r}; its lane's owner knows its place",
            "ask again once the lane has an owner",
            step=path,
        )
    if not placing.askers:
        where = "at this replica" if not placing.peers else f"at this replica or its {counted(placing.peers, 'peer')}"
        unsure = f" ({counted(placing.silent_peers, 'peer')} did not answer)" if placing.silent_peers else ""
        return Cause(
            "no-executor",
            f"no executor with the capability {capability!r} has asked for work in the last minute {where}{unsure}",
            f"start one: leasehold worker --capability {capability}, or a worker of your own",
            step=path,
            ahead=placing.ahead,
            or_more=placing.or_more,
        )
    ahead = f"{'more than ' if placing.or_more else ''}{counted(placing.ahead, 'other step')}"
    others = f"; other tenants wait with {placing.of_others}" if placing.of_others else ""
    return Cause(
        "queue",
        f"it is ready, behind {ahead} of its tenant for {capability!r}{others};"
        f" {counted(len(placing.askers), 'worker')} asked for work in the last minute",
        "wait, or start more executors with that capability",
        step=path,
        ahead=placing.ahead,
        or_more=placing.or_more,
        holders=list(placing.askers),
    )


def _claimed(path: str, state: StepState, facts: Facts) -> Cause:
    holding = facts.holdings.get(path)
    until = f" until {at(holding.until_ms)} ({after(holding.until_ms - facts.now_ms)})" if holding else ""
    said = ""
    if holding is not None and (holding.progress is not None or holding.message):
        percent = f"{holding.progress:g} %" if holding.progress is not None else ""
        said = f"; it says: {' '.join(part for part in (percent, holding.message) if part)}"
    worker = state.worker or "an executor"
    return Cause(
        "lease",
        f"{worker} works on it since {at(state.claimed_at_ms)} (attempt {state.attempt}), under a lease{until}{said}",
        "wait: each heartbeat renews the lease, and without one the step is given to another executor",
        step=path,
        until_ms=None if holding is None else holding.until_ms,
        holders=[state.worker] if state.worker else [],
        progress=None if holding is None else holding.progress,
        message=None if holding is None else holding.message,
    )


def _backing_off(instance: Instance, path: str, state: StepState, facts: Facts) -> Cause:
    error = state.error
    why = f" after {error.type}: {error.message}" if error is not None else ""
    return Cause(
        "backoff",
        f"its attempt {state.attempt} failed{why}; the next one is due at {at(state.wake_at_ms)}"
        f" ({after(state.wake_at_ms - facts.now_ms)})",
        f"wait, or do it now: leasehold instances retry {instance.id} --step {path}",
        step=path,
        until_ms=state.wake_at_ms or None,
        error=error,
    )


def _summary(instance: Instance, causes: list[Cause]) -> str:
    if instance.status in FINAL_INSTANCE:
        return f"it has ended: {instance.status.value}" + ("" if not causes else f"; {causes[0].text}")
    if not causes:
        return "nothing holds it up: it goes on by itself"
    ending = f"it will be {instance.ending.value} once this is done: " if instance.ending is not None else ""
    first = causes[0]
    where = f"{first.step}: " if first.step else ""
    more = f" (and {counted(len(causes) - 1, 'other cause')})" if len(causes) > 1 else ""
    return f"{ending}{where}{first.text}{more}"
