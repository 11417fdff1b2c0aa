"""People decide: approvals asked for by `requires_approval`."""

from __future__ import annotations

from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ....definitions.plan import ApprovalPolicy
from ..events import Decided, Refused
from ..state import Approval, Instance, StepState
from ..table import LATE, LATE_SKIP, REJECT
from ..times import none_asked
from ..turn import Turn, unknown_step
from .activation import prepare, skip, waits_for_approval
from .failure import fail_step


def decided(turn: Turn, event: Decided) -> Refused | None:
    """Apply a decision to the approval that it names, or to the only open one."""
    if is_repeat(turn.instance, event):
        return None
    path = event.path or _only_open(turn)
    if isinstance(path, Refused):
        return path
    state = turn.steps.get(path)
    if state is None:
        return unknown_step(path)
    approval = state.approval
    if approval is None or not waits_for_approval(state):
        return _not_open(path, state)
    policy = turn.step(path).approval
    assert policy is not None
    if not _may_decide(policy, event):
        names = ", ".join(policy.approvers)
        return Refused("forbidden", f"{event.by} may not decide on step {path!r}; its approvers are: {names}")
    _decide(turn, path, approval, event)
    return None


def approval_late(turn: Turn, path: str, state: StepState) -> None:
    """Nobody decided in time: what `on_timeout` says."""
    policy = turn.step(path).approval
    assert policy is not None
    assert state.approval is not None
    attempt = state.attempt + 1
    approval = replace(state.approval, decision="timed_out", decided_at_ms=turn.at_ms, attempt=attempt)
    if policy.on_timeout == "approve":
        prepare(turn, path, approval=approval)
    elif policy.on_timeout == "skip":
        skip(turn, path, LATE_SKIP, approval=approval)
    else:
        error = ErrorInfo("approval_timeout", f"nobody decided within {policy.timeout_ms} ms")
        fail_step(turn, path, LATE, error, approval=approval)


def reckon(turn: Turn) -> None:
    """Count the time with people where no decision is open any more, in whatever way the last one closed.

    For a turn that begins with an open decision or opens one. Costs a look at the steps.
    """
    if not any(map(waits_for_approval, turn.steps.values())):
        turn.waits(none_asked(turn.times.waits, turn.at_ms))


def is_repeat(instance: Instance, event: Decided) -> bool:
    """Whether this person decided just so before: on the step named or, none being named or open, on any."""
    if event.path:
        state = instance.steps.get(event.path)
        return state is not None and _same(state.approval, event)
    states = instance.steps.values()
    return not any(map(waits_for_approval, states)) and any(_same(state.approval, event) for state in states)


def _same(approval: Approval | None, event: Decided) -> bool:
    said = "approved" if event.approved else "rejected"
    return approval is not None and approval.decision == said and approval.decided_by == event.by


def _only_open(turn: Turn) -> str | Refused:
    paths = [path for path, state in turn.steps.items() if waits_for_approval(state)]
    if len(paths) == 1:
        return paths[0]
    if not paths:
        return Refused("not_open", _none_open(turn))
    return Refused("ambiguous", f"{len(paths)} approvals are open, name one: {', '.join(paths)}")


def _none_open(turn: Turn) -> str:
    # Items are instances of their own, so their approvals can't be seen from here.
    if any(state.flow is not None and state.flow.children for state in turn.steps.values()):
        return "no approval is open outside its children; name the step to decide inside one, as each-host[17].apply"
    return "no approval is open"


def _not_open(path: str, state: StepState) -> Refused:
    approval = state.approval
    if approval is None:
        return Refused("not_open", f"step {path!r} asks for no approval now: it is {state.status.value}")
    if approval.decision == "pending":
        return Refused("not_open", f"the approval of step {path!r} is closed: the step is {state.status.value}")
    if approval.decision == "timed_out":
        return Refused("not_open", f"the approval of step {path!r} timed out at {approval.decided_at_ms}")
    by, at_ms = approval.decided_by, approval.decided_at_ms
    return Refused("not_open", f"step {path!r} was {approval.decision} by {by} at {at_ms}")


def _may_decide(policy: ApprovalPolicy, event: Decided) -> bool:
    return not policy.approvers or event.by in policy.approvers or not set(event.roles).isdisjoint(policy.approvers)


def _decide(turn: Turn, path: str, approval: Approval, event: Decided) -> None:
    approval = replace(
        approval,
        decision="approved" if event.approved else "rejected",
        decided_by=event.by,
        decided_at_ms=event.at_ms,
        comment=event.comment,
        form=event.form,
        attempt=turn.steps[path].attempt + 1,
    )
    if event.approved:
        prepare(turn, path, approval=approval)
        return
    message = f"rejected by {event.by}" + (f": {event.comment}" if event.comment else "")
    fail_step(turn, path, REJECT, ErrorInfo("rejected", message), approval=approval)
