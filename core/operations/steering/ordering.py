"""From an order to the event that carries it out, and to its row in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from ....claim.wire import Violation
from ....definitions import InputsError
from ....definitions.plan import ApprovalPolicy
from ...errors import InvalidRequest, PayloadTooLarge, QuotaExceeded
from ...history_records import AuditRecord
from ...lanes import codec
from ...lanes.memory.resident import Resident
from ...machine.events import (
    AnyEvent,
    CancelRequested,
    Decided,
    PauseRequested,
    ResumeRequested,
    RetryRequested,
    Signalled,
    SkipRequested,
    TerminateRequested,
)
from ...machine.state import Instance, StepStatus, plain
from ...orders import AnyOrder, Cancel, Decide, Pause, Resume, Retry, Signal, Skip, Terminate
from ...principal import Principal
from ...violations import wire_violations

SIGNAL_MAX_BYTES = 65_536
"""One signal's payload."""

_KEPT_MAX_BYTES = 131_072
"""All payloads of signals that an instance keeps: they stand in its document."""

_FORM_MAX_BYTES = 65_536


def event_of(principal: Principal, resident: Resident, order: AnyOrder, inputs: Any, now_ms: int) -> AnyEvent:
    """The event. `inputs` are the instance's new ones, checked, where a retry changes them.

    Raises: InvalidRequest; PayloadTooLarge; QuotaExceeded.
    """
    by, reason = principal.name, order.reason
    if isinstance(order, Decide):
        path = order.step or _only(open_approvals(resident.instance))
        form = _checked_form(resident, order, path)
        return Decided(now_ms, path, order.approved, by, order.comment, form, principal.roles)
    if isinstance(order, Cancel):
        return CancelRequested(now_ms, by, reason)
    if isinstance(order, Terminate):
        return TerminateRequested(now_ms, by, reason)
    if isinstance(order, Pause):
        return PauseRequested(now_ms, by, reason)
    if isinstance(order, Resume):
        return ResumeRequested(now_ms, by, reason)
    if isinstance(order, Skip):
        return SkipRequested(now_ms, order.step, by, reason)
    if isinstance(order, Retry):
        replaced = None if inputs is None else plain(resident.instance.inputs)
        return RetryRequested(now_ms, by, order.step or "", order.from_start, inputs, reason, replaced)
    if isinstance(order, Signal):
        _check_signal(resident.instance, order)
        return Signalled(now_ms, order.name, order.payload, by)
    assert_never(order)


def audit_record(
    principal: Principal, order: AnyOrder, event: AnyEvent, before: Instance, after: Instance
) -> AuditRecord:
    """What the trail is to say of an order that changed something."""
    path: str | None = None
    details: dict[str, Any] = {}
    reason = order.reason
    if isinstance(order, Decide):
        assert isinstance(event, Decided)
        path, reason = event.path, order.comment or order.reason
        details = {} if event.form is None else {"form": event.form}
    elif isinstance(order, Skip):
        path = order.step
    elif isinstance(order, Retry):
        path = order.step
        details = {"from_start": order.from_start} if order.from_start else {}
        details |= {"params": order.params} if order.params else {}
    elif isinstance(order, Signal):
        details = {"signal": order.name, "payload": order.payload}
    return AuditRecord(
        action_of(order),
        principal.name,
        event.at_ms,
        principal.roles,
        reason,
        path,
        details or None,
        principal.address,
        before.status.value,
        after.status.value,
    )


def action_of(order: AnyOrder) -> str:
    """What the trail calls the order: as its route is named."""
    if isinstance(order, Decide):
        return "approve" if order.approved else "reject"
    return str(order.__struct_config__.tag)


def open_approvals(instance: Instance) -> list[str]:
    """The run paths of the steps that wait for a decision."""
    return [
        path
        for path, state in instance.steps.items()
        if state.status is StepStatus.WAITING and state.approval is not None and state.approval.decision == "pending"
    ]


def _only(paths: list[str]) -> str:
    """Nothing where there are several or none: the machine says what is wrong, or that it stands already."""
    return paths[0] if len(paths) == 1 else ""


def _checked_form(resident: Resident, order: Decide, path: str) -> dict[str, Any] | None:
    """What the decision gives for the approval's form, with defaults where it approves."""
    policy = _policy(resident, path) if path else None
    if order.form:
        size = len(codec.encode_json(order.form))
        if size > _FORM_MAX_BYTES:
            raise PayloadTooLarge("the form", size, _FORM_MAX_BYTES)
    if policy is None or policy.form_check is None:
        return order.form
    given = order.form or {}
    try:
        checked = policy.form_check(given)
    except InputsError as error:
        violations = _form_violations(error, given, order.approved)
        if violations:
            raise InvalidRequest(_in_words(violations), violations) from None
        return order.form
    return checked if order.approved else order.form


def _policy(resident: Resident, path: str) -> ApprovalPolicy | None:
    try:
        return resident.plan.step(path).approval
    except KeyError:
        # The machine has the sentence for a step that there is not.
        return None


def _form_violations(error: InputsError, given: Mapping[str, Any], approved: bool) -> list[Violation]:
    """In the form's words. A rejection has to fit too in what it gives, and may leave out what is required."""
    found = []
    for violation in wire_violations(error.violations):
        path = violation.path.removeprefix("params.")
        if approved or path.partition(".")[0].partition("[")[0] in given:
            found.append(
                Violation(
                    path=f"form.{path}",
                    message=violation.message,
                    found=violation.found,
                    allowed=violation.allowed,
                    nearest=violation.nearest,
                )
            )
    return found


def _in_words(violations: list[Violation]) -> str:
    first = f"{violations[0].path}: {violations[0].message}"
    more = len(violations) - 1
    return f"the form does not fit: {first}" + (f" (and {more} more)" if more else "")


def _check_signal(instance: Instance, order: Signal) -> None:
    size = len(codec.encode_json(order.payload))
    if size > SIGNAL_MAX_BYTES:
        raise PayloadTooLarge("the signal's payload", size, SIGNAL_MAX_BYTES)
    kept = len(codec.encode_json((instance.inbox, instance.signals)))
    if kept + size > _KEPT_MAX_BYTES:
        raise QuotaExceeded(
            f"instance {instance.id} keeps {len(instance.inbox)} signals that nothing has waited for, {kept} bytes with"
            f" the last of each name; {_KEPT_MAX_BYTES} are allowed: let it take some first, or send less of them",
            "signals",
        )
